import {
  type CommitHash,
  type CommitHeader,
  decodeCommitHeader,
  decodeSignedCommit,
  type EntryDraft,
  type EntrySlot,
  encodeCommitHeader,
  encodeSignedCommit,
  encodeWrap,
  type SignedCommit,
  type VaultId,
  type Wrap,
} from '@aliquot/proto';
import { lengthPrefixed } from '../crypto/bytes.ts';
import { equalBytes, labelled, sha256 } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import type { AgentCertificate } from '../keys/certificates.ts';
import { leafHash, rootOfHashes } from '../log/hashing.ts';
import type { Random } from '../ports.ts';
import { sealEntry } from './entry.ts';
import { CommitError } from './errors.ts';
import { type CommitRecipient, hasWrapsFor, newCommitKeys, wrapCommitKeys } from './keys.ts';
import { commitHash, entriesBySlot, type ReadCommit, SlotRows } from './rows.ts';

export { type CommitRecipient, openCommitKeys } from './keys.ts';
export { commitHash } from './rows.ts';

const COMMIT = 'aliquot/v1/commit';
const WRAPS_HASH = 'aliquot/v1/commit-wraps';
const HASH_BYTES = 32;

/** The predecessor of a chain's first commit. */
export const NO_PREDECESSOR = new Uint8Array(HASH_BYTES) as CommitHash;

/** What a commit is made from; the rest of its header follows from these. */
export interface CommitInput
  extends Omit<CommitHeader, 'version' | 'entryCount' | 'entriesRoot' | 'wrapsHash'> {
  readonly drafts: readonly EntryDraft[];
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

/** A commit that is the agent's: its rows are empty when it was purged down to its header. */
export interface VerifiedCommit extends ReadCommit {
  readonly headerOnly: boolean;
}

export interface CommitExpectation {
  readonly vaultId: VaultId;
  readonly agent: AgentCertificate;
  /**
   * Set when an agent submits the commit: nothing may be removed yet, and the wraps are the signed
   * ones. Later, entries may have been purged and wraps added or removed, each by a logged event.
   */
  readonly firstSubmission?: boolean;
  /**
   * A first submission may come with single entries replaced by their leaf hashes. Only for a
   * collector that judges afterwards whether it lost its log since the commit was made: then nobody
   * may have those versions any more.
   */
  readonly mayLackEntries?: boolean;
  /**
   * Who must find all their wraps in a first submission: without the vault's, a backup could never
   * be restored.
   */
  readonly recipients?: readonly CommitRecipient[];
}

/**
 * Makes a commit: fresh list and read keys, sealed entries, wraps, header, signature. The two keys
 * are forgotten before this returns; only the recipients of the wraps can open what was made.
 *
 * @throws CommitError `COMMIT_CHAIN`, `COMMIT_ENTRY_KEYS`; FormatError when the fields contradict
 * each other.
 */
export function buildCommit(input: CommitInput, random: Random): BuiltCommit {
  const { drafts, recipients, signKey, ...fields } = input;
  const keys = newCommitKeys(random);
  try {
    const entries = drafts.map((draft) => sealEntry(draft, keys.listKey, keys.readKey, random));
    const wraps = wrapCommitKeys(keys, recipients, fields, random);
    const header: CommitHeader = {
      version: 1,
      ...fields,
      entryCount: entries.length,
      entriesRoot: rootOfHashes(entries.map(leafHash)),
      wrapsHash: wrapsHash(wraps),
    };
    checkChain(header);
    const headerBytes = encodeCommitHeader(header);
    const { signature } = sign(signKey, COMMIT, headerBytes);
    const slots: EntrySlot[] = entries.map((bytes) => ({ type: 'entry', bytes }));
    const bytes = encodeSignedCommit({
      header: headerBytes,
      signature,
      slots,
      wraps,
      headerOnly: false,
    });
    return { bytes, hash: commitHash(headerBytes), header };
  } finally {
    keys.listKey.fill(0);
    keys.readKey.fill(0);
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
  const { binding } = expected.agent;
  if (
    !signatureHolds(binding.signKey, COMMIT, { body: commit.header, signature: commit.signature })
  ) {
    throw new CommitError(
      'COMMIT_SIGNATURE',
      `the commit is not signed by agent ${expected.agent.enrolment.name}`,
    );
  }
  const header = decodeCommitHeader(commit.header);
  if (!equalBytes(header.vaultId, expected.vaultId))
    throw new CommitError('COMMIT_OTHER_VAULT', 'the commit belongs to another vault');
  if (!equalBytes(header.agentId, binding.agentId))
    throw new CommitError('COMMIT_OTHER_AGENT', 'the commit speaks for another agent');
  checkChain(header);
  if (expected.firstSubmission === true) checkFirstSubmission(commit, header, expected);
  if (!commit.headerOnly) checkEntries(commit, header);
  const rows = new SlotRows(commit.slots);
  // Whoever has a verified commit need not expect that an entry of it is none.
  entriesBySlot(rows);
  return {
    header,
    hash: commitHash(commit.header),
    rows,
    wraps: commit.wraps,
    headerOnly: commit.headerOnly,
  };
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
  { recipients = [], mayLackEntries }: CommitExpectation,
): void {
  if (
    commit.headerOnly ||
    (mayLackEntries !== true && commit.slots.some((slot) => slot.type === 'purged'))
  ) {
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

function checkEntries(commit: SignedCommit, header: CommitHeader): void {
  if (commit.slots.length !== header.entryCount) {
    throw new CommitError(
      'COMMIT_ENTRY_COUNT',
      `commit ${header.sequence} has ${commit.slots.length} entries, its header says ${header.entryCount}`,
    );
  }
  const hashes = commit.slots.map((slot) =>
    slot.type === 'entry' ? leafHash(slot.bytes) : slot.leafHash,
  );
  if (!equalBytes(rootOfHashes(hashes), header.entriesRoot)) {
    throw new CommitError(
      'COMMIT_ENTRIES',
      `the entries of commit ${header.sequence} are not the ones that were signed`,
    );
  }
}

/** Labelled SHA-256 over the encoded wraps, each behind its length. */
function wrapsHash(wraps: readonly Wrap[]): Uint8Array {
  return sha256(labelled(WRAPS_HASH), lengthPrefixed(...wraps.map(encodeWrap)));
}
