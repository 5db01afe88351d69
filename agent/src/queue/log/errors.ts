import { AliquotError } from '@aliquot/proto';
import { FileError } from '@aliquot/shared/durable/errors';
import { levelTrouble } from '@aliquot/shared/durable/level-trouble';

export type QueueErrorCode =
  /** A queue or chain record is not what its header, checksum or layout says. */
  | 'QUEUE_DAMAGED'
  /** A queue or chain file was written by a release that this one does not know. */
  | 'QUEUE_VERSION'
  /** The disk refused a write, sync or read of the queue (full, removed, failing). */
  | 'QUEUE_STORAGE'
  /**
   * An earlier write failed: the queue takes nothing more until the disk has space again, or else
   * until the agent is started again.
   */
  | 'QUEUE_POISONED'
  /**
   * The queue has no room for it: its budget is used up, or the disk is near its floor. Draining
   * makes room.
   */
  | 'QUEUE_FULL'
  /** The queue was closed, or a capture was used after its end. */
  | 'QUEUE_CLOSED'
  /**
   * A caller handed over something that the queue cannot hold: a path too long, an item too large,
   * an id that is not the bytes'.
   */
  | 'QUEUE_REFUSED'
  /** A receipt names a commit that this agent did not sign. */
  | 'QUEUE_FOREIGN_RECEIPT';

/** What goes wrong in the agent's queue and chain log. */
export class QueueError extends AliquotError<QueueErrorCode> {}

/** Whether an error, or what caused it, is a full disk. */
export function isNoSpace(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof FileError && error.code === 'FILE_NO_SPACE') return true;
  return levelTrouble(error) === 'no-space' || isNoSpace(error.cause);
}
