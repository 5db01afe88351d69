import type { TreeHead } from '@aliquot/proto';
import { buildCommit } from '@aliquot/shared/commit/commit';
import type { Clock, Random } from '@aliquot/shared/ports';
import { type AgentIdentity, recipientsOf } from '../identity/identity.ts';
import type { CommitSigner } from '../queue/queue.ts';

/** Signs the queue's versions into commits of this agent's chain, each naming the newest verified tree head. */
export function commitSigner(
  identity: AgentIdentity,
  verifiedHead: () => TreeHead | undefined,
  clock: Clock,
  random: Random,
): CommitSigner {
  const { vaultId, agentId } = identity.certificate.binding;
  const { chunkerVersion, encoderVersion } = identity.keys.parameters;
  return {
    sign: ({ chainId, sequence, predecessor, forkedFrom, drafts }) =>
      buildCommit(
        {
          vaultId,
          agentId,
          chainId,
          sequence,
          predecessor,
          agentTimeMs: Math.max(0, Math.trunc(clock.nowMs())),
          treeHead: verifiedHead(),
          chunkerVersion,
          encoderVersion,
          forkedFrom,
          drafts,
          recipients: recipientsOf(identity),
          signKey: identity.signKey,
        },
        random,
      ),
  };
}
