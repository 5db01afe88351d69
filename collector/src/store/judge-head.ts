import { decodeEpochOpeningBody, type EpochOpeningBody, type TreeHead } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { VaultCore } from './core.ts';
import type { HeadJudgement } from './vault-records.ts';

/** What a head that somebody shows means for this log: see `VaultLog.judgeHead`. */
export async function judgeHead(core: VaultCore, head: TreeHead): Promise<HeadJudgement> {
  const current = core.head;
  if (head.logEpoch > current.logEpoch) return 'ahead';
  const later = core.openings
    .filter((opening) => opening.logEpoch > head.logEpoch)
    .map(({ opening }) => decodeEpochOpeningBody(opening.body));
  const grownTo = later[0]?.base.size ?? current.size;
  if (head.size <= grownTo && equalBytes(await core.log.rootAt(head.size), head.root))
    return 'consistent';
  if (later.some((opening) => coversLoss(opening, head))) return 'lost';
  return head.size > grownTo ? 'ahead' : 'contradicts';
}

/**
 * Whether the authority approved the loss of this head: the opening names it, or a larger one of
 * its log epoch. (Which heads lead to the named one can no longer be proved: that history is gone.)
 * Exactly what agents demand (`shared/log/continuation`): a looser rule would call healed what an
 * agent refuses, and nobody would be told.
 */
export function coversLoss(opening: EpochOpeningBody, head: TreeHead): boolean {
  const names = (lost: TreeHead): boolean =>
    lost.logEpoch === head.logEpoch &&
    (lost.size > head.size || (lost.size === head.size && equalBytes(lost.root, head.root)));
  return head.logEpoch < opening.logEpoch && opening.lost.some(names);
}
