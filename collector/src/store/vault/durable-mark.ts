import { basename, join } from 'node:path';
import { hex, utf8 } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { readFileIfThere, removeDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { jsonOf } from '@aliquot/shared/json';
import { z } from 'zod';
import type { DurablePoint } from '../history/history-log.ts';
import type { PackExtent } from '../packs/pack-store.ts';

const FILE = 'durable.json';
const MAX_BYTES = 64 * 1024;
const whole = z.number().int().nonnegative();
const markBody = z.strictObject({
  version: z.literal(1),
  /** The vault's folder: the mark of another vault says nothing about this one. */
  vault: z.string(),
  history: z.strictObject({ file: whole, offset: whole, generation: whole }),
  packs: z.array(z.strictObject({ pack: whole, syncedBytes: whole })).max(256),
});
/** A wrong digit would say that more was durable than there is. */
const markFile = z.strictObject({ mark: markBody, sha256: z.string() });

/** How far history and packs are known to have been durable. */
export interface DurableMark {
  readonly history: DurablePoint;
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
  const file = bytes && markFile.safeParse(jsonOf(bytes)).data;
  if (file?.sha256 !== (file && sumOf(file.mark))) return undefined; // damaged: as good as none
  return file?.mark.vault === basename(dir) ? file.mark : undefined;
}

function sumOf(mark: z.infer<typeof markBody>): string {
  return hex(sha256(utf8(JSON.stringify(mark))));
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
    const { file, offset, generation = 0 } = history;
    const point = { file, offset, generation };
    const mark = markBody.parse({ version: 1, vault: basename(dir), history: point, packs });
    const text = `${JSON.stringify({ mark, sha256: sumOf(mark) })}\n`;
    await writeFileDurably(files, join(dir, FILE), Buffer.from(text), { mode: 0o600 });
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
  }
}

/** For a repair that accepts that the end of the history is gone. */
export function removeMark(files: FilePort, dir: string): Promise<void> {
  return removeDurably(files, join(dir, FILE));
}
