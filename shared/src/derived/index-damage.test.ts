import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededSource } from '../../testing/random.ts';
import { type DerivedIndex, rowsOf } from './derived-index.ts';
import { DerivedError } from './errors.ts';
import { lookInUse } from './level-folder.ts';
import type { IndexOptions } from './level-index.ts';
import type { LevelPort } from './level-port.ts';
import { nodeDisk } from './node-level.ts';
import { openIndex, removeIndex } from './open-index.ts';

const OWNER = Buffer.alloc(16, 1);
const FLUSHES = 60;
const KEYS = 900;
const FLIPS_A_FILE = 24;

/** The rows after each flush, by its mark; and the folder in which all of this happened. */
const states = new Map<string, ReadonlyMap<string, string>>();
let folder: string;
let made: string;
/** What it needs. */
let names: string[];
/** Tables that LevelDB has merged into others, and not removed yet. */
let merged: string[];

function open(dir: string, changes: Partial<IndexOptions> = {}): Promise<DerivedIndex> {
  return openIndex(nodeDisk, {
    dir,
    what: 'the index',
    owner: OWNER,
    cacheBytes: 1 << 20,
    writeBufferBytes: 120 * 1024,
    ...changes,
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-test-'));
  made = join(folder, 'index');
  const random = seededSource('index-damage');
  const rows = new Map<string, string>();
  let index = await open(made);
  for (let flush = 1; flush <= FLUSHES; flush += 1) {
    for (let count = 0; count < 40; count += 1) {
      const key = `k${random.below(KEYS)}`;
      if (random.chance(0.2)) {
        rows.delete(key);
        index.del(Buffer.from(key));
      } else {
        // Half of it packs, half does not.
        const value = `${'same '.repeat(10)}${Buffer.from(random.bytes(60)).toString('hex')}`;
        rows.set(key, value);
        index.put(Buffer.from(key), Buffer.from(value));
      }
    }
    await index.flush(Buffer.from(String(flush)), { sync: true });
    states.set(String(flush), new Map(rows));
    if (flush === FLUSHES / 2) {
      await index.close();
      index = await open(made);
    }
  }
  await index.close();
  const look = await lookInUse(nodeDisk, made);
  const needed = look.state === 'whole' ? look.tables.map(({ path }) => basename(path)) : [];
  const all = readdirSync(made);
  merged = all.filter((name) => name.endsWith('.ldb') && !needed.includes(name));
  names = [...all.filter((name) => /^(CURRENT|MANIFEST-.*|\d+\.log)$/.test(name)), ...needed];
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of the folder in which something happened. */
function copyAfter(damage: (dir: string) => void): string {
  const dir = join(folder, 'copy');
  rmSync(dir, { recursive: true, force: true });
  cpSync(made, dir, { recursive: true });
  damage(dir);
  return dir;
}

/** The mark whose rows it gives, every one of them and no other; or `rebuild`. */
async function answerOf(dir: string): Promise<string> {
  let index: DerivedIndex | undefined;
  try {
    index = await open(dir);
    const mark = Buffer.from(index.mark ?? []).toString();
    const expected = states.get(mark) ?? new Map();
    const found = new Map<string, string>();
    for await (const [key, value] of rowsOf(index, { gte: Buffer.from('k') }))
      found.set(key.toString(), value.toString());
    expect(found).toEqual(expected);
    const keys = Array.from({ length: KEYS }, (_, at) => `k${at}`);
    const values = await index.getMany(keys.map((key) => Buffer.from(key)));
    expect(values.map((value) => value?.toString())).toEqual(keys.map((key) => expected.get(key)));
    return mark;
  } catch (error) {
    if (!(error instanceof DerivedError)) throw error;
    expect(error.code).toBe('DERIVED_REBUILD');
    return 'rebuild';
  } finally {
    await index?.close();
  }
}

const fileOf = (pattern: RegExp): string => names.find((name) => pattern.test(name)) ?? 'none';
const sizeOf = (name: string): number => statSync(join(made, name)).size;
const logs = (): string[] => names.filter((name) => name.endsWith('.log'));
const tables = (): string[] => names.filter((name) => name.endsWith('.ldb'));

describe('a derived index over LevelDB gives the rows of one flush, or says that it must be made again', () => {
  test('when nothing happened to it', async () => {
    expect(tables().length).toBeGreaterThan(1);
    expect(logs().length).toBeGreaterThan(0);
    expect(await answerOf(copyAfter(() => undefined))).toBe(String(FLUSHES));
  });

  test('when one bit of any of its files is another', async () => {
    const random = seededSource('flips');
    const answers = new Map<string, number>();
    let flips = 0;
    for (const name of names) {
      const size = statSync(join(made, name)).size;
      for (let flip = 0; flip < FLIPS_A_FILE; flip += 1) {
        const at = Math.floor(((flip + 0.5) * size) / FLIPS_A_FILE);
        const dir = copyAfter((copy) => {
          const bytes = readFileSync(join(copy, name));
          bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
          writeFileSync(join(copy, name), bytes);
        });
        const answer = await answerOf(dir);
        answers.set(answer, (answers.get(answer) ?? 0) + 1);
        // Only where the end of a log has rotted may it fall back, as after a power failure.
        if (!name.endsWith('.log')) expect(['rebuild', String(FLUSHES)]).toContain(answer);
        flips += 1;
      }
    }
    expect(flips).toBeGreaterThanOrEqual(60);
    expect(answers.get('rebuild')).toBeGreaterThan(flips * 0.8);
  });

  test('when a file of it is gone', async () => {
    for (const name of names.filter((other) => !other.endsWith('.log'))) {
      const dir = copyAfter((copy) => rmSync(join(copy, name)));
      expect([name, await answerOf(dir)]).toEqual([name, 'rebuild']);
    }
    for (const name of merged) {
      const dir = copyAfter((copy) => rmSync(join(copy, name)));
      expect([name, await answerOf(dir)]).toEqual([name, String(FLUSHES)]);
    }
    // The newest of two logs is like the end of one: who has lost it falls back.
    for (const name of logs()) await answerOf(copyAfter((copy) => rmSync(join(copy, name))));
    const dir = copyAfter((copy) => {
      for (const name of logs()) rmSync(join(copy, name));
    });
    expect(await answerOf(dir)).toBe('rebuild');
  });

  test('when a file of it is cut anywhere', async () => {
    for (const name of names) {
      const size = statSync(join(made, name)).size;
      for (const part of [0, 0.1, 0.33, 0.5, 0.77, 0.99]) {
        const dir = copyAfter((copy) => truncateSync(join(copy, name), Math.floor(size * part)));
        const answer = await answerOf(dir);
        if (!name.endsWith('.log')) expect([name, part, answer]).toEqual([name, part, 'rebuild']);
      }
    }
  });

  test('when pages of its log were never written, though later ones were', async () => {
    const log =
      logs()
        .toSorted((a, b) => sizeOf(a) - sizeOf(b))
        .at(-1) ?? '';
    const size = sizeOf(log);
    expect(size).toBeGreaterThan(6 * 4096);
    for (let page = 0; page * 4096 < size; page += 1) {
      const dir = copyAfter((copy) => {
        const bytes = readFileSync(join(copy, log));
        bytes.fill(0, page * 4096, Math.min((page + 1) * 4096, size));
        writeFileSync(join(copy, log), bytes);
      });
      const answer = await answerOf(dir);
      // Two flushes end in the last four pages: what comes before has whole ones behind it.
      if ((page + 1) * 4096 < size - 4 * 4096) expect(answer).toBe('rebuild');
    }
  });

  test('when it lost its end, what it says is of the flush before', async () => {
    const log = logs().findLast((name) => sizeOf(name) > 0) ?? '';
    const size = sizeOf(log);
    const dir = copyAfter((copy) => truncateSync(join(copy, log), size - 10));
    expect(await answerOf(dir)).toBe(String(FLUSHES - 1));
  });

  test('when two of its tables changed places', async () => {
    const [one = '', two = ''] = tables();
    const dir = copyAfter((copy) => {
      renameSync(join(copy, one), join(copy, 'aside'));
      renameSync(join(copy, two), join(copy, one));
      renameSync(join(copy, 'aside'), join(copy, two));
    });
    expect(await answerOf(dir)).toBe('rebuild');
  });

  test("when it is somebody else's", async () => {
    const dir = copyAfter(() => undefined);
    await expect(open(dir, { owner: Buffer.alloc(16, 2) })).rejects.toMatchObject({
      code: 'DERIVED_REBUILD',
    });
  });

  test('when it was there and has nothing but names, it is not taken for a new one', async () => {
    const dir = copyAfter((copy) => {
      for (const name of names) truncateSync(join(copy, name), 0);
    });
    expect(await answerOf(dir)).toBe('rebuild');
  });
});

describe('a derived index that must be made again', () => {
  const flipped = (): string =>
    copyAfter((copy) => {
      const path = join(copy, fileOf(/\.ldb$/));
      const bytes = readFileSync(path);
      bytes[bytes.length >> 2] = (bytes[bytes.length >> 2] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    });

  test('is left as it is by who may only look', async () => {
    const dir = flipped();
    const before = readdirSync(dir).sort();
    await expect(open(dir, { mustExist: true })).rejects.toMatchObject({ code: 'DERIVED_REBUILD' });
    expect(readdirSync(dir).sort()).toEqual(before);
  });

  test('says so at every opening, until it was removed', async () => {
    const dir = flipped();
    for (let turn = 0; turn < 3; turn += 1) expect(await answerOf(dir)).toBe('rebuild');
    await removeIndex(nodeDisk, dir);
    const index = await open(dir);
    expect(index.mark).toBeUndefined();
    await index.close();
  });

  test('says so at every opening also when a row was wrong while it was open', async () => {
    const dir = copyAfter(() => undefined);
    const level = await nodeDisk.level.open(dir, {
      createIfMissing: false,
      cacheSize: 1 << 20,
      writeBufferSize: 1 << 20,
    });
    const [[key, value] = [Buffer.alloc(0), Buffer.alloc(0)]] = await level
      .iterator({ gte: Buffer.from('k') })
      .nextv(1);
    value[0] = (value[0] ?? 0) ^ 1;
    await level.close();
    const wrong: LevelPort = {
      ...nodeDisk.level,
      open: async (path, options) => {
        const opened = await nodeDisk.level.open(path, options);
        return new Proxy(opened, {
          get: (target, name) =>
            name === 'get'
              ? async (asked: Uint8Array) => (key.equals(asked) ? value : target.get(asked))
              : ((property: unknown) =>
                  typeof property === 'function' ? property.bind(target) : property)(
                  Reflect.get(target, name),
                ),
        });
      },
    };
    const index = await openIndex(
      { ...nodeDisk, level: wrong },
      { dir, what: 'the index', owner: OWNER, cacheBytes: 1 << 20, writeBufferBytes: 1 << 20 },
    );
    await expect(index.get(key)).rejects.toMatchObject({ code: 'DERIVED_REBUILD' });
    await expect(index.get(Buffer.from('k1'))).rejects.toMatchObject({ code: 'DERIVED_REBUILD' });
    await index.close();
    expect(await answerOf(dir)).toBe('rebuild');
  });
});
