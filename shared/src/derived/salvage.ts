import { join } from 'node:path';
import { writeFileDurably } from '../durable/durable.ts';
import { crc32c } from './crc32c.ts';
import type { Row } from './derived-index.ts';
import { told } from './level-errors.ts';
import { REBUILD_FILE } from './level-folder.ts';
import type { IndexOptions } from './level-index.ts';
import type { DiskPort, KeyRange, LevelDatabase, LevelPort } from './level-port.ts';
import { levelTrouble } from './level-trouble.ts';
import { checkedValue } from './seal.ts';

const SCAN_ROWS = 512;
const SCAN_BYTES = 128 * 1024;

/**
 * Gives the sound rows of a range that a damaged index still has, each once, in no promised order:
 * what its owner wants to keep of it, or to report, before it removes it. A row may be an older
 * one, or one that was removed since, so none of them proves anything. From the first call on it is
 * never believed as an index again. Seam: for the owners.
 */
export async function* salvagedRows(
  disk: DiskPort,
  options: IndexOptions,
  range: KeyRange,
): AsyncGenerator<Row, void, void> {
  const { dir, what } = options;
  await writeFileDurably(disk, join(dir, REBUILD_FILE), Buffer.from(`${what}\n`));
  const owner = crc32c(options.owner);
  let database: LevelDatabase;
  try {
    database = await openDamaged(disk.level, options);
  } catch (error) {
    if (levelTrouble(error) !== 'damaged') throw told(error, what);
    return;
  }
  const iterator = database.iterator({ ...range, highWaterMarkBytes: SCAN_BYTES });
  try {
    for (;;) {
      const stored = await iterator.nextv(SCAN_ROWS);
      if (stored.length === 0) return;
      for (const [key, bytes] of stored) {
        const value = checkedValue(owner, key, bytes);
        if (value !== undefined) yield [key, value];
      }
    }
  } catch (error) {
    if (levelTrouble(error) !== 'damaged') throw told(error, what);
  } finally {
    await iterator.close();
    await database.close();
  }
}

async function openDamaged(level: LevelPort, options: IndexOptions): Promise<LevelDatabase> {
  const { dir, cacheBytes, writeBufferBytes } = options;
  const open = () =>
    level.open(dir, {
      createIfMissing: false,
      cacheSize: cacheBytes,
      writeBufferSize: writeBufferBytes,
    });
  try {
    return await open();
  } catch (error) {
    if (levelTrouble(error) !== 'damaged') throw error;
    await level.repair(dir);
    return open();
  }
}
