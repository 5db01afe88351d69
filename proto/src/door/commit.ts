/** FORMAT.md, "CommitHeader", "Wrap", "SignedCommit" and "HeartbeatBody". */
import {
  BLOCK_KEY_BOX_BYTES,
  HASH_BYTES,
  MAX_BLOCK_BYTES,
  MAX_BLOCK_ROWS,
  MAX_COMMIT_BLOCKS,
  MAX_COMMIT_BYTES,
  MAX_COMMIT_ENTRIES,
  MAX_COMMIT_HEADER_BYTES,
  MAX_HEARTBEAT_BYTES,
  MAX_PROBLEM_CODE_CHARS,
  MAX_PROBLEM_CODES,
  MAX_WRAPS,
  SUMMARY_MARK_BYTES,
  WRAP_BOX_BYTES,
} from '../limits.ts';
import type { HeartbeatBody, ProblemCount } from '../log-types.ts';
import type {
  ChainPoint,
  CommitBlock,
  CommitHeader,
  GoneBlock,
  SignedCommit,
  Wrap,
  WrapPurpose,
  WrapRecipient,
} from '../types.ts';
import { codec } from './codec.ts';
import { chainPoint, treeHead } from './common.ts';
import { checked, type Field, list, object, optional, refusal, version } from './field.ts';
import { v1 } from './generated.ts';
import {
  agentId,
  bytes,
  chainId,
  choice,
  commitHash,
  counter,
  flag,
  hash,
  indexes,
  PROBLEM_CODE,
  positive,
  signature,
  text,
  timeMs,
  uint,
  vaultId,
  versionNumber,
  view,
} from './scalar.ts';

/**
 * The signed part of a commit; the commit's hash is a labelled SHA-256 over exactly these bytes.
 */
export const { encode: encodeCommitHeader, decode: decodeCommitHeader } = codec<CommitHeader>(
  'CommitHeader',
  v1.CommitHeader,
  checked(
    object<CommitHeader>('CommitHeader', {
      version,
      vaultId,
      agentId,
      chainId,
      sequence: positive,
      predecessor: commitHash,
      agentTimeMs: timeMs,
      treeHead: optional(treeHead),
      entryCount: uint(1, MAX_COMMIT_ENTRIES),
      entriesRoot: hash,
      rowsHash: hash,
      blocksHash: hash,
      wrapsHash: hash,
      chunkerVersion: versionNumber,
      encoderVersion: versionNumber,
      forkedFrom: optional(chainPoint),
      summaryHash: hash,
    }),
    (header, label) => {
      const first = header.sequence === 1;
      if (first !== header.predecessor.every((byte) => byte === 0)) {
        throw refusal(
          'FORMAT_MALFORMED',
          label,
          'must name a predecessor exactly when it is not the first of its chain',
        );
      }
      if (!first && header.forkedFrom !== undefined && !goesOn(header, header.forkedFrom)) {
        throw refusal(
          'FORMAT_MALFORMED',
          label,
          'must follow the commit of the other chain that it goes on from',
        );
      }
    },
  ),
  { maxBytes: MAX_COMMIT_HEADER_BYTES },
);

/**
 * A later commit under a new chain id: predecessor and sequence are those of the commit that it
 * names.
 */
function goesOn({ chainId: own, sequence, predecessor }: CommitHeader, from: ChainPoint): boolean {
  const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, at) => byte === b[at]);
  return from.sequence + 1 === sequence && same(from.hash, predecessor) && !same(from.chainId, own);
}

const wrap: Field<Wrap> = object<Wrap>('Wrap', {
  version,
  recipient: choice<WrapRecipient>({ vault: 1, catalog: 2, agent: 3, grant: 4 }),
  purpose: choice<WrapPurpose>({ list: 1, read: 2 }),
  recipientKey: hash,
  ephemeralKey: hash,
  box: bytes(WRAP_BOX_BYTES, WRAP_BOX_BYTES),
});

/** One wrap by itself: the same bytes stand nested in a signed commit. Test only: `decodeWrap`. */
export const { encode: encodeWrap, decode: decodeWrap } = codec<Wrap>('Wrap', v1.Wrap, wrap, {
  maxBytes: 256,
});

/** The number of `lacking` in the schema; an index below 16,384 takes two bytes at most. */
const LACKING_FIELD = 7;
const keyBox = bytes(0, BLOCK_KEY_BOX_BYTES);

const goneBlock: Field<GoneBlock> = object<GoneBlock>('GoneBlock', {
  rowsHash: hash,
});

const commitBlock: Field<CommitBlock> = checked(
  object<CommitBlock>('CommitBlock', {
    block: view(0, MAX_BLOCK_BYTES),
    root: hash,
    listBox: keyBox,
    readBox: keyBox,
    formerDigest: optional(hash),
    gone: optional(goneBlock),
    formerMarks: optional(bytes(SUMMARY_MARK_BYTES, SUMMARY_MARK_BYTES * MAX_BLOCK_ROWS)),
  }),
  ({ block, listBox, readBox, formerDigest, formerMarks, gone }, label) => {
    if ((formerDigest === undefined) !== (formerMarks === undefined))
      throw refusal(
        'FORMAT_MALFORMED',
        label,
        'must say of a block that is not whole what it was, and what its rows were about',
      );
    if ((formerMarks?.length ?? 0) % SUMMARY_MARK_BYTES !== 0)
      throw refusal('FORMAT_MALFORMED', label, 'has a part of a mark');
    const boxes = [listBox, readBox];
    const isWhole = block.length > 0 && boxes.every(({ length }) => length === BLOCK_KEY_BOX_BYTES);
    const isGone =
      block.length === 0 && boxes.every(({ length }) => length === 0) && formerDigest !== undefined;
    if (gone === undefined ? !isWhole : !isGone)
      throw refusal(
        'FORMAT_MALFORMED',
        label,
        'must have a block with its two boxes, or say what it was that is gone',
      );
  },
);

/**
 * A commit as it travels and rests. The blocks' bytes lie over the decoded buffer (they are most of
 * it): copy one to keep it alone. They are judged by `decodeBlock`, when somebody needs them.
 */
export const { encode: encodeSignedCommit, decode: decodeSignedCommit } = codec<SignedCommit>(
  'SignedCommit',
  v1.SignedCommit,
  checked(
    object<SignedCommit>(
      'SignedCommit',
      {
        header: bytes(HASH_BYTES, MAX_COMMIT_HEADER_BYTES),
        signature,
        blocks: list(commitBlock, 0, MAX_COMMIT_BLOCKS),
        wraps: list(wrap, 0, MAX_WRAPS),
        headerOnly: flag,
        lacking: indexes(MAX_COMMIT_ENTRIES),
        lossSignature: optional(signature),
      },
      { impliedVersion: true },
    ),
    (commit, label) => {
      if (
        commit.headerOnly
          ? commit.blocks.length + commit.wraps.length + commit.lacking.length > 0
          : commit.blocks.length === 0
      ) {
        throw refusal(
          'FORMAT_MALFORMED',
          label,
          'must have blocks exactly when it is not purged down to its header',
        );
      }
      const isLost = commit.lossSignature !== undefined;
      if (!commit.headerOnly && isLost !== commit.lacking.length > 0)
        throw refusal(
          'FORMAT_MALFORMED',
          label,
          'must be signed for exactly when something is lost',
        );
    },
  ),
  {
    maxBytes: MAX_COMMIT_BYTES,
    maxFields: MAX_COMMIT_BLOCKS + MAX_WRAPS + 6,
    fieldBytes: { [LACKING_FIELD]: 2 * MAX_COMMIT_ENTRIES },
  },
);

const problemCount: Field<ProblemCount> = object<ProblemCount>('ProblemCount', {
  code: text(1, MAX_PROBLEM_CODE_CHARS, PROBLEM_CODE, 'lower-case words joined by dashes'),
  count: positive,
  sinceMs: timeMs,
});

const problemCounts: Field<readonly ProblemCount[]> = checked(
  list(problemCount, 0, MAX_PROBLEM_CODES),
  (problems, label) => {
    for (let at = 1; at < problems.length; at += 1) {
      if ((problems[at - 1]?.code ?? '') >= (problems[at]?.code ?? ''))
        throw refusal('FORMAT_MALFORMED', label, 'must name each code once, in order');
    }
  },
);

/** What an agent signs at the end of every scan and every backup. */
export const { encode: encodeHeartbeatBody, decode: decodeHeartbeatBody } = codec<HeartbeatBody>(
  'HeartbeatBody',
  v1.HeartbeatBody,
  object<HeartbeatBody>('HeartbeatBody', {
    version,
    vaultId,
    agentId,
    chainId,
    timeMs,
    files: counter,
    bytes: counter,
    queuedEntries: counter,
    unprotected: counter,
    chainHead: optional(chainPoint),
    treeHead: optional(treeHead),
    pending: counter,
    unsettled: counter,
    problems: problemCounts,
  }),
  { maxBytes: MAX_HEARTBEAT_BYTES, maxFields: MAX_PROBLEM_CODES + 14 },
);
