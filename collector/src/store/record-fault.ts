import { FileError } from '@aliquot/shared/durable/errors';
import type { RecordFault } from '@aliquot/shared/records/format';
import { StoreError } from './errors.ts';

/** What the store's files of records make of what is wrong with one. */
export function recordFault(fault: RecordFault, says: string): StoreError {
  switch (fault) {
    case 'damaged':
      return new StoreError('STORE_DAMAGED', `${says}; aliquot fsck names what it concerns`);
    case 'tooLarge':
      return new StoreError('STORE_BAD_ITEM', says);
    case 'foreign':
      return new StoreError('STORE_CORRUPT', says);
    case 'later':
      return new StoreError('STORE_CORRUPT', `${says}; use the release that wrote it`);
  }
}

/**
 * Runs what writes to a log. A full disk is the operator's to mend and costs nothing: the append
 * was cut off again. Every other failure leaves the log in doubt, and so does a full disk that is
 * met only when flushing, or that even the cut did not survive.
 */
export async function writing<T>(
  log: { readonly poisoned: boolean },
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    const code =
      error.code === 'FILE_NO_SPACE' && !log.poisoned ? 'STORE_NO_SPACE' : 'STORE_FAILED';
    throw new StoreError(code, error.message, { cause: error });
  }
}
