import { join } from 'node:path';
import {
  decodeEventBook,
  type EventBook,
  encodeEventBook,
  FormatError,
  HASH_BYTES,
  MAX_EVENT_BOOK_BYTES,
  type VaultId,
} from '@aliquot/proto';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { readFileIfThere, writeFileDurably } from '@aliquot/shared/durable/durable';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';

/** The field of the sum: its tag and length, and itself. */
const SUM_FIELD_BYTES = 2 + HASH_BYTES;

/** Events that must outlive a history that is put back, as they lie beside the packs. */
export interface BookFile {
  readonly path: string;
  /** Undefined when there is none. Errors: `FILE_…`. */
  read(): Promise<Uint8Array | undefined>;
  /** All or nothing, and durable. Errors: `FILE_…`. */
  write(bytes: Uint8Array): Promise<void>;
}

/** Who ended for good: `ended.bin` in the folder of a vault. */
export function endedFile(files: FilePort, dir: string): BookFile {
  return bookAt(files, join(dir, 'ended.bin'));
}

/** The holds in force: `holds.bin` in the folder of a vault. */
export function holdsFile(files: FilePort, dir: string): BookFile {
  return bookAt(files, join(dir, 'holds.bin'));
}

function bookAt(files: FilePort, path: string): BookFile {
  return {
    path,
    read: () => readFileIfThere(files, path, MAX_EVENT_BOOK_BYTES),
    write: (bytes) => writeFileDurably(files, path, bytes, { mode: 0o600 }),
  };
}

/** What stands in it: the events, or why none of it can be believed. Errors: `FILE_…`. */
export async function readBook(
  file: BookFile,
  vaultId: VaultId,
): Promise<{ readonly events: readonly Uint8Array[]; readonly why?: string }> {
  const refuse = (what: string) => ({ events: [], why: `${file.path} ${what}` });
  try {
    const bytes = await file.read();
    if (bytes === undefined) return { events: [] };
    const book = decodeEventBook(bytes);
    if (!equalBytes(book.sum, sumOf(bytes))) return refuse('is damaged');
    if (!equalBytes(book.vaultId, vaultId)) return refuse("is another vault's");
    return { events: book.events };
  } catch (error) {
    const isTooLarge = error instanceof FileError && error.code === 'FILE_TOO_LARGE';
    if (!isTooLarge && !(error instanceof FormatError)) throw error;
    return refuse('is damaged');
  }
}

/** Puts these events in the place of what stands in it. Errors: `FILE_…`. */
export function writeBook(file: BookFile, book: Omit<EventBook, 'sum'>): Promise<void> {
  const bytes = encodeEventBook({ ...book, sum: new Uint8Array(HASH_BYTES) });
  bytes.set(sumOf(bytes), bytes.length - HASH_BYTES);
  return file.write(bytes);
}

/** Over all of the encoding before the sum. */
function sumOf(bytes: Uint8Array): Uint8Array {
  return sha256(bytes.subarray(0, Math.max(0, bytes.length - SUM_FIELD_BYTES)));
}
