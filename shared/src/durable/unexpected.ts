import { AliquotError } from '@aliquot/proto';
import { errnoOf } from './system-errors.ts';

/** How Node says that the other side of a connection, or a reader, has gone. */
const goneCodes: ReadonlySet<string> = new Set([
  'ABORT_ERR',
  'ECONNRESET',
  'EPIPE',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_WRITE_AFTER_END',
]);

/**
 * Whether an error is one of the known kinds: one of ours with its code, the operating system's,
 * LevelDB's, or a connection that went. Everything else is a fault of ours, of which nobody knows
 * what it has left undone.
 */
export function isForeseen(error: unknown): boolean {
  if (error instanceof AliquotError || errnoOf(error) !== undefined) return true;
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  return code.startsWith('LEVEL_') || goneCodes.has(code);
}

/** Gives the value where a foreseen error came; an unforeseen one is thrown on. */
export function whenForeseen<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (!isForeseen(error)) throw error;
    return value;
  };
}

/**
 * Ends the process with an unforeseen error, whatever may catch it around the caller: it is thrown
 * where none of our code catches. For places that must answer somebody, or clean up, and go on
 * after foreseen errors. Foreseen ones are left alone.
 */
export function endWith(error: unknown): void {
  if (isForeseen(error)) return;
  setImmediate(() => {
    throw error;
  });
}
