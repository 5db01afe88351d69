import { cpSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  collect,
  indexOf,
  openQueue,
  put,
  putTogether,
  receiptFor,
  sample,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import { fsckQueue } from './fsck.ts';
import { familyRange } from './index-rows.ts';
import { queuePaths } from './open-queue.ts';

let folder: ReturnType<typeof temporaryFolder>;
/**
 * A folder in which six processes queued three versions each, the first six versions of which stand
 * in receipted commits.
 */
let dir: string;
/** The index of it as it was a while ago, and that of another folder. */
let older: string;
let foreign: string;

beforeEach(async () => {
  folder = temporaryFolder();
  [dir, older, foreign] = [
    join(folder.dir, 'pc'),
    join(folder.dir, 'older'),
    join(folder.dir, 'foreign'),
  ];
  for (let turn = 0; turn < 6; turn += 1) {
    const queue = await openQueue(dir, { segmentBytes: 4096, keptBytes: 0 });
    for (let index = 0; index < 3; index += 1)
      await put(queue, sample(`/data/${turn}-${index}`, 2, 600));
    await queue.sync();
    if (turn === 1) {
      const commit = await queue.outbox.nextCommit(testSigner());
      if (commit !== undefined)
        await queue.outbox.receipted(receiptFor(commit).signed, receiptFor(commit).body);
    }
    await queue.close();
    if (turn === 3) cpSync(queuePaths(dir).index, older, { recursive: true });
  }
  const other = await openQueue(join(folder.dir, 'other'), { segmentBytes: 4096 });
  for (let index = 0; index < 30; index += 1)
    await put(other, sample(`/elsewhere/${index}`, 2, 600));
  await other.close();
  cpSync(queuePaths(join(folder.dir, 'other')).index, foreign, { recursive: true });
});

afterEach(() => folder.remove());

const batchKeys = (): string[] => readdirSync(queuePaths(dir).keys).sort();
const segments = (): string[] => readdirSync(queuePaths(dir).segments).sort();

/** Takes rows out of the index, as rotten bytes of LevelDB's own log do. */
async function without(family: 'q' | 'h' | 'c'): Promise<void> {
  const store = await indexOf(dir);
  let turn = 0;
  for await (const [key] of store.iterate(familyRange(family)))
    if (turn++ % 2 === 0) store.del(key);
  await store.write({ sync: true });
  await store.close();
}

const damages: Record<string, () => void | Promise<void>> = {
  'is gone': () => rmSync(queuePaths(dir).index, { recursive: true }),
  'is empty': () => {
    for (const name of readdirSync(queuePaths(dir).index))
      rmSync(join(queuePaths(dir).index, name));
  },
  'has lost CURRENT': () => rmSync(join(queuePaths(dir).index, 'CURRENT')),
  'has lost its manifest': () => {
    for (const name of readdirSync(queuePaths(dir).index))
      if (name.startsWith('MANIFEST')) rmSync(join(queuePaths(dir).index, name));
  },
  'has lost its tables': () => {
    for (const name of readdirSync(queuePaths(dir).index))
      if (name.endsWith('.ldb')) rmSync(join(queuePaths(dir).index, name));
  },
  'has lost its newest writes': () => {
    for (const name of readdirSync(queuePaths(dir).index))
      if (name.endsWith('.log')) truncateSync(join(queuePaths(dir).index, name), 0);
  },
  'has lost half of what waits': () => without('q'),
  'has lost half of the holds': () => without('h'),
  'is an older one': () => {
    rmSync(queuePaths(dir).index, { recursive: true });
    cpSync(older, queuePaths(dir).index, { recursive: true });
  },
  'is of another folder': () => {
    rmSync(queuePaths(dir).index, { recursive: true });
    cpSync(foreign, queuePaths(dir).index, { recursive: true });
  },
};

describe('I-A3 when the index', () => {
  for (const [what, damage] of Object.entries(damages)) {
    test(`${what}, opening erases no key and drops no segment that is needed, and everything is sent`, async () => {
      const [keysBefore, segmentsBefore] = [batchKeys(), segments()];
      await damage();
      const first = await openQueue(dir, { segmentBytes: 4096, keptBytes: 0 });
      expect(first.intake.pending().entries).toBe(12);
      await first.close();
      expect(batchKeys()).toEqual(keysBefore);
      expect(segments()).toEqual(expect.arrayContaining(segmentsBefore));

      const again = await openQueue(dir, { segmentBytes: 4096, keptBytes: 0 });
      const signed = await again.outbox.nextCommit(testSigner());
      expect(signed).toMatchObject({ sequence: 2, entries: 12 });
      expect(await collect(again.losses.list())).toEqual([]);
      // Nobody needs them now, and the logs prove it.
      expect(batchKeys()).toEqual([]);
      await again.close();
    });

    test(`${what}, fsck with and without a repair erases nothing`, async () => {
      const keysBefore = batchKeys();
      await damage();
      for (const repair of [false, true])
        await collect(
          fsckQueue({ port: nodeDisk, dataDir: dir, random: seededRandom('fsck'), repair }),
        );
      expect(batchKeys()).toEqual(keysBefore);
      const queue = await openQueue(dir, { segmentBytes: 4096 });
      expect(await queue.outbox.nextCommit(testSigner())).toMatchObject({ entries: 12 });
      expect(await collect(queue.losses.list())).toEqual([]);
      await queue.close();
    });
  }

  test('says of versions that they are signed, and the chain log does not, their keys stay', async () => {
    const store = await indexOf(dir);
    store.state.signedEntry = store.state.nextEntry - 1;
    store.state.pendingEntries = 0;
    await store.write({ sync: true });
    await store.close();
    const keysBefore = batchKeys();
    await (await openQueue(dir, { segmentBytes: 4096 })).close();
    expect(batchKeys()).toEqual(keysBefore);
  });

  test('D5 says that nothing waits, and says it of everything, no segment is dropped, no epoch answered, and all is sent', async () => {
    const lie = async (): Promise<void> => {
      const store = await indexOf(dir);
      for (const family of ['q', 'h'] as const)
        for await (const [key] of store.iterate(familyRange(family))) store.del(key);
      Object.assign(store.state, { pendingEntries: 0, pendingBytes: 0, classBytes: {} });
      await store.write({ sync: true });
      await store.close();
    };
    const [keysBefore, segmentsBefore] = [batchKeys(), segments()];
    await lie();
    // Nothing is to be dropped, so it is believed.
    const queue = await openQueue(dir, { segmentBytes: 4096 });
    expect(queue.intake.pending().entries).toBe(0);
    await queue.epochs.learn(1);
    expect(await queue.epochs.answer()).toBeUndefined();
    await queue.close();
    expect(batchKeys()).toEqual(keysBefore);
    await lie();
    const again = await openQueue(dir, { segmentBytes: 4096, keptBytes: 0 });
    expect(again.intake.pending().entries).toBe(12);
    expect(segments()).toEqual(segmentsBefore);
    expect(batchKeys()).toEqual(keysBefore);
    expect(await again.outbox.nextCommit(testSigner())).toMatchObject({ entries: 12 });
    await again.close();
  });

  test('knows of a commit that was signed right before a crash, its keys go at the next start', async () => {
    const queue = await openQueue(dir, { segmentBytes: 4096 });
    const kept = join(folder.dir, 'keys');
    cpSync(queuePaths(dir).keys, kept, { recursive: true });
    await queue.outbox.nextCommit(testSigner());
    await queue.close();
    cpSync(kept, queuePaths(dir).keys, { recursive: true });
    expect(batchKeys()).toHaveLength(4);
    await (await openQueue(dir, { segmentBytes: 4096 })).close();
    expect(batchKeys()).toEqual([]);
  });
});

describe('I-A6 when segments', () => {
  const names = async (): Promise<string[]> => {
    const queue = await openQueue(dir, { segmentBytes: 4096 });
    const lost = (await collect(queue.losses.list())).map(({ path }) =>
      Buffer.from(path ?? []).toString(),
    );
    const pending = queue.intake.pending().entries;
    expect(lost.length + pending).toBe(12);
    if (pending > 0) {
      const rest = await queue.outbox.nextCommit(testSigner());
      expect(rest).toMatchObject({ entries: pending });
      if (rest !== undefined)
        await queue.outbox.receipted(receiptFor(rest).signed, receiptFor(rest).body);
    }
    // The same bytes are taken in again, not believed to be there.
    await put(queue, sample('/data/5-2', 2, 600));
    expect(await queue.outbox.nextCommit(testSigner())).toMatchObject({ entries: 1 });
    for (const { id } of sample('/data/5-2', 2, 600).items)
      expect(await queue.items.readItem(id)).toBeDefined();
    await queue.close();
    return lost;
  };
  const cuts: Record<string, () => void> = {
    'have lost their end': () =>
      truncateSync(join(queuePaths(dir).segments, segments().at(-1) ?? ''), 900),
    'have lost the newest': () => rmSync(join(queuePaths(dir).segments, segments().at(-1) ?? '')),
    'have lost one between others': () =>
      rmSync(join(queuePaths(dir).segments, segments().at(-2) ?? '')),
    'are all gone': () => {
      for (const name of segments()) rmSync(join(queuePaths(dir).segments, name));
    },
  };
  const damagedToo = [
    'is gone',
    'has lost CURRENT',
    'has lost its manifest',
    'is of another folder',
  ];
  for (const [what, cut] of Object.entries(cuts))
    for (const index of damagedToo)
      test(`${what} while the index ${index}, what is known of the lost is named, no later version has its number, and the rest is sent`, async () => {
        cut();
        await damages[index]?.();
        const first = await openQueue(dir, { segmentBytes: 4096 });
        const lost = await collect(first.losses.list());
        const pending = first.intake.pending().entries;
        // Only the index knew of what stood at the end, and a part of them cannot be asked.
        const knewAll = index === 'has lost CURRENT' || what === 'have lost one between others';
        if (knewAll) expect(lost.length + pending).toBe(12);
        expect(lost.length + pending).toBeLessThanOrEqual(12);
        await put(first, sample('/data/new', 2, 600));
        await first.close();
        // All of it made again once more, nothing else is lost by that.
        rmSync(queuePaths(dir).index, { recursive: true });
        const again = await openQueue(dir, { segmentBytes: 4096, keptBytes: 0 });
        expect(await collect(again.losses.list())).toEqual(lost);
        expect(again.intake.pending().entries).toBe(pending + 1);
        const commit = await again.outbox.nextCommit(testSigner());
        expect(commit).toMatchObject({ entries: pending + 1 });
        expect(await again.ledger.known(Buffer.from('/data/new'))).toMatchObject({
          state: 'queued',
        });
        if (commit !== undefined)
          await again.outbox.receipted(receiptFor(commit).signed, receiptFor(commit).body);
        await again.close();
        // Nobody needs any segment but the one that is written to.
        expect(segments().length).toBeLessThanOrEqual(1);
      });

  const rots: Record<
    string,
    (store: Awaited<ReturnType<typeof indexOf>>, key: Uint8Array) => void
  > = {
    'cannot be read': (store, key) => store.put(key, Buffer.from('of another release')),
    'has rotted away': (store, key) => store.del(key),
  };
  for (const [rot, change] of Object.entries(rots))
    test(`have lost a record of many versions and their row ${rot} in a damaged index, all of them are named`, async () => {
      const files = ['/plate/a', '/plate/b', '/plate/c'].map((name) => sample(name, 1, 600));
      const before = segments();
      // Opened with other segments, so that the record stands in one of its own.
      const queue = await openQueue(dir, { segmentBytes: 4096, keptBytes: 0 });
      await putTogether(queue, files);
      await queue.close();
      const store = await indexOf(dir);
      const rows = await collect(store.iterate(familyRange('q')));
      change(store, rows.at(-1)?.[0] ?? new Uint8Array(0));
      await store.write({ sync: true });
      await store.close();
      for (const name of segments().filter((one) => !before.includes(one)))
        rmSync(join(queuePaths(dir).segments, name));
      truncateSync(join(queuePaths(dir).segments, before.at(-1) ?? ''), 900);
      rmSync(join(queuePaths(dir).index, 'CURRENT'));
      const again = await openQueue(dir, { segmentBytes: 4096 });
      const lost = (await collect(again.losses.list())).map(({ path }) => String(path));
      expect(lost).toEqual(expect.arrayContaining(['/plate/a', '/plate/b', '/plate/c']));
      await again.close();
    });

  for (const [what, cut] of Object.entries(cuts)) {
    test(`${what}, each version that went is named, and the rest is sent`, async () => {
      cut();
      const lost = await names();
      expect(lost).toEqual(
        what === 'are all gone'
          ? expect.arrayContaining(['/data/2-0', '/data/5-2'])
          : expect.arrayContaining([expect.stringMatching(/^\/data\/[2-5]-/)]),
      );
    });

    test(`${what}, a repair before anything else names them too`, async () => {
      cut();
      await collect(
        fsckQueue({ port: nodeDisk, dataDir: dir, random: seededRandom('fsck'), repair: true }),
      );
      expect((await names()).length).toBeGreaterThan(0);
    });
  }
});
