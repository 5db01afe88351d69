import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChunkId, decodeSignedCommit } from '@aliquot/proto';
import { commitHash } from '@aliquot/shared/commit/commit';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  collect,
  openQueue,
  put,
  putSlab,
  receiptFor,
  type SampleFile,
  sample,
  sampleSlab,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import { fsckQueue } from './fsck.ts';
import { openLogs, queuePaths } from './open-queue.ts';

/** Ten results: of a few chunks, of one, and of more than an entry names itself. */
const files: readonly SampleFile[] = [
  ...Array.from({ length: 7 }, (_, index) => sample(`/data/${index}`, 2, 400)),
  sample('/data/paged', 70, 60),
  sample('/data/other', 2, 400),
  sample('/data/last', 1, 500),
];

let folder: ReturnType<typeof temporaryFolder>;
let dir: string;

beforeEach(async () => {
  folder = temporaryFolder();
  dir = join(folder.dir, 'pc');
  for (const part of [files.slice(0, 4), files.slice(4)]) {
    const queue = await openQueue(dir, { segmentBytes: 1 << 20 });
    for (const file of part) await put(queue, file);
    await queue.close();
  }
});

afterEach(() => folder.remove());

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

const slotsOf = (entries: number): number[] => Array.from({ length: entries }, (_, slot) => slot);

const segment = (at: string): string =>
  join(queuePaths(at).segments, readdirSync(queuePaths(at).segments)[0] ?? '');

/**
 * Opens, sends what can be sent, and captures again what was named as lost: then everything must be
 * on its way, whole.
 */
async function sendsTheRest(at: string): Promise<{ readonly lost: string[] }> {
  const queue = await openQueue(at, { segmentBytes: 1 << 20 });
  try {
    const first = await queue.outbox.nextCommit(testSigner());
    const lost = (await collect(queue.losses.list())).map(({ path }) =>
      Buffer.from(path ?? []).toString(),
    );
    expect((first?.entries ?? 0) + lost.length).toBe(files.length);
    expect(queue.losses.takeUntold()).toBe(lost.length);
    if (first !== undefined)
      await queue.outbox.receipted(receiptFor(first).signed, receiptFor(first).body);
    // The next scan does not know them, so that it reads them where they still are.
    for (const name of lost) expect(await queue.ledger.known(Buffer.from(name))).toBeUndefined();
    for (const file of files)
      if (lost.includes(Buffer.from(file.path).toString())) await put(queue, file);
    if (lost.length > 0)
      expect(await queue.outbox.nextCommit(testSigner())).toMatchObject({ entries: lost.length });
    for (const { id } of files.flatMap(({ items }) => items))
      expect((await queue.items.readItem(id))?.sealed.length).toBeGreaterThan(0);
    return { lost };
  } finally {
    await queue.close();
  }
}

/** Where the records of a kind begin, and their payloads. */
async function recordsOf(
  kind: string,
): Promise<readonly { readonly at: number; readonly length: number }[]> {
  const logs = { port: nodeDisk, dataDir: dir, random: seededRandom('logs') };
  const { segments, chain } = await openLogs(logs);
  await chain.close();
  const items = await collect(segments.scanFile(1, { take: () => 'skip' }));
  await segments.close();
  return items.flatMap((item) =>
    item.type === 'record' && item.header.kind === kind
      ? [{ at: item.offset, length: item.header.length }]
      : [],
  );
}

describe('I-A12 one wrong bit of the queue costs the versions that need it, names them, and holds up nothing else', () => {
  test('anywhere in a segment', async () => {
    const size = readFileSync(segment(dir)).length;
    let harmed = 0;
    for (let offset = 0; offset < size; offset += 997) {
      const copy = join(folder.dir, `at-${offset}`);
      cpSync(dir, copy, { recursive: true });
      flip(segment(copy), offset);
      const { lost } = await sendsTheRest(copy);
      expect(lost.length).toBeLessThanOrEqual(1);
      harmed += lost.length;
      rmSync(copy, { recursive: true });
    }
    expect(harmed).toBeGreaterThan(3);
  });

  const places: Record<string, () => Promise<number>> = {
    'in the bytes of a chunk': async () => ((await recordsOf('chunk'))[2]?.at ?? 0) + 100,
    'in a page': async () => ((await recordsOf('page'))[0]?.at ?? 0) + 60,
    'in a sealed draft': async () => {
      const version = (await recordsOf('version'))[2];
      return (version?.at ?? 0) + RECORD_HEADER_BYTES + (version?.length ?? 0) - 5;
    },
    'in the clear part of a version': async () =>
      ((await recordsOf('version'))[2]?.at ?? 0) + RECORD_HEADER_BYTES + 3,
  };
  for (const [what, place] of Object.entries(places)) {
    test(`${what}: one is named`, async () => {
      flip(segment(dir), await place());
      expect((await sendsTheRest(dir)).lost).toHaveLength(1);
    });

    test(`${what}: a repair before anything else names it too, or leaves that to the next commit`, async () => {
      flip(segment(dir), await place());
      const found = await collect(
        fsckQueue({ port: nodeDisk, dataDir: dir, random: seededRandom('fsck'), repair: true }),
      );
      expect(found.map(({ code }) => code)).toContain('FSCK_SEGMENT_DAMAGED');
      const queue = await openQueue(dir, { segmentBytes: 1 << 20 });
      const commit = await queue.outbox.nextCommit(testSigner());
      expect((commit?.entries ?? 0) + (await collect(queue.losses.list())).length).toBe(
        files.length,
      );
      await queue.close();
    });
  }

  test('in the header of a record: nothing is lost, because what it says proves itself', async () => {
    for (const kind of ['chunk', 'version']) {
      const copy = join(folder.dir, kind);
      cpSync(dir, copy, { recursive: true });
      flip(segment(copy), ((await recordsOf(kind))[2]?.at ?? 0) + 20);
      expect((await sendsTheRest(copy)).lost).toEqual([]);
      const found = await collect(
        fsckQueue({ port: nodeDisk, dataDir: copy, random: seededRandom('fsck'), repair: false }),
      );
      expect(found.map(({ code }) => code)).toContain('FSCK_SEGMENT_DAMAGED');
    }
  });

  test('in the header of a segment: nothing is lost, also when the index is gone', async () => {
    for (const offset of [0, 7, 12, 20, 33, 39]) {
      const copy = join(folder.dir, `header-${offset}`);
      cpSync(dir, copy, { recursive: true });
      flip(segment(copy), offset);
      expect((await sendsTheRest(copy)).lost).toEqual([]);
      rmSync(copy, { recursive: true });
      cpSync(dir, copy, { recursive: true });
      flip(segment(copy), offset);
      rmSync(queuePaths(copy).index, { recursive: true });
      expect((await sendsTheRest(copy)).lost).toEqual([]);
      rmSync(copy, { recursive: true });
    }
  });

  test('in a version whose number only its record said, while the index is gone: it is named without its name', async () => {
    for (const what of ['in a sealed draft', 'in the clear part of a version']) {
      const copy = join(folder.dir, what.replaceAll(' ', '-'));
      cpSync(dir, copy, { recursive: true });
      flip(segment(copy), (await places[what]?.()) ?? 0);
      rmSync(queuePaths(copy).index, { recursive: true });
      const queue = await openQueue(copy, { segmentBytes: 1 << 20 });
      const lost = await collect(queue.losses.list());
      expect(lost).toMatchObject([{ entry: 3, path: undefined }]);
      expect(queue.losses.takeUntold()).toBe(1);
      expect(await queue.outbox.nextCommit(testSigner())).toMatchObject({
        entries: files.length - 1,
      });
      await queue.close();
    }
  });

  test('in a batch key: the versions under it are named', async () => {
    const { keys } = queuePaths(dir);
    flip(join(keys, readdirSync(keys).sort()[0] ?? ''), 3);
    expect((await sendsTheRest(dir)).lost.sort()).toEqual([
      '/data/0',
      '/data/1',
      '/data/2',
      '/data/3',
    ]);
  });

  test('that two versions need: both are named', async () => {
    const queue = await openQueue(dir, { segmentBytes: 1 << 20 });
    const twin = sample('/data/3', 2, 400);
    await put(queue, {
      ...twin,
      draft: { ...twin.draft, list: { ...twin.draft.list, path: Buffer.from('/data/twin') } },
      known: { ...twin.known, path: Buffer.from('/data/twin') },
    });
    await queue.close();
    const chunks = await recordsOf('chunk');
    flip(segment(dir), (chunks[6]?.at ?? 0) + 100);
    const again = await openQueue(dir, { segmentBytes: 1 << 20 });
    await again.outbox.nextCommit(testSigner());
    expect(
      (await collect(again.losses.list()))
        .map(({ path }) => Buffer.from(path ?? []).toString())
        .sort(),
    ).toEqual(['/data/3', '/data/twin']);
    await again.close();
  });

  test('in a slab: each of its files is named, and captured again; no other is', async () => {
    const queue = await openQueue(dir, { segmentBytes: 1 << 20 });
    const small = ['/data/x', '/data/y', '/data/z'];
    await putSlab(queue, sampleSlab(small));
    await putSlab(queue, sampleSlab(['/data/beside']));
    await queue.close();
    const slab = (await recordsOf('slab'))[0];
    // Of its header, of its directory, and of its last piece.
    for (const [where, isLost] of [
      [20, false],
      [RECORD_HEADER_BYTES + 20, true],
      [RECORD_HEADER_BYTES + (slab?.length ?? 0) - 5, true],
    ] as const) {
      const copy = join(folder.dir, `slab-${where}`);
      cpSync(dir, copy, { recursive: true });
      flip(segment(copy), (slab?.at ?? 0) + where);
      const opened = await openQueue(copy, { segmentBytes: 1 << 20 });
      const commit = await opened.outbox.nextCommit(testSigner());
      const lost = (await collect(opened.losses.list()))
        .map(({ path }) => Buffer.from(path ?? []).toString())
        .sort();
      expect(lost).toEqual(isLost ? small : []);
      expect(commit?.entries).toBe(files.length + 4 - lost.length);
      await putSlab(opened, sampleSlab(small));
      await opened.sync();
      const [item] = sampleSlab(small)[0]?.items ?? [];
      expect(await opened.items.readItem(item?.id as ChunkId)).toMatchObject({ kind: 'slab' });
      await opened.close();
    }
  });

  test('in the chain log behind what is receipted: results go on, and fsck names it', async () => {
    await sendsTheRest(dir);
    const log = join(queuePaths(dir).chain, readdirSync(queuePaths(dir).chain)[0] ?? '');
    flip(log, 200);
    const queue = await openQueue(dir, { segmentBytes: 1 << 20 });
    await put(queue, sample('/data/new', 1));
    expect(await queue.outbox.nextCommit(testSigner())).toMatchObject({ entries: 1 });
    await queue.close();
    const found = await collect(
      fsckQueue({ port: nodeDisk, dataDir: dir, random: seededRandom('fsck'), repair: false }),
    );
    expect(found.map(({ code }) => code)).toContain('FSCK_CHAIN_DAMAGED');
  });

  test('in a commit that was signed and not sent: what is left of it goes out as lost, and what is behind it goes on', async () => {
    const signer = testSigner();
    for (const isIndexLost of [false, true]) {
      const copy = join(folder.dir, `signed-${isIndexLost}`);
      cpSync(dir, copy, { recursive: true });
      const queue = await openQueue(copy, { segmentBytes: 1 << 20 });
      const signed = await queue.outbox.nextCommit(signer);
      await put(queue, sample('/data/behind', 1));
      await queue.close();
      flip(join(queuePaths(copy).chain, readdirSync(queuePaths(copy).chain)[0] ?? ''), 300);
      if (isIndexLost) rmSync(queuePaths(copy).index, { recursive: true });
      const again = await openQueue(copy, { segmentBytes: 1 << 20 });
      expect(again.chain.head()).toMatchObject({ sequence: 1, hash: signed?.hash });
      const lost = await again.outbox.nextCommit(signer);
      expect(lost).toMatchObject({ sequence: 1, hash: signed?.hash, isLost: true });
      expect(lost?.entries).toBe(files.length);
      if (lost === undefined) return;
      const declared = decodeSignedCommit(signer.lost(lost.bytes));
      expect(commitHash(declared.header)).toEqual(lost.hash);
      expect(declared.signature).toEqual(decodeSignedCommit(signed?.bytes as Uint8Array).signature);
      await again.losses.record(1, slotsOf(lost.entries));
      await again.losses.record(1, slotsOf(lost.entries));
      await again.outbox.receipted(receiptFor(lost).signed, receiptFor(lost).body);
      const names = (await collect(again.losses.list())).map(({ path }) =>
        Buffer.from(path ?? []).toString(),
      );
      expect(names.sort()).toEqual(files.map(({ path }) => Buffer.from(path).toString()).sort());
      expect(again.losses.takeUntold()).toBe(files.length);
      // What is behind it goes on, and what is lost is read again.
      for (const file of files) await put(again, file);
      expect(await again.outbox.nextCommit(signer)).toMatchObject({
        ...{ sequence: 2, entries: files.length + 1, isLost: false },
      });
      await again.close();
    }
  });
});
