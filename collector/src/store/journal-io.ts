import type { AppendFile } from '@aliquot/shared/durable/append-file';
import { FileError } from '@aliquot/shared/durable/errors';
import { StoreError } from './errors.ts';

/**
 * A full disk is the operator's to mend and costs nothing: the append was cut off again. Every
 * other failure leaves the file in doubt, and so does a full disk that is met only when flushing,
 * or that even the cut did not survive.
 */
export async function appending<T>(
  file: AppendFile | undefined,
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw failure(
      error.code === 'FILE_NO_SPACE' && file?.poisoned !== true ? 'STORE_NO_SPACE' : 'STORE_FAILED',
      error,
    );
  }
}

export async function flushing<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw error instanceof FileError ? failure('STORE_FAILED', error) : error;
  }
}

/** After either the vault drops what was not synced and opens itself anew. */
function failure(code: 'STORE_NO_SPACE' | 'STORE_FAILED', cause: FileError): StoreError {
  return new StoreError(code, cause.message, { cause });
}
