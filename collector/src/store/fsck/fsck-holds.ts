import type { VaultDescriptorBody } from '@aliquot/proto';
import type { Finding } from '../fsck-finding.ts';
import type { VaultCore } from '../vault/core.ts';
import type { BookFile } from '../vault/event-book.ts';
import { HoldBook } from '../vault/hold-book.ts';

/**
 * Compares the holds that are kept beside the history with those in it. What one has and the other
 * lacks a start puts right; a file that cannot be believed is a fault, and true is returned.
 */
export async function checkHolds(
  { registry }: VaultCore,
  file: BookFile,
  vault: VaultDescriptorBody,
  tell: (finding: Finding) => void,
): Promise<boolean> {
  const book = await HoldBook.open(file, vault);
  const where = file.path;
  for (const what of book.faults)
    tell({
      ...{ code: 'holds-broken', severity: 'warning', what, where },
      remedy:
        'the next start, or aliquot fsck --repair, makes it again from the history; if that was put back meanwhile, ask which holds were set since',
    });
  const differs = (count: number, says: string, remedy: string): void => {
    if (count === 0) return;
    tell({ code: 'holds-differ', severity: 'info', what: `${count} holds ${says}`, where, remedy });
  };
  differs(
    book.lackedBy(registry).length,
    'are not in the history: it was put back, or a crash came before they were recorded',
    'nothing to do: the next start records them again',
  );
  if (book.faults.length === 0)
    differs(
      book.missing(registry).length,
      'of the history are not in this file',
      'nothing to do: the next start writes them down',
    );
  return book.faults.length > 0;
}
