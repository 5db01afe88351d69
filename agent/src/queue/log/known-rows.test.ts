import type { IndexOptions } from '@aliquot/shared/derived/level-index';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { openIndex } from '@aliquot/shared/derived/open-index';
import { MemoryIndex, MemoryRows } from '@aliquot/shared/testing/derived/memory-index';
import { type SeededRandom, seededSource } from '@aliquot/shared/testing/random';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../../testing/queue/support.ts';
import type { KnownStat } from './facts.ts';
import { familyRange } from './index-rows.ts';
import { BLOCK_BYTES, BLOCK_FILES, decodeColumns, packKnown, unpackKnown } from './known-block.ts';
import { type KnownChange, KnownRows } from './known-rows.ts';
import { CONTENT_TAG_BYTES, type KnownRecord } from './payloads.ts';

type Index = ConstructorParameters<typeof KnownRows>[0];

const record = (path: Uint8Array, entry: number): KnownRecord => {
  const stat: KnownStat = {
    path,
    kind: entry % 7 === 0 ? 'directory' : 'file',
    size: entry * 1000,
    mtimeNs: BigInt(entry) * -1_000_000_007n,
    ctimeNs: 2n ** 62n + BigInt(entry),
    ino: 2n ** 64n - BigInt(entry),
    mode: entry % 2 === 0 ? 0o644 : 0xffff_ffff,
    contentTag: new Uint8Array(CONTENT_TAG_BYTES).fill(entry % 256),
    capturedAtMs: 1_790_000_000_000 + entry,
    resultPathLength: entry % path.length,
  };
  return { entry, stat };
};
const known = (path: Uint8Array, entry: number): KnownChange => ({
  path,
  known: record(path, entry),
});
const gone = (path: Uint8Array): KnownChange => ({ path, known: undefined });
const text = (path: Uint8Array) => Buffer.from(path).toString('latin1');

/** Writes what waits, as the queue's index does, and gives what its mark remembers. */
async function write(rows: KnownRows, index: Index): Promise<number> {
  await rows.fold();
  await index.flush(Buffer.from(String(rows.besideBytes)));
  rows.flushed();
  return rows.besideBytes;
}

async function all(rows: KnownRows, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of rows.batches(Buffer.from(prefix, 'latin1')))
    for (const { entry, stat } of batch) found.push(`${text(stat.path)} ${entry}`);
  return found;
}

async function rowsOf(index: Index, family: 'k' | 'K'): Promise<number> {
  let count = 0;
  for await (const batch of index.batches(familyRange(family))) count += batch.length;
  return count;
}

describe('blocks of known files', () => {
  const paths = ['/a', '/a/b', '/a/b c', '/a\xff', '/b/\x01'].map((name) =>
    Buffer.from(name, 'latin1'),
  );

  test('give each file back as it was', () => {
    const files = paths.map((path, at) => record(path, at + 1));
    const changes = new KnownRows(new MemoryIndex(), 0);
    changes.stage(files.map((file) => ({ path: file.stat.path, known: file })));
    expect(changes.staged).toBe(paths.length);
    return Promise.all(
      files.map(async (file) => expect(await changes.get(file.stat.path)).toEqual(file)),
    );
  });

  test('hold 128 files at most, and paths of 32 KiB one by one', async () => {
    const short = Array.from({ length: 300 }, (_, at) => ({
      path: Buffer.from(`/data/${String(at).padStart(4, '0')}`),
      columns: Buffer.alloc(70, at),
    }));
    const blocks = packKnown(short);
    expect(blocks.map(({ files }) => files)).toEqual([BLOCK_FILES, BLOCK_FILES, 44]);
    expect(blocks.flatMap(({ bytes }) => unpackKnown(bytes))).toEqual(short);
    const long = ['a', 'b', 'c'].map((letter) => ({
      path: Buffer.alloc(32 * 1024, letter),
      columns: Buffer.alloc(70),
    }));
    expect(packKnown(long).map(({ files }) => files)).toEqual([1, 1, 1]);
    const alike = Array.from({ length: 128 }, (_, at) => ({
      path: Buffer.concat([Buffer.alloc(32 * 1024 - 1, 'x'), Buffer.of(at)]),
      columns: Buffer.alloc(70),
    }));
    const [first, ...rest] = packKnown(alike);
    expect(first?.bytes.length).toBeGreaterThan(32 * 1024);
    for (const { bytes } of rest) expect(bytes.length).toBeLessThan(32 * 1024 + BLOCK_BYTES);
  });

  test('that are cut, lengthened or of another layout are refused', () => {
    const rows = paths.map((path) => ({ path, columns: Buffer.alloc(70) }));
    const bytes = Buffer.from(packKnown(rows)[0]?.bytes ?? []);
    const refused = expect.objectContaining({ code: 'QUEUE_DAMAGED' });
    const sizes = new Set<number>();
    for (let length = 1; length < bytes.length; length += 1) {
      try {
        sizes.add(unpackKnown(bytes.subarray(0, length)).length);
      } catch (error) {
        expect(error).toEqual(refused);
      }
    }
    // Only a cut between two files reads, as a block of fewer.
    expect([...sizes]).toEqual([0, 1, 2, 3, 4]);
    expect(() => unpackKnown(Buffer.concat([bytes, Buffer.of(9)]))).toThrow(refused);
    expect(() => unpackKnown(Buffer.concat([Buffer.of(2), bytes.subarray(1)]))).toThrow(refused);
    expect(() => unpackKnown(Buffer.alloc(0))).toThrow(refused);
    expect(() => decodeColumns({ path: Buffer.from('/a'), columns: Buffer.alloc(20) })).toThrow(
      refused,
    );
  });
});

describe('known files in the index', () => {
  test('one changed file costs one row, many of one block cost the block', async () => {
    const index = new MemoryIndex();
    const rows = new KnownRows(index, 0);
    const path = (at: number) => Buffer.from(`/data/${String(at).padStart(6, '0')}`);
    rows.stage(Array.from({ length: 1280 }, (_, at) => known(path(at), at + 1)));
    await write(rows, index);
    expect([await rowsOf(index, 'K'), await rowsOf(index, 'k')]).toEqual([10, 0]);
    rows.stage([known(path(500), 2000)]);
    await write(rows, index);
    expect([await rowsOf(index, 'K'), await rowsOf(index, 'k')]).toEqual([10, 1]);
    expect((await rows.written(path(500)))?.entry).toBe(2000);
    rows.stage(Array.from({ length: 8 }, (_, at) => known(path(510 - at), 3000 + at)));
    await write(rows, index);
    expect([await rowsOf(index, 'K'), await rowsOf(index, 'k')]).toEqual([10, 0]);
    expect((await rows.written(path(500)))?.entry).toBe(2000);
    expect((await rows.written(path(510)))?.entry).toBe(3000);
    rows.stage(Array.from({ length: 1280 }, (_, at) => gone(path(at))));
    await write(rows, index);
    expect([await rowsOf(index, 'K'), await rowsOf(index, 'k')]).toEqual([0, 0]);
  });

  test('files that come one by one do not stay beside the blocks for ever', async () => {
    const index = new MemoryIndex();
    const rows = new KnownRows(index, 0);
    const path = (at: number) =>
      Buffer.concat([Buffer.alloc(20_000, '/'), Buffer.from(String(at).padStart(5, '0'))]);
    let most = 0;
    for (let at = 0; at < 60; at += 1) {
      rows.stage([known(path((at * 37) % 60), at + 1)]);
      most = Math.max(most, await write(rows, index));
    }
    expect(most).toBeLessThan(640 * 1024);
    expect(await rowsOf(index, 'k')).toBeLessThan(20);
    expect(await all(rows)).toHaveLength(60);
    expect(await rows.disorder()).toBeUndefined();
  });

  /**
   * Names that meet at every edge: a folder beside names that continue it, any bytes, long ones.
   */
  const somePath = (random: SeededRandom, long: boolean): Buffer => {
    const parts = ['a', 'a b', 'a/b', 'a/c', 'a\xff', '\x01', 'run.D', 'run.D/x', 'z'];
    const folder = `/data/${random.pick(parts)}/${random.pick(parts)}`;
    const name = String(random.below(120)).padStart(random.below(2) * 4, '0');
    const fill = long && random.chance(0.2) ? 'l'.repeat(9000 + random.below(23_000)) : '';
    return Buffer.from(`${folder}/${fill}${name}`, 'latin1');
  };

  /** Changes at random, against a plain map; a crash forgets what no flush has written. */
  async function life(
    random: SeededRandom,
    turns: number,
    index: Index,
    again: () => Promise<Index>,
    long: boolean,
  ): Promise<void> {
    let open = index;
    let rows = new KnownRows(open, 0);
    let durable = new Map<string, number>();
    let waiting = new Map<string, number>();
    let entry = 0;
    for (let turn = 0; turn < turns; turn += 1) {
      const most = random.pick([1, 3, 20, 200]);
      const isRun = random.chance(0.5);
      const base = somePath(random, long);
      const changes: KnownChange[] = [];
      for (let count = 1 + random.below(most); count > 0; count -= 1) {
        const path = isRun
          ? Buffer.concat([base, Buffer.from(`-${random.below(300)}`)])
          : somePath(random, long);
        entry += 1;
        changes.push(random.chance(0.25) ? gone(path) : known(path, entry));
      }
      rows.stage(changes);
      for (const { path, known: now } of changes) {
        if (now === undefined) waiting.delete(text(path));
        else waiting.set(text(path), now.entry);
      }
      const one = random.pick(changes).path;
      expect((await rows.get(one))?.entry).toBe(waiting.get(text(one)));
      expect((await rows.written(one))?.entry).toBe(durable.get(text(one)));
      if (random.chance(0.2)) {
        // A crash: between the change and its flush, or in the middle of that.
        if (random.chance(0.5)) await rows.fold();
        const mark = open.mark;
        open = await again();
        expect(text(open.mark ?? Buffer.of())).toBe(text(mark ?? Buffer.of()));
        rows = new KnownRows(open, Number(Buffer.from(mark ?? []).toString() || 0));
        waiting = new Map(durable);
      } else if (random.chance(0.8)) {
        await write(rows, open);
        durable = new Map(waiting);
      }
      if (turn % 5 > 0) continue;
      const prefix = random.pick(['', '/data/a', '/data/a/', '/data/a b/run.D', '/data/run.D/x/l']);
      const expected = [...durable]
        .filter(([path]) => path.startsWith(prefix))
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([path, number]) => `${path} ${number}`);
      expect(await all(rows, prefix)).toEqual(expected);
      expect(await rows.disorder()).toBeUndefined();
      let beside = 0;
      for await (const batch of open.batches(familyRange('k')))
        for (const [key, value] of batch) beside += key.length + value.length;
      expect(beside).toBeLessThanOrEqual(rows.besideBytes);
    }
  }

  test.each(Array.from({ length: 12 }, (_, seed) => seed))(
    'I-A5b: blocks and what stands beside them say what a plain map says, crashes included (seed %i)',
    async (seed) => {
      const written = new MemoryRows();
      await life(
        seededSource(`known rows ${seed}`),
        60,
        new MemoryIndex(written),
        async () => new MemoryIndex(written),
        seed % 3 === 0,
      );
    },
  );

  test('I-A5b: a flush between the two looks of a listing hides no file, and no newer state', async () => {
    const index = new MemoryIndex();
    const rows = new KnownRows(index, 0);
    const path = (at: number) => Buffer.from(`/data/${String(at).padStart(4, '0')}`);
    rows.stage(Array.from({ length: 300 }, (_, at) => known(path(2 * at), at + 1)));
    await write(rows, index);
    for (const at of [1, 7, 300]) rows.stage([known(path(at), 1000 + at)]);
    rows.stage([gone(path(10))]);
    await write(rows, index);
    expect(await rowsOf(index, 'k')).toBe(4);
    const before = await all(rows);
    // What stands beside goes into the blocks, with changes of others, before those are read.
    const batches = index.batches.bind(index);
    let flushes = 0;
    index.batches = async function* (range, options) {
      if (flushes === 0 && range.gte[0] === 'K'.charCodeAt(0)) {
        flushes += 1;
        rows.stage(Array.from({ length: 300 }, (_, at) => known(path(2 * at + 1), 2000 + at)));
        await write(rows, index);
      }
      yield* batches(range, options);
    };
    const during = await all(rows);
    expect(flushes).toBe(1);
    expect(await rowsOf(index, 'k')).toBe(0);
    const entryOf = (list: readonly string[]) =>
      new Map(list.map((line) => line.split(' ') as [string, string]));
    for (const [name, entry] of entryOf(before))
      expect(Number(entryOf(during).get(name))).toBeGreaterThanOrEqual(Number(entry));
    expect(during).not.toContain(expect.stringContaining(`${text(path(10))} `));
  });

  test('I-A5b: a listing of many blocks begins anew in the middle, and misses nothing', async () => {
    const index = new MemoryIndex();
    const rows = new KnownRows(index, 0);
    const path = (at: number) => Buffer.from(`/data/${String(at).padStart(6, '0')}`);
    const count = 600 * BLOCK_FILES;
    rows.stage(Array.from({ length: count }, (_, at) => known(path(2 * at), at + 1)));
    await write(rows, index);
    expect(await rowsOf(index, 'K')).toBe(600);
    // Around the 512th block, where it begins anew, something stands beside too.
    const edge = 2 * 512 * BLOCK_FILES;
    for (const at of [edge - 3, edge - 1, edge, edge + 1]) {
      rows.stage([known(path(at), 500_000 + at)]);
      await write(rows, index);
    }
    const before = await all(rows);
    expect(before).toHaveLength(count + 3);
    expect([...before].sort()).toEqual(before);
    for (const at of [edge - 3, edge - 1, edge, edge + 1])
      expect(before).toContain(`${text(path(at))} ${500_000 + at}`);
    const during: string[] = [];
    for await (const batch of rows.batches(Buffer.from('/data/'))) {
      for (const { entry, stat } of batch) during.push(`${text(stat.path)} ${entry}`);
      if (during.length !== 10 * BLOCK_FILES) continue;
      // The block that it would go on from is written anew, without its first files.
      rows.stage(Array.from({ length: 9 }, (_, at) => gone(path(edge + at))));
      await write(rows, index);
    }
    const left = before.filter((line) => {
      const at = Number(line.slice(6, 12));
      return at < edge || at >= edge + 9;
    });
    const [had, seen] = [new Set(before), new Set(during)];
    expect(during.filter((line) => !had.has(line))).toEqual([]);
    expect(left.filter((line) => !seen.has(line))).toEqual([]);
    expect([...during].sort()).toEqual(during);
    expect(seen.size).toBe(during.length);
  }, 60_000);

  test('I-A5b: so they do in LevelDB', async () => {
    const folder = temporaryFolder();
    const options: IndexOptions = {
      ...{ dir: folder.dir, what: 'the index', owner: new Uint8Array(16) },
      ...{ cacheBytes: 1 << 20, writeBufferBytes: 1 << 20 },
    };
    let open = await openIndex(nodeDisk, options);
    try {
      const reopen = async () => {
        await open.close();
        open = await openIndex(nodeDisk, options);
        return open;
      };
      await life(seededSource('known rows in LevelDB'), 60, open, reopen, true);
    } finally {
      await open.close();
      folder.remove();
    }
  });
});
