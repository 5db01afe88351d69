import { createCipheriv } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { MAX_PIECE_PLAIN_BYTES } from '@aliquot/proto';
import { NO_LINKS, posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Bench, openBench, portWith } from '../../testing/capture/bench.ts';
import { queuedContent, queuedFiles } from '../../testing/capture/queued.ts';
import { cacheSecret, collect, keys, noise } from '../../testing/queue/support.ts';
import { nodeSource } from '../source/source-port.ts';
import { WorkerHost } from './worker-host.ts';

/*
 * What happens to a slab that is half full: its files change, its thread dies, the queue is full.
 */

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await bench.close();
});

const at = (name: string) => join(bench.data, name);
/** Names that sort as they count. */
const named = (count: number) =>
  Array.from({ length: count }, (_, n) => `f${String(n).padStart(4, '0')}`);

/** Bytes that do not compress, for more than two windows. */
const severalWindows = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16)).update(
  Buffer.alloc(9_000_000),
);

/** Files that are known or wait, by their names. */
async function knownNames(): Promise<string[]> {
  const known = await collect(bench.queue.ledger.knownUnder(new Uint8Array(0)));
  return known
    .filter(({ kind }) => kind === 'file')
    .map(({ path }) =>
      Buffer.from(path)
        .toString()
        .slice(bench.data.length + 1),
    );
}

test.runIf(posixOnly(NO_LINKS))(
  'P2: files that change between the listing and their reading, in a half-filled slab, are captured as they are then',
  async () => {
    const names = named(20);
    for (const name of names) writeFileSync(at(name), noise(name, 700));
    let changed = false;
    bench.through(
      portWith({
        open(path) {
          // All of them were listed; nine are in the open slab.
          if (!changed && path.toString().endsWith('f0009')) {
            changed = true;
            writeFileSync(at('f0010'), noise('other', 701));
            writeFileSync(at('f0011'), noise('large', MAX_PIECE_PLAIN_BYTES + 1));
            truncateSync(at('f0012'));
            rmSync(at('f0013'));
            rmSync(at('f0014'));
            symlinkSync('f0001', at('f0014'));
            rmSync(at('f0015'));
            mkdirSync(at('f0015'));
          }
          return nodeSource.open(path);
        },
      }),
    );
    const { told } = await bench.backup();
    expect(told.filter((line) => line.startsWith('vanished'))).toEqual(
      ['f0013', 'f0014', 'f0015'].map((name) => `vanished ${name}`),
    );
    const drafts = await queuedFiles(bench);
    expect(drafts.size).toBe(17);
    for (const [name, draft] of drafts) {
      if (name === 'f0011') expect(draft).toMatchObject({ size: 65_537, content: { piece: 0 } });
      else if (name === 'f0012') expect(draft).toMatchObject({ size: 0, content: { refs: [] } });
      else
        expect(Buffer.from(await queuedContent(bench, draft))).toEqual(
          Buffer.from(name === 'f0010' ? noise('other', 701) : noise(name, 700)),
        );
    }
    expect((await bench.backup()).told).toEqual(['changed .', 'new f0014', 'new f0015']);
  },
);

test('P1: a worker thread that is killed with an open slab leaves nothing half, and the next capture has all of it', async () => {
  for (const name of named(12)) writeFileSync(at(name), noise(name, 700));
  // While its chunks are asked for, the slab of the small files before it is open.
  writeFileSync(at('large'), severalWindows);
  const threads = vi.spyOn(Worker.prototype, 'postMessage');
  const host = new WorkerHost({ vault: keys, cacheSecret });
  try {
    bench.host = host;
    const { ledger } = bench.queue;
    // It may ask for a second window before it is dead; nothing of that may stay either.
    let killed: Promise<unknown> | undefined;
    const lookups = vi.spyOn(ledger, 'cacheGetMany').mockImplementation(async () => {
      killed ??= (threads.mock.contexts.at(-1) as Worker).terminate();
      await killed;
      return [];
    });
    await expect(bench.backup()).rejects.toThrow('the capture worker ended');
    expect(killed).toBeDefined();
    lookups.mockRestore();
    await bench.queue.sync();
    expect(await knownNames()).toEqual([]);
    expect([...bench.underWay.results()]).toEqual([]);
    // Another thread, the same queue.
    const { told } = await bench.backup();
    expect(told).toEqual([...named(12), 'large'].map((name) => `new ${name}`));
  } finally {
    await host.close();
  }
  const drafts = await queuedFiles(bench);
  expect(drafts.size).toBe(13);
  for (const name of named(12)) {
    const draft = drafts.get(name);
    if (draft === undefined) throw new Error(name);
    expect(await queuedContent(bench, draft)).toEqual(noise(name, 700));
  }
});

test('P1: slabs that a worker thread had handed over before it was killed are captured, and stay so', async () => {
  const names = named(900);
  for (const name of names) writeFileSync(at(name), noise(name, 900));
  writeFileSync(at('g large'), severalWindows);
  const threads = vi.spyOn(Worker.prototype, 'postMessage');
  const host = new WorkerHost({ vault: keys, cacheSecret });
  try {
    bench.host = host;
    const lookups = vi.spyOn(bench.queue.ledger, 'cacheGetMany').mockImplementation(async () => {
      await (threads.mock.contexts.at(-1) as Worker).terminate();
      return [];
    });
    await expect(bench.backup()).rejects.toThrow('the capture worker ended');
    lookups.mockRestore();
    await bench.queue.sync();
    const before = await knownNames();
    expect(before.length).toBeGreaterThan(100);
    expect(before.length).toBeLessThan(names.length);
    const { told } = await bench.backup();
    const left = [...names, 'g large'].filter((name) => !before.includes(name));
    expect(told.filter((line) => line !== 'new .')).toEqual(left.map((name) => `new ${name}`));
  } finally {
    await host.close();
  }
});

test('P6: a queue that is full at any byte of a slab has each file whole, or keeps a reference to it', async () => {
  const names = named(40);
  const ends = new Set<number>();
  // The slab takes 42,000 bytes, and its versions some 300 each.
  for (const thousands of [30, 42, 44, 46, 48, 50, 53, 56, 60, 90]) {
    const maxBytes = 1000 * thousands;
    await bench.close();
    bench = await openBench({}, { maxBytes, minFreeBytes: 0, classes: {} });
    for (const name of names) writeFileSync(at(name), noise(name, 1000));
    const { told } = await bench.backup();
    const taken = told.filter((line) => line.startsWith('new f')).map((line) => line.slice(4));
    const full = told.filter((line) => line.startsWith('full ')).map((line) => line.slice(5));
    expect([...taken, ...full].sort()).toEqual(names);
    expect(bench.references.files).toBe(full.length);
    expect(await knownNames()).toEqual(taken);
    const drafts = await queuedFiles(bench);
    expect([...drafts.keys()].sort()).toEqual(taken);
    for (const [name, draft] of drafts)
      expect(await queuedContent(bench, draft)).toEqual(noise(name, 1000));
    ends.add(taken.length);
  }
  // Before the slab, in the middle of its versions, and behind all of them.
  expect(ends.has(0)).toBe(true);
  expect(ends.has(names.length)).toBe(true);
  expect(ends.size).toBeGreaterThan(2);
});
