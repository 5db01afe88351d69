import { join } from 'node:path';
import { readFileIfThere, removeDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { jsonOf } from '@aliquot/shared/json';
import { z } from 'zod';
import type { Position } from './position.ts';

const FILE = 'durable.json';
const MAX_BYTES = 1024;
const mark = z.strictObject({
  version: z.literal(1),
  pack: z.number().int().positive(),
  offset: z.number().int().nonnegative(),
});

/**
 * How far a vault's packs were durable when its catalog was last written, kept beside the catalog:
 * where that is broken or gone, this still keeps a start, or a repair, from taking rot in the last
 * records for a torn tail (I-C5). `undefined` when nothing says.
 */
export async function readMark(files: FilePort, dir: string): Promise<Position | undefined> {
  const bytes = await readFileIfThere(files, join(dir, FILE), MAX_BYTES).catch((error: unknown) => {
    if (error instanceof FileError && error.code === 'FILE_TOO_LARGE') return undefined;
    throw error;
  });
  return bytes && mark.safeParse(jsonOf(bytes)).data; // damaged: as good as none
}

/**
 * A disk that is full or fails leaves the old mark or the new one: the one says less, and neither
 * anything false.
 */
export async function writeMark(
  files: FilePort,
  dir: string,
  { pack, offset }: Position,
): Promise<void> {
  try {
    await writeFileDurably(
      files,
      join(dir, FILE),
      Buffer.from(`${JSON.stringify({ version: 1, pack, offset })}\n`),
      { mode: 0o600 },
    );
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
  }
}

/** For a repair that accepts that the end of the packs is gone. */
export function removeMark(files: FilePort, dir: string): Promise<void> {
  return removeDurably(files, join(dir, FILE));
}
