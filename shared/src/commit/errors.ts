import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** The signature is not the agent's: altered on the way, or signed by somebody else. */
  COMMIT_SIGNATURE: 'final',
  /** A genuine commit or heartbeat, but of another vault. */
  COMMIT_OTHER_VAULT: 'final',
  /**
   * A genuine commit or heartbeat, but it speaks for another agent than the one whose key signed
   * it.
   */
  COMMIT_OTHER_AGENT: 'final',
  /** The commit names its own chain as the one that it goes on from. */
  COMMIT_CHAIN: 'final',
  /** There are more or fewer entries than the header says. */
  COMMIT_ENTRY_COUNT: 'final',
  /** The entries are not the ones that were signed. */
  COMMIT_ENTRIES: 'final',
  /** The wraps are not the ones that were signed. */
  COMMIT_WRAPS: 'final',
  /** A commit arrives without the wraps that one of its required recipients needs. */
  COMMIT_RECIPIENT: 'final',
  /** A commit arrives for the first time with entries or wraps already removed. */
  COMMIT_INCOMPLETE: 'final',
  /** What a commit says is lost is not its agent's word. */
  COMMIT_LOSS: 'final',
  /** An entry has not one key for each of its references. */
  COMMIT_ENTRY_KEYS: 'final',
  /**
   * An entry has no hash of its whole although it does not say that it grew, or the other way
   * round.
   */
  COMMIT_ENTRY_HASH: 'final',
  /** The row of a result contradicts the members that stand before it. */
  COMMIT_RESULT: 'final',
  /**
   * The commit holds no wrap for this key: it was not meant to open it, or the wrap was removed.
   */
  COMMIT_NO_WRAP: 'final',
  /** Names or keys of an entry do not open: a wrong key, or the entry was altered. */
  COMMIT_ENTRY_SEALED: 'final',
} satisfies ErrorCodes;

export type CommitErrorCode = keyof typeof codes;

/** A commit, entry or heartbeat that must not be believed or cannot be opened. */
export class CommitError extends AliquotError<CommitErrorCode> {
  static override readonly codes = codes;
}
