import { decodeEventBody, type VaultDescriptorBody } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyClockCorrection } from '@aliquot/shared/keys/clock-correction';
import { leafHash } from '@aliquot/shared/log/hashing';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { collides, type LoggedCorrection, LogTimes } from '@aliquot/shared/log/log-times';
import type { VaultClient } from '../client/vault-client.ts';
import { evidence, unverified } from '../evidence.ts';
import { leftOut } from './left-out.ts';
import type { LogWalk } from './log-walk.ts';

/**
 * What times of a log count as. Which leaves are corrections the walk over all of them has told;
 * what they say is asked for one by one, and proved by its leaf and by the authority's signature.
 * So a collector can neither make one up nor keep one back. @throws CommandError
 */
export async function timesOf(
  vault: Pick<VaultClient, 'log'>,
  { authorityKey, vaultId }: Pick<VaultDescriptorBody, 'authorityKey' | 'vaultId'>,
  { corrections }: Pick<LogWalk, 'corrections'>,
): Promise<LogTimes> {
  const logged: LoggedCorrection[] = [];
  for (const { leafIndex, leaf } of corrections) {
    let found: LoggedCorrection | undefined;
    for await (const one of vault.log.decisions(leafIndex, leafIndex + 1))
      evidence(() => {
        const event = decodeEventBody(one.event);
        const isIt = equalBytes(leafHash(eventLeaf(one.event, event.timeMs)), leaf);
        if (event.type !== 'clockCorrected' || !isIt) return;
        const body = verifyClockCorrection(authorityKey, vaultId, event.correction);
        // A signed one may be put into a log again, at a place that it was not signed for.
        if (body.head.size > leafIndex || logged.some((known) => collides(body, known)))
          throw unverified(
            `the correction of times at leaf ${leafIndex} is for leaves behind it, or for some that another one is for`,
          );
        found = { leafIndex, timeMs: event.timeMs, body };
      });
    if (found === undefined) throw leftOut(`the correction of times at leaf ${leafIndex}`);
    logged.push(found);
  }
  return logged.length === 0 ? LogTimes.asRecorded : new LogTimes(logged);
}
