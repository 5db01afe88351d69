import { join } from 'node:path';
import { writeFileDurably } from '../durable/durable.ts';
import { withFileErrors } from '../durable/errors.ts';
import type { OpenFile } from '../durable/file-port.ts';
import { crc32c } from './crc32c.ts';
import type { Row } from './derived-index.ts';
import { REBUILD_FILE } from './level-folder.ts';
import type { IndexOptions } from './level-index.ts';
import { readLevelLog } from './level-log.ts';
import type { DiskPort, KeyRange } from './level-port.ts';
import { changesInTable, type LevelChange } from './level-table.ts';
import { checkedValue } from './seal.ts';
import { Cursor, Malformed } from './varint.ts';

const EVERYTHING = Number.MAX_SAFE_INTEGER;
/** A batch begins with the number of its first change, and how many it has. */
const BATCH_HEADER_BYTES = 12;
const [REMOVED, PUT] = [0, 1] as const;

/**
 * Gives the sound rows of a range that a damaged index still has, each once, in no promised order:
 * what its owner wants to keep of it, or to report, before it removes it. A row may be an older
 * one, or one that was removed since, so none of them proves anything. From the first call on it is
 * never believed as an index again. Keeps the keys of the range in memory. Seam: for the owners.
 *
 * LevelDB is not asked: it takes damage for what it wrote, and one wrong bit ends the process.
 */
export async function* salvagedRows(
  disk: DiskPort,
  { dir, what, owner }: Pick<IndexOptions, 'dir' | 'what' | 'owner'>,
  range: KeyRange,
): AsyncGenerator<Row, void, void> {
  await writeFileDurably(disk, join(dir, REBUILD_FILE), Buffer.from(`${what}\n`));
  const check = crc32c(owner);
  const newest = new Map<string, number>();
  for await (const { key, number } of changesOf(disk, dir, range)) {
    const name = nameOf(key);
    newest.set(name, Math.max(number, newest.get(name) ?? 0));
  }
  for await (const { key, number, value: stored } of changesOf(disk, dir, range)) {
    const name = nameOf(key);
    if (newest.get(name) !== number) continue;
    // LevelDB may have both a table and the log that it was written from.
    newest.delete(name);
    const value = stored && checkedValue(check, key, Buffer.from(stored));
    if (value !== undefined) yield [Buffer.from(key), value];
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1');
}

/** Every change of a row of the range that a table or a log still has, in no order. */
async function* changesOf(
  disk: DiskPort,
  dir: string,
  { gte, lt }: KeyRange,
): AsyncGenerator<LevelChange> {
  const isIn = ({ key }: LevelChange): boolean =>
    Buffer.compare(key, gte) >= 0 && (lt === undefined || Buffer.compare(key, lt) < 0);
  const names: string[] = [];
  await withFileErrors('list', dir, async () => {
    for await (const { name } of disk.list(dir)) names.push(name.toString('latin1'));
  });
  for (const name of names.sort()) {
    const read = /^\d+\.(ldb|sst)$/.test(name)
      ? changesInTable
      : /^\d+\.log$/.test(name)
        ? changesInLog
        : undefined;
    if (read === undefined) continue;
    const path = join(dir, name);
    const file = await withFileErrors('read', path, () => disk.open(path, 'read'));
    try {
      const { size } = await file.facts();
      for await (const change of read(file, size)) if (isIn(change)) yield change;
    } finally {
      await file.close();
    }
  }
}

/** The changes in the sound records of a log. Keeps the log in memory: LevelDB bounds it. */
async function* changesInLog(file: OpenFile, size: number): AsyncGenerator<LevelChange> {
  const batches: Uint8Array[] = [];
  await readLevelLog(file, size, { keep: EVERYTHING, salvage: true }, (batch) => {
    batches.push(batch);
  });
  for (const batch of batches) yield* changesInBatch(batch);
}

function changesInBatch(batch: Uint8Array): LevelChange[] {
  const changes: LevelChange[] = [];
  if (batch.length < BATCH_HEADER_BYTES) return changes;
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  let number = Number(view.getBigUint64(0, true));
  try {
    for (const at = new Cursor(batch, BATCH_HEADER_BYTES); !at.atEnd; number += 1) {
      const [kind] = at.take(1);
      const key = at.sized();
      if (kind === PUT) changes.push({ key, number, value: at.sized() });
      else if (kind === REMOVED) changes.push({ key, number, value: undefined });
      else break;
    }
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
  }
  return changes;
}
