import { join } from 'node:path';
import { AppendFile } from '@aliquot/shared/durable/append-file';
import { exists } from '@aliquot/shared/durable/durable';
import { FileError, withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Random } from '@aliquot/shared/ports';
import { PACK_BYTES } from '../packs/pack-format.ts';

const BLOCK_BYTES = 1024 * 1024;

/** Bytes that are held so that a full disk can be emptied. */
export interface ReserveFile {
  readonly path: string;
  /** What it should hold. */
  readonly bytes: number;
  /** What it holds; undefined: it was never made. Errors: `FILE_…`. */
  held(): Promise<number | undefined>;
  /** Gives its bytes to the disk, durably; the file stays, and says so. Errors: `FILE_…`. */
  lend(): Promise<void>;
  /** Takes them again. False where there is no room for that. Errors: `FILE_…`. */
  fill(): Promise<boolean>;
  /** What the disk has left beside it. Errors: `FILE_…`. */
  freeBytes(): Promise<number>;
}

/** One pack that is written anew, and half as much for catalog and history. */
export function reserveBytesFor(packBytes = PACK_BYTES): number {
  return packBytes + packBytes / 2;
}

/**
 * `reserve.bin` in the folder of a vault's packs, so that it lies on their disk. Random bytes: a
 * file system that compresses would keep nothing of others.
 */
export function reserveFile(
  files: FilePort,
  random: Random,
  dir: string,
  bytes: number,
): ReserveFile {
  const path = join(dir, 'reserve.bin');
  const opened = async <T>(run: (file: AppendFile) => Promise<T>): Promise<T> => {
    const file = await AppendFile.open(files, path, { mode: 0o600 });
    try {
      return await run(file);
    } finally {
      await file.close();
    }
  };
  return {
    path,
    bytes,
    held: async () => {
      if (!(await exists(files, path))) return undefined;
      return withFileErrors('look at', path, async () => (await files.stat(path)).size);
    },
    lend: () => opened((file) => file.truncateTo(0)),
    fill: () =>
      opened(async (file) => {
        const block = random.bytes(Math.min(BLOCK_BYTES, bytes));
        try {
          while (file.size < bytes)
            await file.append(block.subarray(0, Math.min(block.length, bytes - file.size)));
          await file.sync();
          return true;
        } catch (error) {
          if (!(error instanceof FileError) || error.code !== 'FILE_NO_SPACE') throw error;
          if (!file.poisoned) await file.truncateTo(0);
          return false;
        }
      }),
    // Where packs lie elsewhere there is no such folder, and nothing to hold back.
    freeBytes: async () => {
      if (!(await exists(files, dir))) return 0;
      return withFileErrors('look at', dir, () => files.freeBytes(dir));
    },
  };
}
