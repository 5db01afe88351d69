import type { VaultDescriptorBody } from '@aliquot/proto';
import type { Finding } from '../fsck-finding.ts';
import type { VaultCore } from '../vault/core.ts';
import { PurgeBook } from '../vault/purge-book.ts';
import type { PurgeFolder } from '../vault/purge-files.ts';

/**
 * Compares the purges that are kept beside the history with those in it. What one has and the other
 * lacks a start puts right; a file that cannot be believed is a fault, and true is returned.
 */
export async function checkPurges(
  core: VaultCore,
  folder: PurgeFolder,
  vault: VaultDescriptorBody,
  tell: (finding: Finding) => void,
): Promise<boolean> {
  const book = await PurgeBook.open(folder, vault);
  const where = folder.path;
  for (const what of book.faults)
    tell({
      ...{ code: 'purges-broken', severity: 'warning', what, where },
      remedy:
        'put it back from a copy, before the next start makes it again from the history; if that was put back meanwhile and there is no copy, order again what `aliquot purge list` does not show as approved',
    });
  const differs = (count: number, says: string, remedy: string): void => {
    if (count === 0) return;
    const what = `${count} purges ${says}`;
    tell({ code: 'purges-differ', severity: 'info', what, where, remedy });
  };
  differs(
    (await book.lackedBy(core)).length,
    'are not in the history, or not whole: it was put back, or a crash came before they were recorded',
    'nothing to do: the next start does them again',
  );
  if (book.faults.length === 0)
    differs(
      book.missing(core.registry).length,
      'of the history are not in this folder',
      'nothing to do: the next start writes them down',
    );
  return book.faults.length > 0;
}
