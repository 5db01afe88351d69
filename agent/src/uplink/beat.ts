import { encodeSigned } from '@aliquot/proto';
import { signHeartbeat } from '@aliquot/shared/commit/heartbeat';
import { refusalError, UplinkError } from './errors.ts';
import type { Session } from './session.ts';
import type { HeartbeatCounts } from './uplink.ts';
import type { UplinkParts } from './uplink-parts.ts';

type Parts = Pick<UplinkParts, 'identity' | 'queue' | 'trust' | 'clock'>;

/**
 * Sends a signed heartbeat over a session that is ready; resolves with the collector's
 * acknowledgement.
 */
export async function beat(
  session: Session,
  { identity, queue, trust, clock }: Parts,
  counts: HeartbeatCounts,
): Promise<void> {
  const { vaultId, agentId } = identity.certificate.binding;
  const signed = signHeartbeat(identity.signKey, {
    version: 1,
    vaultId,
    agentId,
    chainId: queue.chain.present().chainId,
    timeMs: Math.max(0, Math.trunc(clock.nowMs())),
    ...counts,
    queuedEntries: queue.intake.pending().entries,
    chainHead: queue.chain.head(),
    treeHead: trust.verified?.head,
  });
  const answer = await session.request(
    (requestId) => ({ type: 'heartbeat', requestId }),
    encodeSigned(signed),
  );
  if (answer.type === 'refused') throw refusalError(answer.code, answer.message);
  if (answer.type !== 'heartbeatAck')
    throw new UplinkError(
      'UPLINK_PROTOCOL',
      `the collector answers a heartbeat with ${answer.type}`,
    );
}
