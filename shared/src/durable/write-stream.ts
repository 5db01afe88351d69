import { type Random, systemRandom } from '../ports.ts';
import { place, temporaryBeside, writeFully } from './durable.ts';
import { withFileErrors } from './errors.ts';
import { type FilePort, parentOf } from './file-port.ts';
import { createFile } from './private.ts';

/**
 * Small pieces are gathered into writes of this size at most; a larger piece is written alone,
 * without a copy.
 */
const WRITE_BYTES = 256 * 1024;

export interface StreamOptions {
  /** Permission bits of the new file; 0o600 by default. */
  readonly mode?: number;
  readonly random?: Random;
  /** Told after each write how many bytes are written. */
  readonly onProgress?: (bytes: number) => void;
}

/**
 * Puts what arrives piece by piece under `path`, all or nothing (D1), as `writeFileDurably` does
 * for what is in memory. An error of the source, or of the disk, leaves what was there before. The
 * answer is the file's size.
 */
export async function writeStreamDurably(
  port: FilePort,
  path: string,
  pieces: AsyncIterable<Uint8Array>,
  options: StreamOptions = {},
): Promise<number> {
  const disk = <T>(step: () => Promise<T>): Promise<T> => withFileErrors('write', path, step);
  const temporary = temporaryBeside(path, options.random ?? systemRandom);
  const file = await disk(() => createFile(port, temporary, options.mode ?? 0o600));
  try {
    let written = 0;
    let gathered: Uint8Array[] = [];
    let size = 0;
    const flush = async (): Promise<void> => {
      const [only] = gathered;
      const bytes =
        only !== undefined && gathered.length === 1 ? only : Buffer.concat(gathered, size);
      gathered = [];
      size = 0;
      await disk(() => writeFully(file, bytes, written));
      written += bytes.length;
      options.onProgress?.(written);
    };
    try {
      for await (const piece of pieces) {
        if (size > 0 && size + piece.length > WRITE_BYTES) await flush();
        gathered.push(piece);
        size += piece.length;
      }
      await flush();
      await disk(() => file.sync());
    } finally {
      await file.close();
    }
    await disk(() => place(port, temporary, path, false));
    await disk(() => port.syncDirectory(parentOf(path)));
    return written;
  } catch (error) {
    // best effort: the first error is the one to tell
    await port.unlink(temporary).catch(() => undefined);
    throw error;
  }
}
