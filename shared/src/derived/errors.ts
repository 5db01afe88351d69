import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** The index does not say what its owner wrote: it is to be made again from what it follows. */
  DERIVED_REBUILD: 'final',
  /** Another living process has it open. */
  DERIVED_LOCKED: 'retryable',
  /** The disk, or this user's share of it, is full. */
  DERIVED_NO_SPACE: 'retryable',
  /** The disk or file system failed in another way. */
  DERIVED_STORAGE: 'final',
} satisfies ErrorCodes;

export type DerivedErrorCode = keyof typeof codes;

/** What goes wrong with a derived index. Owners say it again with what they would do about it. */
export class DerivedError extends AliquotError<DerivedErrorCode> {
  static override readonly codes = codes;
}

/** Whether an error says that an index must be made again. Seam: for the owners. */
export function isRebuild(error: unknown): boolean {
  return error instanceof DerivedError && error.code === 'DERIVED_REBUILD';
}
