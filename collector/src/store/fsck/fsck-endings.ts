import type { VaultDescriptorBody } from '@aliquot/proto';
import type { Finding } from '../fsck-finding.ts';
import type { VaultCore } from '../vault/core.ts';
import { Endings } from '../vault/endings.ts';
import type { BookFile } from '../vault/event-book.ts';

/**
 * Compares what is kept of who ended for good with the history. What one has and the other lacks a
 * start puts right; a file that cannot be believed is a fault, and true is returned.
 */
export async function checkEndings(
  core: VaultCore,
  file: BookFile,
  vault: VaultDescriptorBody,
  tell: (finding: Finding) => void,
): Promise<boolean> {
  const endings = await Endings.open(file, vault);
  const where = file.path;
  for (const what of endings.faults)
    tell({
      ...{ code: 'ended-broken', severity: 'warning', what, where },
      remedy:
        'the next start, or aliquot fsck --repair, makes it again from the history; if that was put back meanwhile, ask who was revoked since',
    });
  const differs = (count: number, says: string, remedy: string): void => {
    if (count === 0) return;
    const what = `${count} that ended, agents or groups, ${says}`;
    tell({ code: 'ended-differs', severity: 'info', what, where, remedy });
  };
  differs(
    endings.lackedBy(core.registry).length,
    'are not so by the history: it was put back, or a crash came before it was recorded',
    'nothing to do: the next start records it again',
  );
  if (endings.faults.length === 0)
    differs(
      (await endings.missing(core)).length,
      'by the history are not in this file',
      'nothing to do: the next start writes it down',
    );
  return endings.faults.length > 0;
}
