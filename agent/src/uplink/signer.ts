import type { ListPart, ResultId, TreeHead } from '@aliquot/proto';
import { sealDrafts } from '@aliquot/shared/commit/block-seal';
import { buildCommit } from '@aliquot/shared/commit/commit';
import { wipe } from '@aliquot/shared/crypto/bytes';
import { fileIdFor, resultIdFor } from '@aliquot/shared/keys/derive';
import type { Clock, Random } from '@aliquot/shared/ports';
import { type AgentIdentity, recipientsOf } from '../identity/identity.ts';
import type { CommitSigner } from '../queue/outbox/outbox.ts';

/**
 * Signs the queue's versions into commits of this agent's chain, each naming the newest verified
 * tree head. Ids of files, and of the folder results that they are members of, are made here, of the
 * path key that is in force now: a PC that captured while it waited, and was approved in the place
 * of another, goes on with that one's files.
 */
export function commitSigner(
  identity: AgentIdentity,
  verifiedHead: () => TreeHead | undefined,
  clock: Clock,
  random: Random,
): CommitSigner {
  const { vaultId, agentId } = identity.certificate.binding;
  const { chunkerVersion, encoderVersion } = identity.keys.parameters;
  return {
    sign: ({ chainId, sequence, predecessor, forkedFrom, drafts }) => {
      const resultIdOf = resultIds(identity.pathKey);
      const own = drafts.map((draft) => ({
        ...draft,
        fileId: fileIdFor(identity.pathKey, draft.list.path),
        resultId: resultIdOf(draft.list),
      }));
      const blocks = sealDrafts(own, random);
      try {
        return buildCommit(
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
            blocks,
            recipients: recipientsOf(identity),
            signKey: identity.signKey,
          },
          random,
        );
      } finally {
        for (const { listKey, readKey } of blocks) wipe(listKey, readKey);
      }
    },
  };
}

/** The id of the folder result that a path lies in. Members follow each other: one HMAC serves many. */
function resultIds(pathKey: Uint8Array): (list: ListPart) => ResultId | undefined {
  let last: { readonly root: Buffer; readonly id: ResultId } | undefined;
  return ({ path, resultPathLength }) => {
    if (resultPathLength === 0) return undefined;
    const root = Buffer.from(path.buffer, path.byteOffset, resultPathLength);
    if (last === undefined || !last.root.equals(root))
      last = { root, id: resultIdFor(pathKey, root) };
    return last.id;
  };
}
