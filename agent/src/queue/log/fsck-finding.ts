export type QueueFindingCode =
  /** A record of a queue segment is damaged, with sound ones behind it. */
  | 'FSCK_SEGMENT_DAMAGED'
  /** The chain log is damaged or lacks records: signed commits or receipts are lost. */
  | 'FSCK_CHAIN_DAMAGED'
  /** The newest file ends in an unfinished record, as a crash or a running service leaves it. */
  | 'FSCK_TORN_TAIL'
  /** Damaged bytes were set aside when the queue was opened. */
  | 'FSCK_DAMAGE_KEPT'
  /** The index is missing, cannot be opened, or does not agree with segments and chain log. */
  | 'FSCK_INDEX_WRONG'
  /** The index ends before segments and chain log do, or starts over, as a crash leaves it. */
  | 'FSCK_INDEX_BEHIND'
  /** The index could not be looked at because a running service holds it. */
  | 'FSCK_INDEX_BUSY'
  /** What was captured and is lost, until a person has acknowledged it. */
  | 'FSCK_VERSION_LOST'
  /** The key of queued versions is missing, or does not open them: they cannot be sent. */
  | 'FSCK_BATCH_KEY_MISSING'
  /** A file is of an unknown version or cannot be read. */
  | 'FSCK_UNREADABLE';

/** The way out of a damaged chain log. */
export const CHAIN_REMEDY =
  'fsck --repair names what it cost and writes it anew; the agent goes on by itself, and a commit that was not sent yet is declared lost';

export interface QueueFinding {
  readonly code: QueueFindingCode;
  /** A `note` needs nobody; `error` makes `fsck` end with 1. */
  readonly severity: 'note' | 'error';
  readonly what: string;
  readonly where: string;
  readonly remedy: string;
  readonly repaired: boolean;
}

/** What is wrong, and stays wrong until its remedy is followed. */
export function problem(
  code: QueueFindingCode,
  what: string,
  where: string,
  remedy: string,
): QueueFinding {
  return { code, severity: 'error', what, where, remedy, repaired: false };
}

/** What a crash or a running service leaves, and nobody need mend. */
export function note(
  code: QueueFindingCode,
  what: string,
  where: string,
  remedy: string,
): QueueFinding {
  return { code, severity: 'note', what, where, remedy, repaired: false };
}
