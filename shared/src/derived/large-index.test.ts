import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededSource } from '../../testing/random.ts';
import { type DerivedIndex, rowsOf } from './derived-index.ts';
import { isRebuild } from './errors.ts';
import { lookAtFolder } from './level-folder.ts';
import { nodeDisk } from './node-level.ts';
import { openIndex } from './open-index.ts';

const ROWS = 7000;
const ROW_BYTES = 2048;
const A_FLUSH = 500;

/** More than is read before an index is opened: the rest is read as somebody asks, and besides. */
let made: string;
let folder: string;

const open = (dir: string): Promise<DerivedIndex> =>
  openIndex(nodeDisk, {
    ...{ dir, what: 'the index', owner: Buffer.alloc(16, 1) },
    ...{ cacheBytes: 1 << 20, writeBufferBytes: 1 << 20 },
  });

const keyOf = (at: number): Buffer => Buffer.from(`k${String(at).padStart(6, '0')}`);
const rowOf = (at: number): Buffer => Buffer.from(seededSource(`row ${at}`).bytes(ROW_BYTES));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-test-'));
  made = join(folder, 'index');
  const index = await open(made);
  for (let at = 0; at < ROWS; at += 1) {
    index.put(keyOf(at), rowOf(at));
    if ((at + 1) % A_FLUSH === 0) await index.flush(Buffer.from('mark'), { sync: true });
  }
  await index.close();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of which one bit of one table is another. */
function flippedIn(table: string): string {
  const dir = join(folder, 'copy');
  rmSync(dir, { recursive: true, force: true });
  cpSync(made, dir, { recursive: true });
  const bytes = readFileSync(join(dir, table));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4;
  writeFileSync(join(dir, table), bytes);
  return dir;
}

/** Those that are in use: LevelDB may leave one behind that it has merged already. */
async function tables(): Promise<string[]> {
  const found = await lookAtFolder(nodeDisk, made);
  if (found.state !== 'whole') throw new Error('the index is not whole');
  return found.tables.map(({ path }) => basename(path));
}

test('D4 whatever table of a large index is damaged, no answer is wrong, all of it is proved in the end, and nothing is answered after that', async () => {
  let late = 0;
  for (const table of await tables()) {
    const dir = flippedIn(table);
    const index = await open(dir).catch((error: unknown) => {
      if (!isRebuild(error)) throw error;
      return undefined;
    });
    if (index !== undefined) {
      late += 1;
      let refused = 0;
      for (let at = 0; at < ROWS; at += 97) {
        const value = await index.get(keyOf(at)).catch((error: unknown) => {
          if (!isRebuild(error)) throw error;
          refused += 1;
        });
        if (refused === 0) expect(value).toEqual(rowOf(at));
        else expect(value).toBeUndefined();
      }
      await expect(index.prove()).rejects.toSatisfy(isRebuild);
      await expect(index.get(keyOf(0))).rejects.toSatisfy(isRebuild);
      await expect(index.flush(Buffer.from('later'))).rejects.toSatisfy(isRebuild);
      await index.close();
    }
    await expect(open(dir)).rejects.toSatisfy(isRebuild);
  }
  expect(late).toBeGreaterThan(0);
});

test('D4 damage that nobody asks about is found besides, and whoever asks next hears of it', async () => {
  for (const table of await tables()) {
    const dir = flippedIn(table);
    const index = await open(dir).catch((error: unknown) => {
      if (!isRebuild(error)) throw error;
      return undefined;
    });
    if (index === undefined) continue;
    // Made by nobody's question: `close` waits for it.
    for (;;) {
      const names = readdirSync(dir);
      if (names.includes('REBUILD')) break;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect(index.get(keyOf(ROWS))).rejects.toSatisfy(isRebuild);
    await index.close();
    return;
  }
  throw new Error('no table is proved besides');
});

test('D4 a sound large index answers while it is proved, and is proved in the end', async () => {
  const index = await open(made);
  expect(await index.get(keyOf(ROWS - 1))).toEqual(rowOf(ROWS - 1));
  await index.prove();
  let rows = 0;
  for await (const [key] of rowsOf(index, { gte: Buffer.from('k') }))
    expect(key).toEqual(keyOf(rows++));
  expect(rows).toBe(ROWS);
  await index.close();
});
