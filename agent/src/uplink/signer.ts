import type { EntryDraft, ListPart, ResultId, TreeHead } from '@aliquot/proto';
import { type RowDraft, sealDrafts } from '@aliquot/shared/commit/block-seal';
import { buildCommit } from '@aliquot/shared/commit/commit';
import { MembersBefore } from '@aliquot/shared/commit/results';
import { wipe } from '@aliquot/shared/crypto/bytes';
import { fileIdFor, resultIdFor } from '@aliquot/shared/keys/derive';
import type { Clock, Random } from '@aliquot/shared/ports';
import { type AgentIdentity, recipientsOf } from '../identity/identity.ts';
import type { CommitRequest, CommitSigner } from '../queue/outbox/outbox.ts';
import { resultRow } from '../queue/outbox/results.ts';

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
    resultIdOf: (root) => resultIdFor(identity.pathKey, root),
    sign: ({ chainId, sequence, predecessor, forkedFrom, drafts, results }) => {
      const own = ownRows(identity.pathKey, drafts, results);
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

/**
 * Drafts with the ids that this path key makes, and the rows of results behind their members. Test
 * only: a signer without an identity makes them too.
 */
export function ownRows(
  pathKey: Uint8Array,
  drafts: CommitRequest['drafts'],
  results: CommitRequest['results'],
): (EntryDraft | RowDraft)[] {
  const resultIdOf = resultIds(pathKey);
  const own: (EntryDraft | RowDraft)[] = [];
  // Who has no result to sign does not look for members.
  const found = results.size > 0 ? new MembersBefore() : undefined;
  for (const [slot, draft] of drafts.entries()) {
    if (draft.kind !== 'result') {
      const fileId = fileIdFor(pathKey, draft.list.path);
      const row = { ...draft, fileId, resultId: resultIdOf(draft.list) };
      found?.add(row);
      own.push(row);
      continue;
    }
    const members = results.get(slot);
    if (members === undefined) throw new Error('a result comes without its members');
    own.push(resultRow(draft, members, found?.of(members.resultId) ?? []));
  }
  return own;
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
