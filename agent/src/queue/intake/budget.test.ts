import { readdirSync } from 'node:fs';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { reference } from '../../../testing/queue/references-conformance.ts';
import {
  collect,
  drainAll,
  noise,
  openQueue,
  put,
  putGone,
  receiptFor,
  sample,
  sampleFile,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import type { QueueEvent } from '../log/events.ts';
import { queuePaths } from '../log/open-queue.ts';
import type { Queue, QueueOptions } from '../queue.ts';
import type { QueueBudget } from './space.ts';
import { passingBytes } from './space.ts';

let folder: ReturnType<typeof temporaryFolder>;
let queue: Queue;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  await queue.close().catch(() => undefined);
  folder.remove();
});

const budget = (maxBytes: number, more: Partial<QueueBudget> = {}): QueueBudget => ({
  maxBytes,
  minFreeBytes: 0,
  classes: {},
  ...more,
});

async function open(options: Partial<QueueOptions>): Promise<void> {
  queue = await openQueue(folder.dir, options);
}

/** Puts files of 4 × 1000 bytes until the queue is full; the answer is how many it took. */
async function fill(prefix: string): Promise<number> {
  for (let count = 0; count < 1000; count += 1) {
    try {
      await put(queue, sample(`${prefix} ${count}`, 4, 1000));
      await queue.sync();
    } catch (error) {
      expect(error).toMatchObject({ code: 'QUEUE_FULL', retryable: true });
      return count;
    }
  }
  throw new Error('never full');
}

function listen(): QueueEvent['type'][] {
  const heard: QueueEvent['type'][] = [];
  queue.subscribe(({ type }) => heard.push(type));
  return heard;
}

describe('a budget', () => {
  test('I-A10: what would pass it is refused whole and nothing of it is kept; facts without bytes are always taken', async () => {
    await open({ budget: budget(60_000) });
    const count = await fill('/data/a');
    expect(count).toBeGreaterThan(8);
    const { entries } = queue.intake.pending();
    expect(entries).toBe(count);
    expect(await queue.ledger.known(Buffer.from(`/data/a ${count}`))).toBeUndefined();
    await putGone(queue, sample('/data/a 0'));
    await queue.ledger.setProblem(Buffer.from('/data/p'), {
      code: 'queue-full',
      message: 'no space',
      sinceMs: 1,
    });
    await queue.references.put(reference('/data/r', 1));
    await queue.sync();
    expect(queue.intake.pending().entries).toBe(count + 1);
    expect(await collect(queue.ledger.problems())).toHaveLength(1);
    expect(queue.references.totals().files).toBe(1);
    expect((await queue.intake.usage()).usedBytes).toBeLessThanOrEqual(60_000 + 4096);
  });

  test('I-A10: a full queue can always be drained, tells when there is space, and then takes as much again', async () => {
    await open({ budget: budget(60_000), keptBytes: 0 });
    const first = await fill('/data/0');
    for (let round = 1; round <= 5; round += 1) {
      const heard = listen();
      await drainAll(queue);
      expect(heard).toContain('space');
      expect(queue.intake.pending().entries).toBe(0);
      expect(await fill(`/data/${round}`)).toBeGreaterThanOrEqual(first - 2);
    }
  });

  test('I-A10: a capture that ended for want of space takes nothing more, and its segments go', async () => {
    await open({ budget: budget(20_000), keptBytes: 0 });
    const capture = queue.intake.capture();
    const file = sample('/data/big', 40, 1000);
    // Called all at once: the small one at the end would fit, and must not get in behind.
    const small = sample('/data/small').items;
    const puts = [...file.items, ...small].map(({ id, kind, sealed }) =>
      capture.putItems([{ id, kind, sealed }]),
    );
    const codes = (await Promise.allSettled(puts)).map((put) =>
      put.status === 'rejected' ? put.reason.code : 'put',
    );
    const refused = codes.indexOf('QUEUE_FULL');
    expect(refused).toBeGreaterThan(5);
    expect(new Set(codes.slice(0, refused))).toEqual(new Set(['put']));
    expect(new Set(codes.slice(refused + 1))).toEqual(new Set(['QUEUE_CLOSED']));
    await expect(capture.putVersion(file.draft, file.known)).rejects.toMatchObject({
      code: 'QUEUE_CLOSED',
    });
    expect((await queue.intake.space()).bytes).toBe(20_000);
    await put(queue, sample('/data/small'));
    await drainAll(queue);
    expect(readdirSync(queuePaths(folder.dir).segments).length).toBeLessThanOrEqual(2);
  });

  test('I-A10: what is put with one call passes no budget either: as much fits as one by one', async () => {
    await open({ budget: budget(200_000) });
    const { items } = sample('/data/together', 20, 10_000);
    const refused = queue.intake.capture();
    await expect(refused.putItems(items)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    const taken = queue.intake.capture();
    await taken.putItems(items.slice(0, 19));
    expect((await queue.intake.space()).bytes).toBeLessThan(10_000);
    expect((await queue.intake.usage()).usedBytes).toBeLessThanOrEqual(200_000);
  });

  test('I-A10: a class has its share and leaves the rest to the others, also after opening again', async () => {
    const options = { budget: budget(100_000, { classes: { bulk: 0.3 } }) };
    await open(options);
    const bulk = async (name: string): Promise<void> => {
      const file = sampleFile(name, [noise(name, 4000)]);
      const capture = queue.intake.capture('bulk');
      for (const { id, kind, sealed } of file.items) await capture.putItems([{ id, kind, sealed }]);
      await capture.putVersion({ ...file.draft, class: 'bulk' }, file.known);
    };
    for (let count = 0; count < 7; count += 1) await bulk(`/bulk/${count}`);
    await queue.sync();
    await expect(bulk('/bulk/7')).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    await queue.close();
    await open(options);
    expect((await queue.intake.space('bulk')).bytes).toBeLessThan(2000);
    await expect(bulk('/bulk/7')).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect((await queue.intake.space('bulk')).why).toBeUndefined();
    await put(queue, sample('/data/other', 1, 4000));
    expect((await queue.intake.space()).bytes).toBeGreaterThan(50_000);
    await queue.outbox.nextCommit(testSigner());
    expect((await queue.intake.usage()).classes).toMatchObject({ bulk: 7 * 4017, default: 4017 });
    await drainAll(queue);
    expect((await queue.intake.usage()).classes).toEqual({});
    await bulk('/bulk/7');
  });
});

describe('word of space', () => {
  test('I-A10: is given for any class that was refused, and not while its file would pass the budget again', async () => {
    await open({ budget: budget(100_000, { classes: { bulk: 0.1 } }) });
    const heard = listen();
    const first = queue.intake.capture('bulk');
    const [one, other] = ['one', 'other'].map((name) => sample(name, 1, 6000).items[0]);
    if (one === undefined || other === undefined) throw new Error('no items');
    await first.putItems([one]);
    const second = queue.intake.capture('bulk');
    await expect(second.putItems([other])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    await queue.intake.space();
    expect(heard).toEqual([]);
    first.abort();
    await queue.intake.space();
    expect(heard).toEqual(['space']);
    for (let round = 0; round < 2; round += 1) {
      const large = queue.intake.capture('bulk');
      const [begin, end] = sample(`large ${round}`, 2, 6000).items;
      if (begin === undefined || end === undefined) throw new Error('no items');
      await large.putItems([begin]);
      await expect(large.putItems([end])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
      await queue.intake.space();
    }
    expect(heard).toEqual(['space']);
  });
});

describe('the floor of free disk', () => {
  const floor = 1_000_000;
  let free: number;
  const port: DiskPort = { ...nodeDisk, freeBytes: async () => free };

  test('I-A10: nearing it, segments that are only kept go first; then captures are refused until the disk has space', async () => {
    free = floor * 10;
    await open({ port, segmentBytes: 4096, budget: budget(1 << 30, { minFreeBytes: floor }) });
    for (let count = 0; count < 4; count += 1)
      await put(queue, sample(`/data/kept ${count}`, 4, 1000));
    await drainAll(queue);
    const segments = (): number => readdirSync(queuePaths(folder.dir).segments).length;
    const before = segments();
    expect(before).toBeGreaterThan(3);
    free = floor;
    expect((await queue.intake.space()).bytes).toBeGreaterThan(10_000);
    await expect(put(queue, sample('/data/new', 1, 1000))).rejects.toMatchObject({
      code: 'QUEUE_FULL',
    });
    expect(segments()).toBe(1);
    expect(await queue.intake.space()).toEqual({ bytes: 0, why: 'disk' });
    const heard = listen();
    free = floor * 2;
    expect((await queue.intake.space()).bytes).toBe(floor);
    await queue.intake.space();
    expect(heard).toEqual(['space']);
    await put(queue, sample('/data/new', 1, 1000));
    await queue.sync();
    expect(queue.intake.pending().entries).toBe(1);
  });

  test.each([1, 500])(
    'I-A10: %i bytes above the floor, what is only kept still goes first',
    async (above) => {
      free = floor * 10;
      const given: DiskPort = {
        ...port,
        unlink: async (path) => {
          await nodeDisk.unlink(path);
          free += 4096;
        },
      };
      await open({
        port: given,
        segmentBytes: 4096,
        budget: budget(1 << 30, { minFreeBytes: floor }),
      });
      for (let count = 0; count < 4; count += 1)
        await put(queue, sample(`/data/kept ${count}`, 4, 1000));
      await drainAll(queue);
      free = floor + above;
      await put(queue, sample('/data/new', 1, 1000));
      expect(free).toBeGreaterThan(floor + above);
    },
  );

  test('I-A10: below the floor, while the collector takes what is queued, a part of what is free is let through, again and again', async () => {
    free = floor / 2;
    await open({ port, segmentBytes: 4096, budget: budget(1 << 30, { minFreeBytes: floor }) });
    await expect(put(queue, sample('/data/offline', 1, 1000))).rejects.toMatchObject({
      code: 'QUEUE_FULL',
    });
    await queue.references.put(reference('/data/offline', 1000));
    await queue.sync();
    const heard = listen();
    queue.intake.drains(true);
    await queue.sync();
    expect(heard).toContain('space');
    expect(await queue.intake.space()).toEqual({ bytes: floor / 4, why: undefined });
    for (let round = 0; round < 3; round += 1) {
      await put(queue, sample(`/data/${round}`, 2, 100_000));
      await expect(put(queue, sample(`/data/large ${round}`, 3, 100_000))).rejects.toMatchObject({
        code: 'QUEUE_FULL',
      });
      await drainAll(queue);
    }
    // What has passed does not stay on such a disk to be sent again.
    expect((await queue.intake.usage()).keptBytes).toBe(0);
    queue.intake.drains(false);
    await expect(put(queue, sample('/data/offline again', 1, 1000))).rejects.toMatchObject({
      code: 'QUEUE_FULL',
    });
    expect(queue.intake.pending().entries).toBe(0);
  });

  test('I-A10: what passes below the floor is never more than the budget, its class, or a gibibyte allow', async () => {
    free = floor / 2;
    await open({ port, budget: budget(50_000, { minFreeBytes: floor, classes: { small: 0.1 } }) });
    queue.intake.drains(true);
    expect((await queue.intake.space()).bytes).toBe(50_000);
    expect((await queue.intake.space('small')).bytes).toBe(5000);
    expect(passingBytes(100 * 2 ** 30, 0)).toBe(2 ** 30);
    expect(passingBytes(300_000, 100_000)).toBe(200_000);
    expect(passingBytes(0, 0)).toBe(0);
  });

  test('I-A10: under the floor, what is queued is still signed and receipted', async () => {
    free = floor * 10;
    await open({ port, budget: budget(1 << 30, { minFreeBytes: floor }) });
    await put(queue, sample('/data/a', 4, 1000));
    await queue.sync();
    free = 0;
    await expect(put(queue, sample('/data/b', 1, 1000))).rejects.toMatchObject({
      code: 'QUEUE_FULL',
    });
    expect(await drainAll(queue)).toBe(1);
  });
});

describe('a disk that is full', () => {
  test('I-A10: captures, commits and receipts fail, nothing is lost, and all go on in the same process once there is space', async () => {
    let full = false;
    const writes = new Set(['write', 'open:updateOrCreate', 'open:createNew', 'mkdir']);
    const port = faultyFiles(nodeDisk, ({ operation }) =>
      full && writes.has(operation) ? { fail: 'ENOSPC' } : undefined,
    );
    await open({ port });
    const files = ['/data/a', '/data/b'].map((name) => sample(name, 2, 70_000));
    for (const file of files) await put(queue, file);
    await queue.sync();
    const patient = queue.intake.capture();
    await put(queue, sample('/data/small'));
    full = true;
    await expect(queue.sync()).rejects.toMatchObject({ code: 'FILE_NO_SPACE' });
    await expect(put(queue, sample('/data/c', 1, 1_100_000))).rejects.toMatchObject({
      code: 'FILE_NO_SPACE',
    });
    await expect(queue.outbox.nextCommit(testSigner())).rejects.toMatchObject({
      code: 'FILE_NO_SPACE',
    });
    full = false;
    await queue.sync();
    expect(queue.intake.pending().entries).toBe(3);
    full = true;
    await expect(queue.outbox.nextCommit(testSigner())).rejects.toMatchObject({
      code: 'FILE_NO_SPACE',
    });
    await expect(queue.epochs.learn(1)).rejects.toMatchObject({ code: 'FILE_NO_SPACE' });
    full = false;
    const commit = await queue.outbox.nextCommit(testSigner());
    if (commit === undefined) throw new Error('no commit');
    expect(commit).toMatchObject({ sequence: 1, entries: 3 });
    const { signed, body } = receiptFor(commit);
    full = true;
    await expect(queue.outbox.receipted(signed, body)).rejects.toMatchObject({
      code: 'FILE_NO_SPACE',
    });
    expect(queue.intake.pending().entries).toBe(3);
    full = false;
    await queue.outbox.receipted(signed, body);
    expect(queue.intake.pending().entries).toBe(0);
    // Nothing had to start again for it.
    const late = sample('/data/late');
    await patient.putVersion(late.draft, late.known);
    await queue.close();
    await open({});
    expect(queue.epochs.newest()).toBe(0);
    expect(queue.outbox.receiptedSequence()).toBe(1);
  });

  test('I-A1, I-A10: an index that cannot be written stops the queue until there is space, and then every synced version is there', async () => {
    let full = false;
    let free = 0;
    const port: DiskPort = {
      ...nodeDisk,
      freeBytes: async () => free,
      level: {
        ...nodeDisk.level,
        open: async (path, options) =>
          new Proxy(await nodeDisk.level.open(path, options), {
            get(target, name) {
              const value: unknown = Reflect.get(target, name, target);
              if (typeof value !== 'function') return value;
              return (...args: unknown[]): unknown =>
                name === 'batch' && full
                  ? Promise.reject(
                      Object.assign(new Error('IO error: 000005.log: No space left on device'), {
                        code: 'LEVEL_IO_ERROR',
                      }),
                    )
                  : Reflect.apply(value, target, args);
            },
          }),
      },
    };
    await open({ port });
    await put(queue, sample('/data/a'));
    await queue.sync();
    const late = queue.intake.capture();
    await put(queue, sample('/data/b'));
    full = true;
    await expect(queue.sync()).rejects.toMatchObject({ code: 'QUEUE_NO_SPACE', retryable: true });
    await expect(queue.sync()).rejects.toMatchObject({ code: 'QUEUE_NO_SPACE', retryable: true });
    full = false;
    await expect(queue.sync()).rejects.toMatchObject({ code: 'QUEUE_NO_SPACE' });
    free = 1 << 30;
    await queue.sync();
    expect(queue.intake.pending().entries).toBe(2);
    expect(await queue.ledger.known(Buffer.from('/data/b'))).toMatchObject({ state: 'queued' });
    const c = sample('/data/c');
    await expect(late.putVersion(c.draft, c.known)).rejects.toMatchObject({ code: 'QUEUE_CLOSED' });
    await put(queue, c);
    expect(await drainAll(queue)).toBe(1);
    expect(queue.intake.pending().entries).toBe(0);
  });
});
