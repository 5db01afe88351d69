import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** A recorded path is no absolute path, or would leave the target folder. */
  RESTORE_BAD_PATH: 'final',
  /** A folder on the way is a symbolic link, or no folder at all. */
  RESTORE_THROUGH_LINK: 'final',
  /** Something else of that name is there already, and overwriting was not asked for. */
  RESTORE_EXISTS: 'final',
  /**
   * The target does not tell apart two names that differ only in case or in their Unicode spelling.
   */
  RESTORE_NAME_CLASH: 'final',
  /** The target lies in a folder that nothing may be restored into, such as the agent's own. */
  RESTORE_FORBIDDEN_TARGET: 'final',
  /** The target lies where another user may change folders, on a system that cannot hold them. */
  RESTORE_SHARED_TARGET: 'final',
  /** The bytes that came back are not the bytes that were captured. */
  RESTORE_DAMAGED: 'final',
  /** Chunks or pages of the file were not delivered. */
  RESTORE_MISSING_CHUNK: 'final',
  /** The target's disk is full. */
  RESTORE_NO_SPACE: 'retryable',
  /** The file is there, but the target cannot keep its time to the microsecond. */
  RESTORE_TIME: 'final',
  /** The target refuses the name, the link, the mode or the bytes in another way. */
  RESTORE_TARGET: 'final',
} satisfies ErrorCodes;

export type RestoreErrorCode = keyof typeof codes;

/**
 * A file, or the whole restore, that could not be given back; never leaves a partial under the
 * final name.
 */
export class RestoreError extends AliquotError<RestoreErrorCode> {
  static override readonly codes = codes;
}
