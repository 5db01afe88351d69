import { appendFileSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_PIECE_PLAIN_BYTES } from '@aliquot/proto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench, portWith, systemError } from '../../testing/capture/bench.ts';
import { type QueuedFile, queuedContent, queuedFiles } from '../../testing/capture/queued.ts';
import { collect, noise, receiptFor, testSigner } from '../../testing/queue/support.ts';
import type { QueuedItem } from '../queue/log/facts.ts';
import { bytePath, fromText } from '../source/paths.ts';
import { nodeSource } from '../source/source-port.ts';
import { recoverFrom } from './recover.ts';
import type { CaptureWindow } from './window.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.close());

const at = (name: string) => join(bench.data, name);
const write = (name: string, content: string | Uint8Array) => writeFileSync(at(name), content);
/** Names that sort as they count. */
const named = (count: number) =>
  Array.from({ length: count }, (_, n) => `f${String(n).padStart(4, '0')}`);

const queued = () => queuedFiles(bench);
const contentOf = (draft: QueuedFile) => queuedContent(bench, draft);

const slabNames = (drafts: Iterable<QueuedFile>) =>
  new Set(
    [...drafts].map(({ content: { refs } }) => Buffer.from(refs[0]?.id ?? []).toString('hex')),
  );

test('P2: small files come into slabs in the order of the walk, each with the key of its piece', async () => {
  mkdirSync(at('run'));
  const names = named(300).map((name) => `run/${name}`);
  for (const name of names) write(name, noise(name, 1000));
  write('run/empty', '');
  const { told } = await bench.backup();
  expect(told).toContain('new run/empty');
  const drafts = await queued();
  expect(drafts.size).toBe(301);
  let last = { id: '', piece: 0 };
  const seen = new Set<string>();
  for (const name of names) {
    const draft = drafts.get(name);
    if (draft === undefined) throw new Error(name);
    const id = Buffer.from(draft.content.refs[0]?.id ?? []).toString('hex');
    expect(draft.content.piece).toBe(id === last.id ? last.piece + 1 : 1);
    expect(seen.has(id)).toBe(id === last.id);
    seen.add(id);
    last = { id, piece: draft.content.piece };
    expect(await contentOf(draft)).toEqual(noise(name, 1000));
  }
  expect(seen.size).toBeGreaterThan(2);
  expect(drafts.get('run/empty')?.content).toEqual({ depth: 0, piece: 0, refs: [] });
});

test('files of 64 KiB ± 1: up to 64 KiB they are pieces, above that chunks', async () => {
  for (const size of [
    1,
    MAX_PIECE_PLAIN_BYTES - 1,
    MAX_PIECE_PLAIN_BYTES,
    MAX_PIECE_PLAIN_BYTES + 1,
  ])
    write(`${size}`, noise(`${size}`, size));
  await bench.backup();
  const drafts = await queued();
  const pieces = [...drafts].filter(([, { content }]) => content.piece > 0);
  expect(pieces.map(([name]) => Number(name)).sort((a, b) => a - b)).toEqual([
    1,
    MAX_PIECE_PLAIN_BYTES - 1,
    MAX_PIECE_PLAIN_BYTES,
  ]);
  for (const [name, draft] of pieces)
    expect(await contentOf(draft)).toEqual(noise(name, draft.size));
});

test('256 files of 0 bytes take no slab', async () => {
  for (const name of named(256)) write(name, '');
  await bench.backup();
  expect(bench.queue.intake.pending()).toMatchObject({ entries: 257, bytes: 0 });
  const drafts = await queued();
  expect([...drafts.values()].every(({ content }) => content.refs.length === 0)).toBe(true);
});

test('the same files elsewhere, with one more and one less among them, give nearly the same slabs', async () => {
  const names = named(900);
  const lengthOf = (name: string) => 500 + ((Number(name.slice(1)) * 7919) % 3000);
  for (const folder of ['first', 'second']) {
    mkdirSync(at(folder));
    for (const name of names) write(`${folder}/${name}`, noise(name, lengthOf(name)));
  }
  rmSync(at('second/f0100'));
  write('second/f0500 more', noise('more', 900));
  await bench.backup('first');
  const before = slabNames((await queued()).values());
  const commit = await bench.queue.outbox.nextCommit(testSigner());
  if (commit === undefined) throw new Error('no commit');
  const { signed, body } = receiptFor(commit);
  await bench.queue.outbox.receipted(signed, body);
  await bench.backup('second');
  const after = slabNames((await queued()).values());
  const fresh = [...after].filter((id) => !before.has(id));
  expect(after.size).toBeGreaterThan(12);
  expect(fresh.length).toBeGreaterThan(0);
  expect(fresh.length).toBeLessThanOrEqual(5);
});

test('P2: a file that changes while its slab is half full is read again; its neighbours are not', async () => {
  const names = named(20);
  for (const name of names) write(name, noise(name, 700));
  let reads = 0;
  bench.through(
    portWith({
      read: (descriptor, into, offset, length, position) => {
        reads += 1;
        const count = nodeSource.read(descriptor, into, offset, length, position);
        // Behind the first half of the tenth file: it grows while it is read.
        if (reads === 10) appendFileSync(at('f0009'), 'more');
        return count;
      },
    }),
  );
  await bench.backup();
  expect(reads).toBe(21);
  const drafts = await queued();
  expect(slabNames(drafts.values()).size).toBe(1);
  for (const name of names) {
    const draft = drafts.get(name);
    if (draft === undefined) throw new Error(name);
    const more = name === 'f0009' ? 'more' : '';
    expect(Buffer.from(await contentOf(draft))).toEqual(
      Buffer.concat([noise(name, 700), Buffer.from(more)]),
    );
  }
});

test('P6: a file that cannot be read inside of a slab is named, and its neighbours are captured', async () => {
  for (const name of named(9)) write(name, noise(name, 700));
  bench.through(
    portWith({
      open: (path) => {
        if (path.toString().endsWith('f0004')) throw systemError('EACCES');
        return nodeSource.open(path);
      },
    }),
  );
  const { told } = await bench.backup();
  expect(told).toContain('problem f0004');
  expect((await queued()).size).toBe(8);
});

test('a touched file is a slab of its own, and the others are not read', async () => {
  for (const name of named(30)) write(name, noise(name, 800));
  await bench.backup();
  utimesSync(at('f0007'), 1000, 1000);
  const again = await bench.backup();
  expect(again.told).toEqual(['changed f0007']);
  expect(again.readBytes).toBe(800);
});

test('a slab of which no file needs a new version is not put', async () => {
  for (const name of named(6)) {
    write(name, noise(name, 800));
    utimesSync(at(name), 1000, 1000);
  }
  await bench.backup();
  const before = bench.queue.intake.pending();
  for (const name of named(6)) {
    write(name, noise(name, 800));
    utimesSync(at(name), 1000, 1000);
  }
  const again = await bench.backup();
  expect(again.told).toEqual(named(6).map((name) => `same ${name}`));
  expect(bench.queue.intake.pending()).toEqual(before);
});

test('P6: a queue that is full in the middle of many slabs keeps a reference for each file that it did not take', async () => {
  await bench.close();
  bench = await openBench({}, { maxBytes: 600_000, minFreeBytes: 0, classes: {} });
  const names = named(1000);
  for (const name of names) write(name, noise(name, 1000));
  const { told } = await bench.backup();
  const full = told.filter((line) => line.startsWith('full '));
  expect(full.length).toBeGreaterThan(100);
  expect(told.filter((line) => line.startsWith('new f')).length).toBe(names.length - full.length);
  expect(bench.references.files).toBe(full.length);
  expect(names.length - full.length).toBeGreaterThan(50);
  for (const draft of (await queued()).values()) await contentOf(draft);
});

test('P1: a capture that fails with an open slab leaves nothing of it to the next one', async () => {
  for (const name of named(700)) write(name, noise(name, 300));
  const captured = async (names: readonly string[], fails: boolean): Promise<CaptureWindow[]> => {
    const windows: CaptureWindow[] = [];
    await bench.host.capture(
      names.map((name, job) => ({ job, path: fromText(at(name), '/') })),
      {
        lookup: async (indexes) => indexes.map(() => undefined),
        deliver: async (window) => {
          if (fails) throw new Error('the disk is full');
          windows.push(window);
          return [];
        },
      },
    );
    return windows;
  };
  await expect(captured(named(700), true)).rejects.toThrow('the disk is full');
  const slabs = (await captured(named(3), false)).flatMap((window) => [...window.slabs]);
  expect(slabs.map(({ files }) => files.map(({ job }) => job))).toEqual([[0, 1, 2]]);
});

test('P1: a lost slab comes again when its files are captured together, and not when one has changed', async () => {
  const names = named(12);
  for (const name of names) write(name, noise(name, 700));
  const windows: CaptureWindow[] = [];
  await bench.host.capture(
    names.map((name, job) => ({ job, path: fromText(at(name), '/') })),
    {
      lookup: async (indexes) => indexes.map(() => undefined),
      deliver: async (window) => {
        windows.push(window);
        return [];
      },
    },
  );
  const [slab] = windows.flatMap(({ slabs }) => [...slabs]);
  if (slab === undefined) throw new Error('no slab');
  const run = names.map((name) => Buffer.from(at(name)));
  const recovered = (): Promise<QueuedItem[]> =>
    collect(recoverFrom(bench.host)({ ids: [slab.id], runs: [run] }));
  expect(await recovered()).toEqual([{ id: slab.id, kind: 'slab', sealed: slab.sealed }]);
  write('f0003', 'changed');
  expect(await recovered()).toEqual([]);
  expect(bytePath(run[0] ?? new Uint8Array())).toContain('f0000');
});
