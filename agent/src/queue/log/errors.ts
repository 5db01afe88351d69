import { AliquotError, type ErrorCodes } from '@aliquot/proto';
import { DerivedError, isRebuild } from '@aliquot/shared/derived/errors';
import { FileError } from '@aliquot/shared/durable/errors';

const codes = {
  /**
   * A queue or chain record is not what its header, checksum or layout says, or a file is not this
   * queue's.
   */
  QUEUE_DAMAGED: 'final',
  /** A queue or chain file was written by a release that this one does not know. */
  QUEUE_VERSION: 'final',
  /** The disk refused a write, sync or read of the queue (removed, failing). */
  QUEUE_STORAGE: 'final',
  /** The disk of the queue is full: it goes on by itself once there is space. */
  QUEUE_NO_SPACE: 'retryable',
  /**
   * The index of the queue was found damaged: it is made again, and the queue goes on by itself.
   */
  QUEUE_INDEX: 'retryable',
  /** An earlier write failed: the queue takes nothing more until the agent is started again. */
  QUEUE_POISONED: 'final',
  /**
   * The queue has no space for it: its budget is used up, or the disk is near its floor. Draining
   * gives space.
   */
  QUEUE_FULL: 'retryable',
  /** The queue was closed, or a capture was used after its end. */
  QUEUE_CLOSED: 'final',
  /**
   * A caller handed over something that the queue cannot hold: a path too long, an item too large,
   * an id that is not the bytes'.
   */
  QUEUE_REFUSED: 'final',
  /** A receipt names a commit that this agent did not sign. */
  QUEUE_FOREIGN_RECEIPT: 'final',
} satisfies ErrorCodes;

export type QueueErrorCode = keyof typeof codes;

/** What goes wrong in the agent's queue and chain log. */
export class QueueError extends AliquotError<QueueErrorCode> {
  static override readonly codes = codes;
}

/** Whether an error says that the queue's index is to be made again. */
export function isIndexDamaged(error: unknown): boolean {
  return isRebuild(error) || (error instanceof QueueError && error.code === 'QUEUE_INDEX');
}

/** The queue's word for a damaged index. */
export function indexAnew(cause: unknown): QueueError {
  if (cause instanceof QueueError && cause.code === 'QUEUE_INDEX') return cause;
  const says = cause instanceof Error ? cause.message : String(cause);
  const way = 'it is made again from segments and chain log';
  return new QueueError('QUEUE_INDEX', `${says}; ${way}`, { cause });
}

/** The queue's word for a full disk. */
export function diskFull(cause: unknown): QueueError {
  const says = 'the disk of the queue is full; it goes on by itself once there is space';
  return new QueueError('QUEUE_NO_SPACE', says, { cause });
}

/** Whether an error, or what caused it, is a full disk. */
export function isNoSpace(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof FileError && error.code === 'FILE_NO_SPACE') return true;
  return (
    (error instanceof DerivedError && error.code === 'DERIVED_NO_SPACE') || isNoSpace(error.cause)
  );
}
