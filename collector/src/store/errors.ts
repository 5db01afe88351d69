import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /**
   * A pack's bytes are wrong where they were already durable: bit rot or tampering, not a torn
   * tail.
   */
  STORE_CORRUPT: 'final',
  /** One chunk or page cannot be read back as it was stored. */
  STORE_DAMAGED: 'final',
  /**
   * A record cannot be entered in the catalog: a number is out of bounds, or it does not fit what
   * stands before it.
   */
  STORE_UNFIT: 'final',
  /** The disk has no room; nothing of the call was kept. */
  STORE_NO_SPACE: 'retryable',
  /**
   * Writing or syncing failed; what was not synced is dropped, and the vault opens itself again at
   * the next call.
   */
  STORE_FAILED: 'retryable',
  /** The store was closed. */
  STORE_CLOSED: 'final',
  /** An uploaded item is not what its id and kind say. */
  STORE_BAD_ITEM: 'final',
  /** An event does not verify, or would not change the state that it claims to change. */
  STORE_BAD_EVENT: 'final',
  /** The agent name is borne by another living agent. */
  STORE_NAME_TAKEN: 'final',
  /** No such agent in this vault. */
  STORE_UNKNOWN_AGENT: 'final',
  /** The agent has no such branch held apart. */
  STORE_UNKNOWN_HISTORY: 'final',
  /** Something else was decided about this history before. */
  STORE_DECIDED: 'final',
  /** The agent was revoked or replaced. */
  STORE_REVOKED: 'final',
  /** The enrolment was already used with other keys. */
  STORE_OTHER_KEYS: 'final',
  /** No such group in this vault. */
  STORE_UNKNOWN_GROUP: 'final',
  /** The group was ended: nobody enrols with its bundle any more. */
  STORE_GROUP_ENDED: 'final',
  /** As many PCs have enrolled with the group's bundle as it is for. */
  STORE_GROUP_FULL: 'final',
  /** The folder of a vault's packs is there and empty, and the history relies on packs. */
  STORE_PACKS_GONE: 'final',
  /**
   * A vault's descriptor, certificate or catalog key does not fit this collector or the vault that
   * it already holds.
   */
  STORE_VAULT_MISMATCH: 'final',
  /** A file of the collector's folder (not a pack) is missing or unreadable. */
  STORE_FOLDER: 'final',
  /**
   * Nothing in a vault's folder says any more which vault it is: `vault.bin` is gone or damaged,
   * and so is the first record of its history.
   */
  STORE_VAULT_LOST: 'final',
  /**
   * It is not known what time it is, or what was decided: so nothing is thrown away.
   */
  STORE_RETENTION_HELD: 'final',
  /**
   * The catalog belongs to another release or does not fit the packs; it is rebuilt by itself or by
   * `fsck --repair`.
   */
  STORE_CATALOG: 'final',
} satisfies ErrorCodes;

export type StoreErrorCode = keyof typeof codes;

/** What the collector's store refuses, or fails at. */
export class StoreError extends AliquotError<StoreErrorCode> {
  static override readonly codes = codes;
}

/** Whether one record or item cannot be read back as it was stored, and nothing else is wrong. */
export function isDamaged(error: unknown): error is StoreError {
  return error instanceof StoreError && error.code === 'STORE_DAMAGED';
}

/** For a `catch`: what is damaged is passed over. Throws every other error. */
export function passedOver(error: unknown): undefined {
  if (!isDamaged(error)) throw error;
  return undefined;
}

/**
 * Whether memory and disk may differ after this error: a full disk and a refused item change
 * nothing, everything unforeseen might have.
 */
export function leavesDoubt(error: unknown): boolean {
  if (!(error instanceof StoreError)) return true;
  return (
    error.code === 'STORE_FAILED' ||
    error.code === 'STORE_CATALOG' ||
    error.code === 'STORE_CORRUPT'
  );
}

/** Whether a full disk is at the bottom of it, whatever became of that on the way. */
export function isFullDisk(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof AliquotError && fullDiskCodes.has(at.code)) return true;
  return false;
}

const fullDiskCodes: ReadonlySet<string> = new Set([
  'STORE_NO_SPACE',
  'FILE_NO_SPACE',
  'DERIVED_NO_SPACE',
]);

/**
 * What a start passes over: a record of the history that cannot be applied, because a fault of ours
 * took it in, which stays where it is and whose word is not shown; a pack that is gone, cut short
 * or not what its name says, which costs what lay in it; a small file of the vault that is damaged.
 * Or what it puts right: agents and groups that had ended, and had not by the history; holds and
 * purges that it had lost.
 */
export interface UnfitRecord {
  readonly type: 'record' | 'pack' | 'file' | 'ended' | 'holds' | 'purges';
  /** The file, and the offset of a record in it. */
  readonly where: string;
  readonly why: string;
}
