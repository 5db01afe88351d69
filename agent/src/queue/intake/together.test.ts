import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChunkId } from '@aliquot/proto';
import { openNames } from '@aliquot/shared/commit/open-names';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  collect,
  openQueue,
  put,
  putSlab,
  putTogether,
  queueOptions,
  receiptFor,
  type SampleFile,
  sample,
  sampleSlab,
  temporaryFolder,
  testSigner,
  vault,
} from '../../../testing/queue/support.ts';
import { fsckQueue } from '../log/fsck.ts';
import { openLogs, queuePaths } from '../log/open-queue.ts';
import { decodeVersion } from '../log/payloads.ts';
import type { Queue } from '../queue.ts';

const noBytes = new Uint8Array(0);

let folder: ReturnType<typeof temporaryFolder>;
let queue: Queue;

beforeEach(async () => {
  folder = temporaryFolder();
  queue = await openQueue(folder.dir);
});
afterEach(async () => {
  await queue.close();
  folder.remove();
});

const many = (count: number, from = 0): SampleFile[] =>
  Array.from({ length: count }, (_, at) => sample(`/data/${from + at}`));

/** How many versions each version record has, oldest first. Closes the queue and opens it again. */
async function records(): Promise<number[]> {
  await queue.close();
  const { segments, chain } = await openLogs({
    ...queueOptions(folder.dir),
    segmentBytes: 16 << 20,
  });
  const found: number[] = [];
  for await (const item of segments.scan())
    if (item.type === 'record' && item.header.kind === 'version')
      found.push(decodeVersion((await segments.read(item)).payload).head.rows.length);
  await segments.close();
  await chain.close();
  queue = await openQueue(folder.dir);
  return found;
}

async function lostPaths(): Promise<string[]> {
  return (await collect(queue.losses.list())).map(({ path }) => Buffer.from(path ?? []).toString());
}

/** Nothing is wrong but what the test has done to a segment. */
async function isSound(...done: readonly string[]): Promise<boolean> {
  await queue.close();
  const options = { port: nodeDisk, dataDir: folder.dir, random: seededRandom('fsck') };
  const found = await collect(fsckQueue({ ...options, repair: false }));
  queue = await openQueue(folder.dir);
  expect(found.filter(({ code }) => !done.includes(code))).toEqual([]);
  return true;
}

describe('the files of one slab', () => {
  const names = ['/data/0001.csv', '/data/0002.csv', '/data/0003.csv'];

  test('that are put in a row are keyed by their slab, and open as with their own keys', async () => {
    const files = sampleSlab(names);
    await putSlab(queue, files);
    const commit = readCommit((await queue.outbox.nextCommit(testSigner()))?.bytes ?? noBytes);
    expect(commit.rows.blocks[0]?.rows.slabs.map(({ keyedSingly }) => keyedSingly)).toEqual([
      false,
    ]);
    const reader = { key: boxKeyFromSecret(vault.kit.vaultSecretKey), recipient: 'vault' } as const;
    const opened = [...openNames(commit, rowsIn(commit.rows), reader, () => undefined)];
    expect(opened.map(({ read }) => read())).toEqual(files.map(({ draft }) => draft.read));
  });

  test('P4, I-A3: of which one waits by itself keep its key from opening the others', async () => {
    const files = sampleSlab(names);
    await putSlab(queue, files.slice(0, 2));
    const bytes = (await queue.outbox.nextCommit(testSigner()))?.bytes ?? noBytes;
    const { slabs = [] } = readCommit(bytes).rows.blocks[0]?.rows ?? {};
    expect(slabs.map(({ keyedSingly }) => keyedSingly)).toEqual([true]);
  });

  test('do not begin a record that they do not fit into', async () => {
    await putTogether(queue, many(255));
    await putSlab(queue, sampleSlab(names));
    expect(await records()).toEqual([255, 3]);
  });

  test('I-A1, I-A10: are not lost by a disk that is full at any write, of their slab, of the record that they share, or of the block that is signed', async () => {
    const files = sampleSlab(names);
    let full = false;
    let writesLeft = 0;
    const port = faultyFiles(nodeDisk, ({ operation }) => {
      if (full && /^(write|open:(updateOrCreate|createNew)|mkdir)$/.test(operation)) {
        writesLeft -= 1;
        return writesLeft < 0 ? { fail: 'ENOSPC' } : undefined;
      }
      return undefined;
    });
    const refused = { put: 0, sync: 0, sign: 0 };
    for (let fits = 0; fits === 0 || writesLeft < 0; fits += 1) {
      await queue.close();
      folder.remove();
      folder = temporaryFolder();
      queue = await openQueue(folder.dir, { port });
      full = true;
      writesLeft = fits;
      const twice = async (step: keyof typeof refused, run: () => Promise<unknown>) => {
        try {
          return await run();
        } catch (error) {
          expect(error).toMatchObject({ code: 'FILE_NO_SPACE' });
          refused[step] += 1;
          full = false;
          return run();
        }
      };
      await twice('put', () => putSlab(queue, files));
      await twice('sync', () => queue.sync());
      const commit = await twice('sign', () => queue.outbox.nextCommit(testSigner()));
      full = false;
      expect(commit).toMatchObject({ entries: 3 });
      expect((await queue.items.readItem(files[0]?.items[0]?.id as ChunkId))?.kind).toBe('slab');
      expect(await lostPaths()).toEqual([]);
      expect(await isSound()).toBe(true);
    }
    expect(refused.put + refused.sync).toBeGreaterThan(0);
    expect(refused.sign).toBeGreaterThan(0);
  });
});

describe('versions that are put in a row', () => {
  test('share a record, are known, pending, signed and receipted one by one', async () => {
    await putTogether(queue, many(5));
    await queue.sync();
    expect(queue.intake.pending().entries).toBe(5);
    for (const { path } of many(5)) expect((await queue.ledger.known(path))?.size).toBe(200);
    expect(await records()).toEqual([5]);
    expect(await isSound()).toBe(true);
    const commit = await queue.outbox.nextCommit(testSigner());
    expect(commit?.entries).toBe(5);
    if (commit === undefined) return;
    const { signed, body } = receiptFor(commit);
    await queue.outbox.receipted(signed, body);
    expect(queue.intake.pending()).toMatchObject({ entries: 0, bytes: 0 });
    expect(await isSound()).toBe(true);
  });

  test('stand in as many records as they take: 256 each, and one for each class in between', async () => {
    await putTogether(queue, many(300));
    const others = many(3, 300).map((file, at) => ({
      ...file,
      draft: { ...file.draft, class: at === 1 ? 'bulk' : 'default' },
    }));
    await putTogether(queue, others);
    expect(await records()).toEqual([256, 44, 1, 1, 1]);
    expect((await queue.outbox.nextCommit(testSigner()))?.entries).toBe(303);
  });

  test('I-A10: of which one finds no space cost nobody else theirs', async () => {
    const captures = many(3).map((file) => ({ file, capture: queue.intake.capture() }));
    captures[1]?.capture.abort();
    const ends = await Promise.allSettled(
      captures.map(({ file, capture }) => capture.putVersion(file.draft, file.known)),
    );
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await records()).toEqual([2]);
  });

  test('I-A5: are the same in an index that is made again, also when some of them are lost', async () => {
    await putTogether(queue, many(6));
    await queue.sync();
    await spoilItemOf(many(6)[2] as SampleFile);
    const commit = await queue.outbox.nextCommit(testSigner());
    expect(commit?.entries).toBe(5);
    const before = queue.intake.pending();
    await queue.close();
    rmSync(queuePaths(folder.dir).index, { recursive: true });
    queue = await openQueue(folder.dir);
    expect(queue.intake.pending()).toEqual(before);
    expect(await lostPaths()).toEqual(['/data/2']);
    expect(await isSound('FSCK_SEGMENT_DAMAGED', 'FSCK_DAMAGE_KEPT', 'FSCK_VERSION_LOST')).toBe(
      true,
    );
  });

  test('I-A12: one whose chunk went bad costs itself alone', async () => {
    await putTogether(queue, many(4));
    await queue.sync();
    await spoilItemOf(many(4)[0] as SampleFile);
    expect((await queue.outbox.nextCommit(testSigner()))?.entries).toBe(3);
    expect(await lostPaths()).toEqual(['/data/0']);
    await put(queue, sample('/data/0'));
    await queue.outbox.signAll(testSigner());
    expect(await isSound('FSCK_SEGMENT_DAMAGED', 'FSCK_VERSION_LOST')).toBe(true);
  });

  test('P6: in a record that went bad are named as lost, each, and those behind it are sent', async () => {
    await putTogether(queue, many(3));
    await queue.sync();
    await putTogether(queue, many(2, 3));
    await queue.close();
    const first = join(queuePaths(folder.dir).segments, '00000001.seg');
    const { segments, chain } = await openLogs({
      ...queueOptions(folder.dir),
      segmentBytes: 16 << 20,
    });
    const [bad] = (await collect(segments.scan())).flatMap((item) =>
      item.type === 'record' && item.header.kind === 'version' ? [item] : [],
    );
    await segments.close();
    await chain.close();
    flip(first, (bad?.end ?? 0) - 1);
    queue = await openQueue(folder.dir);
    expect((await queue.outbox.nextCommit(testSigner()))?.entries).toBe(2);
    expect((await lostPaths()).sort()).toEqual(['/data/0', '/data/1', '/data/2']);
  });

  test('I-A3: all under a key that is gone are named as lost', async () => {
    await putTogether(queue, many(3));
    await queue.close();
    const { keys } = queuePaths(folder.dir);
    for (const name of readdirSync(keys)) rmSync(join(keys, name));
    queue = await openQueue(folder.dir);
    expect(await queue.outbox.nextCommit(testSigner())).toBeUndefined();
    expect(await lostPaths()).toHaveLength(3);
    expect(queue.intake.pending()).toMatchObject({ entries: 0, bytes: 0 });
  });
});

/** Turns a bit of a chunk in its segment; the queue is opened again over it. */
async function spoilItemOf({ items }: SampleFile): Promise<void> {
  await queue.close();
  const path = join(queuePaths(folder.dir).segments, '00000001.seg');
  const at = readFileSync(path).indexOf(Buffer.from(items[0]?.sealed ?? []));
  flip(path, at + 20);
  queue = await openQueue(folder.dir);
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}
