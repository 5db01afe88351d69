import { join } from 'node:path';
import { readFileIfThere, removeDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { jsonOf } from '@aliquot/shared/json';
import { z } from 'zod';
import type { HistoryPoint } from '../history/history-log.ts';
import type { PackExtent } from '../packs/pack-store.ts';

const FILE = 'durable.json';
const MAX_BYTES = 64 * 1024;
const whole = z.number().int().nonnegative();
const markFile = z.strictObject({
  version: z.literal(1),
  history: z.strictObject({ file: whole, offset: whole }),
  packs: z.array(z.strictObject({ pack: whole, syncedBytes: whole })).max(256),
});

/** How far history and packs are known to have been durable. */
export interface DurableMark {
  readonly history: HistoryPoint;
  /** Of those that grow: a closed one says itself where it ends. */
  readonly packs: readonly Pick<PackExtent, 'pack' | 'syncedBytes'>[];
}

/**
 * What was durable when a vault's catalog was last written, kept beside it: where that is broken or
 * gone, this still keeps a start, or a repair, from taking rot in the last records for a torn tail
 * (I-C5). `undefined` when nothing says.
 */
export async function readMark(files: FilePort, dir: string): Promise<DurableMark | undefined> {
  const bytes = await readFileIfThere(files, join(dir, FILE), MAX_BYTES).catch((error: unknown) => {
    if (error instanceof FileError && error.code === 'FILE_TOO_LARGE') return undefined;
    throw error;
  });
  return bytes && markFile.safeParse(jsonOf(bytes)).data; // damaged: as good as none
}

/**
 * A disk that is full or fails leaves the old mark or the new one: the one says less, and neither
 * anything false.
 */
export async function writeMark(
  files: FilePort,
  dir: string,
  { history, packs }: DurableMark,
): Promise<void> {
  try {
    const text = `${JSON.stringify(markFile.parse({ version: 1, history, packs }))}\n`;
    await writeFileDurably(files, join(dir, FILE), Buffer.from(text), { mode: 0o600 });
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
  }
}

/** For a repair that accepts that the end of the history is gone. */
export function removeMark(files: FilePort, dir: string): Promise<void> {
  return removeDurably(files, join(dir, FILE));
}
