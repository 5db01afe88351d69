import type { AppendFile } from '@aliquot/shared/durable/append-file';
import { FileError } from '@aliquot/shared/durable/errors';
import { StoreError } from './errors.ts';

/** Parts are joined into writes of about this size, so that thousands of tiny chunks are not thousands of system calls. */
const WRITE_BYTES = 1024 * 1024;

/** Parts in runs of about the size of one write. */
export function joined(parts: readonly Uint8Array[]): Uint8Array[] {
  const runs: Uint8Array[] = [];
  let run: Uint8Array[] = [];
  let bytes = 0;
  for (const part of parts) {
    if (run.length > 0 && bytes + part.length > WRITE_BYTES) {
      runs.push(run.length === 1 && run[0] !== undefined ? run[0] : Buffer.concat(run, bytes));
      run = [];
      bytes = 0;
    }
    run.push(part);
    bytes += part.length;
  }
  if (run.length > 0) runs.push(Buffer.concat(run, bytes));
  return runs;
}

/**
 * A full disk is the operator's to mend and costs nothing: the append was cut off again. Every other failure leaves the
 * file in doubt, and so does a full disk that is met only when flushing, or that even the cut did not survive.
 */
export async function appending<T>(file: AppendFile | undefined, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw failure(error.code === 'FILE_NO_SPACE' && file?.poisoned !== true ? 'STORE_NO_SPACE' : 'STORE_FAILED', error);
  }
}

export async function flushing<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw error instanceof FileError ? failure('STORE_FAILED', error) : error;
  }
}

/** Retryable both: after a failure the vault drops what was not synced and opens itself anew. */
function failure(code: 'STORE_NO_SPACE' | 'STORE_FAILED', cause: FileError): StoreError {
  return new StoreError(code, cause.message, { cause, retryable: true });
}
