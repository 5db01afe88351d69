import {
  blockRow,
  decodeBlock,
  decodeSignedCommit,
  type EntryDraft,
  type ListPart,
  type ResultId,
  type TreeHead,
} from '@aliquot/proto';
import { type RowDraft, type SealedBlock, sealDrafts } from '@aliquot/shared/commit/block-seal';
import { buildCommit } from '@aliquot/shared/commit/commit';
import { lostCommit, withoutVersions } from '@aliquot/shared/commit/loss';
import { MembersBefore } from '@aliquot/shared/commit/results';
import { wipe } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { fileIdFor, resultIdFor } from '@aliquot/shared/keys/derive';
import type { Clock, Random } from '@aliquot/shared/ports';
import { type AgentIdentity, recipientsOf } from '../identity/identity.ts';
import type { CommitRequest, CommitSigner } from '../queue/outbox/outbox.ts';
import { resultRow } from '../queue/outbox/results.ts';

/**
 * Signs the queue's versions into commits of this agent's chain, each naming the newest verified
 * tree head. Ids of files, and of the folder results that they are members of, are made here, of
 * the path key that is in force now: a PC that captured while it waited, and was approved in the
 * place of another, goes on with that one's files.
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
    withoutVersions: (commit, slots) => withoutVersions(commit, slots, identity.signKey),
    lost: (commit) => lostCommit(decodeSignedCommit(commit), identity.signKey),
    seal: (drafts) => sealAhead(identity.pathKey, drafts, random),
    sign: ({ chainId, sequence, predecessor, forkedFrom, rows, results }) => {
      let blocks: readonly SealedBlock[] = rows.filter(isBlock);
      try {
        blocks = blocksOf(identity.pathKey, rows, results, random);
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
 * Blocks of drafts that this process has captured. A queue meets one path key for as long as it is
 * open, so where the id of one draft was made by this key, all were. Test only: a signer without an
 * identity seals too.
 */
export function sealAhead(
  pathKey: Uint8Array,
  drafts: readonly EntryDraft[],
  random: Random,
): SealedBlock[] {
  const [first] = drafts;
  const isOwn =
    first !== undefined && equalBytes(first.fileId, fileIdFor(pathKey, first.list.path));
  if (!isOwn) return blocksOf(pathKey, drafts, new Map(), random);
  const resultIdOf = resultIds(pathKey);
  const rows = drafts.map((draft) =>
    draft.list.resultPathLength === 0 ? draft : { ...draft, resultId: resultIdOf(draft.list) },
  );
  return sealDrafts(rows, random);
}

const isBlock = (row: CommitRequest['rows'][number]): row is SealedBlock => 'rowsHash' in row;

/**
 * The blocks of a commit: those that were sealed ahead, and between them those of the drafts, with
 * the ids that this path key makes, and the rows of results behind their members. Test only: a
 * signer without an identity makes them too.
 */
export function blocksOf(
  pathKey: Uint8Array,
  rows: CommitRequest['rows'],
  results: CommitRequest['results'],
  random: Random,
): SealedBlock[] {
  const resultIdOf = resultIds(pathKey);
  const blocks: SealedBlock[] = [];
  let own: (EntryDraft | RowDraft)[] = [];
  // Who has no result to sign does not look for members.
  const found = results.size > 0 ? new MembersBefore() : undefined;
  let slot = 0;
  for (const row of rows) {
    if (isBlock(row)) {
      blocks.push(...sealDrafts(own, random), row);
      own = [];
      if (found !== undefined) addRows(found, row);
      slot += row.count;
      continue;
    }
    if (row.kind === 'result') {
      const members = results.get(slot);
      if (members === undefined) throw new Error('a result comes without its members');
      own.push(resultRow(row, members, found?.of(members.resultId) ?? []));
    } else {
      const fileId = fileIdFor(pathKey, row.list.path);
      const entry = { ...row, fileId, resultId: resultIdOf(row.list) };
      found?.add(entry);
      own.push(entry);
    }
    slot += 1;
  }
  blocks.push(...sealDrafts(own, random));
  return blocks;
}

/** The files of a block: as the collector will see them. */
function addRows(found: MembersBefore, { bytes, count }: SealedBlock): void {
  const block = decodeBlock(bytes);
  for (let place = 0; place < count; place += 1) {
    const row = blockRow(block, place);
    if (row.kind !== 'result') found.add(row);
  }
}

/**
 * The id of the folder result that a path lies in. Members follow each other: one HMAC serves many.
 */
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
