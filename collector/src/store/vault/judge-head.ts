import { decodeEpochOpeningBody, type TreeHead } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { coversLoss } from '@aliquot/shared/log/continuation';
import type { HeadJudgement } from '../vault-records.ts';
import type { VaultCore } from './core.ts';

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
