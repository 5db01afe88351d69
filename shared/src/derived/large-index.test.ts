import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemError } from '../../testing/faulty-files.ts';
import { seededSource } from '../../testing/random.ts';
import { FileError } from '../durable/errors.ts';
import { type DerivedIndex, rowsOf } from './derived-index.ts';
import { isRebuild } from './errors.ts';
import { lookInUse } from './level-folder.ts';
import type { DiskPort } from './level-port.ts';
import { nodeDisk } from './node-level.ts';
import { openIndex } from './open-index.ts';

const ROWS = 7000;
const ROW_BYTES = 2048;
const A_FLUSH = 500;

/** More than is read before an index is opened: the rest is read as somebody asks, and besides. */
let made: string;
let folder: string;

const open = (dir: string, disk = nodeDisk, mostMappedBytes?: number): Promise<DerivedIndex> =>
  openIndex(disk, {
    ...{ dir, what: 'the index', owner: Buffer.alloc(16, 1) },
    ...{ cacheBytes: 1 << 20, writeBufferBytes: 1 << 20 },
    ...(mostMappedBytes === undefined ? {} : { mostMappedBytes }),
  });

const keyOf = (at: number): Buffer => Buffer.from(`k${String(at).padStart(6, '0')}`);
const rowOf = (at: number): Buffer => Buffer.from(seededSource(`row ${at}`).bytes(ROW_BYTES));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-test-'));
  made = join(folder, 'index');
  let from = 0;
  // LevelDB merges when it likes. Until it has, each table holds the row that every opening asks
  // for, and so all of them are proved there.
  do {
    const index = await open(made);
    for (let at = from; at < ROWS; at += 1) {
      index.put(keyOf(at), rowOf(at));
      if ((at + 1) % A_FLUSH === 0) await index.flush(Buffer.from('mark'), { sync: true });
    }
    await index.close();
    from = ROWS - A_FLUSH;
  } while ((await readLater()) === 0);
});

/** How many tables are not read before the index is opened. */
async function readLater(): Promise<number> {
  const found = await lookInUse(nodeDisk, made);
  if (found.state !== 'whole') throw new Error('the index is not whole');
  let bytes = 0;
  return found.tables.filter(({ size, first }) => {
    bytes += size;
    return bytes > 8 * 1024 * 1024 && Buffer.compare(first, keyOf(0)) >= 0;
  }).length;
}

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
  const found = await lookInUse(nodeDisk, made);
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

/**
 * An index that is read to its end only when `release` says so, and of which LevelDB writes tables
 * anew meanwhile.
 */
async function rewritten(dir: string): Promise<{ index: DerivedIndex; release: () => void }> {
  rmSync(dir, { recursive: true, force: true });
  cpSync(made, dir, { recursive: true });
  const found = await lookInUse(nodeDisk, dir);
  if (found.state !== 'whole') throw new Error('the index is not whole');
  const late = new Set<string>();
  let bytes = 0;
  for (const { path, size, first } of found.tables) {
    bytes += size;
    // One that may hold the seal is read before LevelDB is opened, too.
    if (bytes > 8 << 20 && first[0] !== 0) late.add(path);
  }
  expect(late.size).toBeGreaterThan(0);
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const slow: DiskPort = {
    ...nodeDisk,
    open: async (path, mode, permissions) => {
      const file = await nodeDisk.open(path, mode, permissions);
      if (!late.has(path.toString())) return file;
      const read = file.read.bind(file);
      file.read = async (into, position) => {
        await promise;
        return read(into, position);
      };
      return file;
    },
  };
  const index = await open(dir, slow);
  rmSync(join(dir, 'PROVED'), { force: true }); // of the opening before
  for (let turn = 0; !(await stateOf(dir)).isRewritten; turn += 1) {
    for (let at = turn % 3; at < ROWS; at += 3) index.put(keyOf(at), rowOf(at));
    await index.flush(Buffer.from('mark'), { sync: true });
  }
  return { index, release };
}

/** LevelDB may be at work: then it is looked at again. */
async function stateOf(dir: string): Promise<{ readonly isRewritten: boolean }> {
  const now = await lookInUse(nodeDisk, dir).catch((error: unknown) => {
    if (!(error instanceof FileError)) throw error;
  });
  return now?.state === 'whole' ? now.opening : { isRewritten: false };
}

/** The folder as a crash at this moment leaves it. */
async function crashed(dir: string): Promise<string> {
  const copy = `${dir}-crashed`;
  for (;;) {
    rmSync(copy, { recursive: true, force: true });
    try {
      cpSync(dir, copy, { recursive: true });
    } catch {
      continue; // LevelDB has just removed a file
    }
    if ((await stateOf(copy)).isRewritten) return copy;
  }
}

test('D4 tables that LevelDB wrote anew before they were proved are not believed after a crash, and are after a proof', async () => {
  const dir = join(folder, 'rewritten');
  const { index, release } = await rewritten(dir);
  await expect(open(await crashed(dir))).rejects.toMatchObject({
    code: 'DERIVED_REBUILD',
    message: expect.stringContaining('before they were proved'),
  });
  release();
  // `PROVED` is written besides; until then a crash leaves what it left before.
  while (!readdirSync(dir).includes('PROVED')) await new Promise(setImmediate);
  const again = await open(await crashed(dir));
  for (let at = 0; at < ROWS; at += 97) expect(await again.get(keyOf(at))).toEqual(rowOf(at));
  await again.close();
  await index.close();
});

test('a full disk keeps nobody from an index that was proved', async () => {
  const dir = join(folder, 'full');
  cpSync(made, dir, { recursive: true });
  const full: DiskPort = {
    ...nodeDisk,
    open: async (path, mode, permissions) => {
      if (mode === 'createNew') throw systemError('ENOSPC', 'open', path.toString());
      return nodeDisk.open(path, mode, permissions);
    },
  };
  // So little is mapped that it rests, and is opened again, every few rows.
  const index = await open(dir, full, 64 << 10);
  await index.prove();
  for (let at = 0; at < ROWS; at += 97) expect(await index.get(keyOf(at))).toEqual(rowOf(at));
  await index.close();
});

test('D4 an end in good order waits for the proof of what LevelDB wrote anew, and nothing is made again', async () => {
  const dir = join(folder, 'closed');
  const { index, release } = await rewritten(dir);
  const closed = index.close();
  release();
  await closed;
  const again = await open(dir);
  for (let at = 0; at < ROWS; at += 97) expect(await again.get(keyOf(at))).toEqual(rowOf(at));
  await again.close();
});
