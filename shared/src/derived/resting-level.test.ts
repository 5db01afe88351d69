import { afterEach, beforeEach, expect, test } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { nextUncaught } from '../../testing/uncaught.ts';
import { rowsOf } from './derived-index.ts';
import type { DiskPort, LevelDatabase } from './level-port.ts';
import { nodeDisk } from './node-level.ts';
import { openIndex } from './open-index.ts';

let dir: string;
let opened: number;
/** What the next openings throw. */
let failures: Error[];
let open: Set<LevelDatabase>;
beforeEach(() => {
  dir = temporaryFolder();
  opened = 0;
  failures = [];
  open = new Set();
});
afterEach(() => expect(open.size).toBe(0));

const disk: DiskPort = {
  ...nodeDisk,
  level: {
    ...nodeDisk.level,
    open: async (path, options) => {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      const level = await nodeDisk.level.open(path, options);
      opened += 1;
      open.add(level);
      return new Proxy(level, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          if (name === 'close') open.delete(level);
          return value.bind(target);
        },
      });
    },
  },
};

const made = () =>
  openIndex(disk, {
    ...{ dir, what: 'the index', owner: new Uint8Array(16) },
    ...{ cacheBytes: 1 << 16, writeBufferBytes: 1 << 16, mostMappedBytes: 20_000 },
  });
const key = (at: number) => Buffer.from(`k${String(at).padStart(5, '0')}`);
const mark = Buffer.from('mark');

test('an index that was much used is closed and opened again, and says what it said', async () => {
  const index = await made();
  for (let at = 0; at < 200; at += 1) {
    index.put(key(at), Buffer.alloc(1000, at));
    await index.flush(mark);
  }
  expect(opened).toBeGreaterThan(5);
  for (let at = 0; at < 200; at += 1)
    expect(await index.get(key(at))).toEqual(Buffer.alloc(1000, at));
  const before = opened;
  let rows = 0;
  for (let turn = 0; turn < 3; turn += 1)
    for await (const _ of rowsOf(index, { gte: key(0) })) rows += 1;
  expect(rows).toBe(600);
  await index.get(key(1));
  expect(opened).toBeGreaterThan(before);
  await index.close();
});

test('while somebody reads, it stays open, and the rows are of one moment', async () => {
  const index = await made();
  for (let at = 0; at < 100; at += 1) index.put(key(at), Buffer.alloc(1000, 1));
  await index.flush(mark);
  await index.get(key(0));
  const before = opened;
  const reading = index.batches({ gte: key(0) });
  const first = await reading.next();
  for (let at = 0; at < 100; at += 1) {
    index.put(key(at), Buffer.alloc(1000, 2));
    await index.flush(mark);
  }
  expect(opened).toBe(before);
  const rows = [...(first.value ?? [])];
  for await (const more of reading) rows.push(...more);
  expect(rows).toHaveLength(100);
  for (const [, value] of rows) expect(value[0]).toBe(1);
  expect((await index.get(key(7)))?.[0]).toBe(2);
  expect(opened).toBe(before + 1);
  await index.close();
});

test('many questions at once find it, closed or open', async () => {
  const index = await made();
  for (let at = 0; at < 300; at += 1) index.put(key(at), Buffer.alloc(1000, at));
  await index.flush(mark);
  for (let turn = 0; turn < 20; turn += 1) {
    const answers = await Promise.all([
      ...Array.from({ length: 40 }, (_, at) => index.get(key(at))),
      index.getMany([key(50), key(51)]).then(([one]) => one),
      index.last({ gte: key(0) }).then((row) => row?.[1]),
    ]);
    expect(answers.map((value) => value?.[0])).toEqual([
      ...Array.from({ length: 40 }, (_, at) => at),
      50,
      299 % 256,
    ]);
  }
  expect(opened).toBeGreaterThan(5);
  await index.close();
});

test('what cannot be opened again says so, and is tried again by the next question', async () => {
  const index = await made();
  for (let at = 0; at < 50; at += 1) index.put(key(at), Buffer.alloc(1000, at));
  failures = [1, 2].map(() =>
    Object.assign(new Error('IO error: on purpose'), { code: 'LEVEL_IO_ERROR' }),
  );
  await index.flush(mark);
  // Who comes at once waits for the opening that fails; who comes then has it tried again.
  await expect(index.get(key(1))).rejects.toMatchObject({ code: 'DERIVED_STORAGE' });
  await expect(index.get(key(1))).rejects.toMatchObject({ code: 'DERIVED_STORAGE' });
  expect(await index.get(key(1))).toEqual(Buffer.alloc(1000, 1));
  await index.close();
});

test('a fault of ours on the way ends the process, whoever asks next', async () => {
  const index = await made();
  for (let at = 0; at < 50; at += 1) index.put(key(at), Buffer.alloc(1000, at));
  failures = [new TypeError('x is undefined')];
  const uncaught = nextUncaught();
  await index.flush(mark);
  expect(await uncaught).toBeInstanceOf(TypeError);
  await index.close();
});

test('files that are not what was written are not believed when it is opened again', async () => {
  const index = await made();
  index.put(key(1), Buffer.alloc(1000, 1));
  await index.flush(mark);
  const level = [...open][0];
  // Another change than ours, as a second writer would make it.
  await level?.batch([{ type: 'put', key: key(2), value: Buffer.from('other') }], { sync: false });
  for (let turn = 0; turn < 8; turn += 1) await index.get(key(1)).catch(() => undefined);
  await expect(index.get(key(1))).rejects.toMatchObject({ code: 'DERIVED_REBUILD' });
  await index.close();
});

test('it may be closed at any moment', async () => {
  for (let turn = 0; turn < 10; turn += 1) {
    const index = await made();
    for (let at = 0; at < 30; at += 1) index.put(key(at), Buffer.alloc(1000, at));
    await index.flush(mark);
    await index.close();
  }
});
