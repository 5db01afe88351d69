import {
  type CommitBlock,
  type CommitHash,
  type CommitHeader,
  decodeCommitHeader,
  decodeSignedCommit,
  encodeCommitHeader,
  encodeSignedCommit,
  encodeWrap,
  type SignedCommit,
  type VaultId,
  type Wrap,
} from '@aliquot/proto';
import { lengthPrefixed, wipe } from '../crypto/bytes.ts';
import { equalBytes, labelled, sha256 } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import type { AgentCertificate } from '../keys/certificates.ts';
import { rootOfHashes } from '../log/hashing.ts';
import type { Random } from '../ports.ts';
import { blockRowsHash } from './block-open.ts';
import type { SealedBlock } from './block-seal.ts';
import { CommitError } from './errors.ts';
import { blockDigest, signedMarks } from './held-block.ts';
import {
  type CommitRecipient,
  hasWrapsFor,
  newCommitKeys,
  sealBlockKey,
  wrapCommitKeys,
} from './keys.ts';
import { hasSlots, lossHash, lossHolds } from './loss.ts';
import { checkResults } from './results.ts';
import { CommitRows, commitHash, type HeldBlock, lostIn, type ReadCommit } from './rows.ts';
import { summaryHash, summaryOf } from './summary.ts';

export { type CommitRecipient, openCommitKeys } from './keys.ts';
export { commitHash } from './rows.ts';

const COMMIT = 'aliquot/v1/commit';
const WRAPS_HASH = 'aliquot/v1/commit-wraps';
const BLOCKS_HASH = 'aliquot/v1/commit-blocks';
const ROWS_HASH = 'aliquot/v1/commit-rows';
const HASH_BYTES = 32;
const NOTHING: Uint8Array = new Uint8Array(0);

/** The predecessor of a chain's first commit. */
export const NO_PREDECESSOR = new Uint8Array(HASH_BYTES) as CommitHash;

/** What a commit is made from; the rest of its header follows from these. */
export interface CommitInput
  extends Omit<
    CommitHeader,
    | 'version'
    | 'entryCount'
    | 'entriesRoot'
    | 'rowsHash'
    | 'blocksHash'
    | 'wrapsHash'
    | 'summaryHash'
  > {
  readonly blocks: readonly SealedBlock[];
  /** Vault and catalog always, the agent itself under self-restore. */
  readonly recipients: readonly CommitRecipient[];
  readonly signKey: SigningKey;
}

export interface BuiltCommit {
  /** The encoded `SignedCommit`: kept, sent and stored verbatim. */
  readonly bytes: Uint8Array;
  readonly hash: CommitHash;
  readonly header: CommitHeader;
}

/** A commit that is the agent's: its rows are empty when only its header is left. */
export interface VerifiedCommit extends ReadCommit {
  readonly headerOnly: boolean;
  /** What its agent said is lost, when it sent it: it is no version here. */
  readonly loss: CommitLoss | undefined;
}

/** What an agent declared lost of a commit. */
export interface CommitLoss {
  /** Slots in rising order; none when all of it is lost. */
  readonly lacking: readonly number[];
  /** What receipt and leaf name. */
  readonly hash: Uint8Array;
}

export interface CommitExpectation {
  readonly vaultId: VaultId;
  readonly agent: AgentCertificate;
  /**
   * Set when an agent submits the commit: nothing may be removed yet but what it declares lost, and
   * the wraps are the signed ones. Later, entries may have been purged and wraps added or removed,
   * each by a logged event.
   */
  readonly firstSubmission?: boolean;
  /**
   * Who must find all their wraps in a first submission: without the vault's, a backup could never
   * be restored.
   */
  readonly recipients?: readonly CommitRecipient[];
}

/**
 * Makes a commit: fresh list and read keys, under which the keys of its blocks are sealed, wraps,
 * header, signature. The two keys are forgotten before this returns; only the recipients of the
 * wraps can open what was made. The blocks' own keys are the caller's to wipe.
 *
 * @throws CommitError `COMMIT_CHAIN`; FormatError when the fields contradict each other.
 */
export function buildCommit(input: CommitInput, random: Random): BuiltCommit {
  const { blocks: sealed, recipients, signKey, ...fields } = input;
  const keys = newCommitKeys(random);
  try {
    const blocks = sealed.map((one) => ({
      block: one.bytes,
      root: one.root,
      listBox: sealBlockKey('list', keys.listKey, one.listKey, random),
      readBox: sealBlockKey('read', keys.readKey, one.readKey, random),
      formerDigest: undefined,
    }));
    const wraps = wrapCommitKeys(keys, recipients, fields, random);
    const header: CommitHeader = {
      version: 1,
      ...fields,
      entryCount: sealed.reduce((sum, { count }) => sum + count, 0),
      entriesRoot: rootOfHashes(sealed.map(({ root }) => root)),
      rowsHash: sha256(labelled(ROWS_HASH), ...sealed.map(({ rowsHash }) => rowsHash)),
      blocksHash: blocksHash(
        blocks,
        sealed.map(({ marks }) => marks),
      ),
      wrapsHash: wrapsHash(wraps),
      summaryHash: summaryHash(summaryOf(sealed.map(({ marks }) => marks))),
    };
    checkChain(header);
    const headerBytes = encodeCommitHeader(header);
    const { signature } = sign(signKey, COMMIT, headerBytes);
    const bytes = encodeSignedCommit({
      header: headerBytes,
      signature,
      blocks,
      wraps,
      headerOnly: false,
      lacking: [],
      lossSignature: undefined,
    });
    return { bytes, hash: commitHash(headerBytes), header };
  } finally {
    wipe(keys.listKey, keys.readKey);
  }
}

/**
 * Checks a commit completely, the signature first. Where it belongs in its chain, and whether its
 * chunks exist, is for the caller to decide.
 *
 * @throws CommitError; FormatError when the bytes are no commit.
 */
export function verifyCommit(bytes: Uint8Array, expected: CommitExpectation): VerifiedCommit {
  const commit = decodeSignedCommit(bytes);
  const header = verifyHeader(commit, expected);
  const hash = commitHash(commit.header);
  const loss = lossOf(commit, header, hash, expected.agent.binding.signKey);
  if (expected.firstSubmission === true) checkFirstSubmission(commit, header, expected);
  const rows = new CommitRows(commit);
  if (!commit.headerOnly) checkBlocks(rows, header, expected.firstSubmission === true);
  if (expected.firstSubmission === true) checkResults(rows);
  const { wraps, headerOnly } = commit;
  const lostVersions = lostIn(commit, header);
  return { header, hash, rows, wraps, headerOnly, loss, lostVersions };
}

/** Nobody but the agent says that versions of it are lost. */
function lossOf(
  { lacking, lossSignature }: SignedCommit,
  header: CommitHeader,
  hash: CommitHash,
  signKey: Uint8Array,
): CommitLoss | undefined {
  if (lossSignature === undefined) return undefined;
  if (!lossHolds(signKey, hash, lacking, lossSignature))
    throw new CommitError(
      'COMMIT_LOSS',
      `what commit ${header.sequence} says is lost is not signed by its agent`,
    );
  if (!hasSlots(header, lacking))
    throw new CommitError(
      'COMMIT_LOSS',
      `commit ${header.sequence} says that versions are lost which it does not have`,
    );
  return { lacking, hash: lossHash(hash, lacking) };
}

/**
 * Checks what an agent signed of a commit, its header, by itself. @throws CommitError
 * `COMMIT_SIGNATURE`, `COMMIT_OTHER_VAULT`, `COMMIT_OTHER_AGENT`, `COMMIT_CHAIN`; FormatError.
 */
export function verifyHeader(
  { header: body, signature }: Pick<SignedCommit, 'header' | 'signature'>,
  { vaultId, agent: { binding, enrolment } }: Pick<CommitExpectation, 'vaultId' | 'agent'>,
): CommitHeader {
  if (!signatureHolds(binding.signKey, COMMIT, { body, signature })) {
    throw new CommitError(
      'COMMIT_SIGNATURE',
      `the commit is not signed by agent ${enrolment.name}`,
    );
  }
  const header = decodeCommitHeader(body);
  if (!equalBytes(header.vaultId, vaultId))
    throw new CommitError('COMMIT_OTHER_VAULT', 'the commit belongs to another vault');
  if (!equalBytes(header.agentId, binding.agentId))
    throw new CommitError('COMMIT_OTHER_AGENT', 'the commit speaks for another agent');
  checkChain(header);
  return header;
}

/** Checks that a summary is the signed one of a commit. @throws CommitError `COMMIT_ENTRIES`. */
export function verifySummary(header: CommitHeader, summary: Uint8Array): void {
  if (!equalBytes(summaryHash(summary), header.summaryHash))
    throw new CommitError(
      'COMMIT_ENTRIES',
      `the summary of commit ${header.sequence} is not the one that was signed`,
    );
}

/** Sequence and predecessor were judged by the door already. */
function checkChain(header: CommitHeader): void {
  if (header.forkedFrom !== undefined && equalBytes(header.forkedFrom.chainId, header.chainId)) {
    throw new CommitError(
      'COMMIT_CHAIN',
      'the commit continues its own chain as if it were another',
    );
  }
}

function checkFirstSubmission(
  commit: SignedCommit,
  header: CommitHeader,
  { recipients = [] }: CommitExpectation,
): void {
  // All of it is lost: nothing is left to be opened.
  if (commit.headerOnly && commit.lossSignature !== undefined) return;
  if (commit.headerOnly || commit.blocks.some(({ formerDigest }) => formerDigest !== undefined)) {
    throw new CommitError(
      'COMMIT_INCOMPLETE',
      `commit ${header.sequence} arrives with entries already removed`,
    );
  }
  if (!equalBytes(wrapsHash(commit.wraps), header.wrapsHash)) {
    throw new CommitError(
      'COMMIT_WRAPS',
      `the wraps of commit ${header.sequence} are not the ones that were signed`,
    );
  }
  for (const recipient of recipients) {
    if (!hasWrapsFor(commit.wraps, recipient)) {
      throw new CommitError(
        'COMMIT_RECIPIENT',
        `commit ${header.sequence} cannot be opened with the ${recipient.recipient} key`,
      );
    }
  }
}

/**
 * Blocks are the ones that were signed, byte for byte; those of which rows were purged prove what
 * of them stands in clear, and those that are gone what they were. So must those that come first: with another hash over its rows, a commit
 * would be none any more as soon as one of them is purged. Takes blocks apart, so that whoever has
 * a verified commit need not expect that a row of it is none.
 */
function checkBlocks(rows: CommitRows, header: CommitHeader, isFirst: boolean): void {
  const { blocks } = rows;
  if (rows.count !== header.entryCount) {
    throw new CommitError(
      'COMMIT_ENTRY_COUNT',
      `commit ${header.sequence} has ${rows.count} entries, its header says ${header.entryCount}`,
    );
  }
  const isPurged = blocks.some(({ formerDigest }) => formerDigest !== undefined);
  if (
    !equalBytes(blocksHash(blocks, blocks.map(signedMarks)), header.blocksHash) ||
    !equalBytes(rootOfHashes(blocks.map(({ root }) => root)), header.entriesRoot) ||
    ((isPurged || isFirst) && !equalBytes(rowsHashOf(blocks), header.rowsHash)) ||
    (isFirst && !equalBytes(summaryHash(rows.summary), header.summaryHash))
  ) {
    throw new CommitError(
      'COMMIT_ENTRIES',
      `the entries of commit ${header.sequence} are not the ones that were signed`,
    );
  }
}

/**
 * Every byte of the blocks with their boxes, where others, or none, are not in their place; and
 * what each row was about, for that shows no more where its bytes have gone.
 */
function blocksHash(blocks: readonly CommitBlock[], marks: readonly Uint8Array[]): Uint8Array {
  const parts = blocks.flatMap((block, at) => [blockDigest(block), sha256(marks[at] ?? NOTHING)]);
  return sha256(labelled(BLOCKS_HASH), ...parts);
}

function rowsHashOf(blocks: readonly HeldBlock[]): Uint8Array {
  const hashes = blocks.map(({ rows, gone }) => gone?.rowsHash ?? blockRowsHash(rows));
  return sha256(labelled(ROWS_HASH), ...hashes);
}

/** Labelled SHA-256 over the encoded wraps, each behind its length. */
function wrapsHash(wraps: readonly Wrap[]): Uint8Array {
  return sha256(labelled(WRAPS_HASH), lengthPrefixed(...wraps.map(encodeWrap)));
}
