import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DiskPort, LevelDatabase } from '@aliquot/shared/derived/level-port';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { reference } from '../../../testing/queue/references-conformance.ts';
import {
  collect,
  indexOf,
  openQueue,
  put,
  receiptFor,
  sample,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import type { Queue } from '../queue.ts';
import { QueueError } from './errors.ts';
import { fsckQueue } from './fsck.ts';
import { familyRange, numberInKey } from './index-rows.ts';

let folder: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(() => folder.remove());

/** A disk on which LevelDB finds its files damaged at the read so many reads from now. */
class RottenDisk {
  after = Number.POSITIVE_INFINITY;
  readonly port: DiskPort;

  constructor() {
    this.port = {
      ...nodeDisk,
      level: {
        ...nodeDisk.level,
        open: async (...args) => this.#rotten(await nodeDisk.level.open(...args)),
      },
    };
  }

  #read<T>(answer: () => Promise<T>): Promise<T> {
    this.after -= 1;
    if (this.after !== 0) return answer();
    return Promise.reject(Object.assign(new Error('bad block'), { code: 'LEVEL_CORRUPTION' }));
  }

  #rotten(level: LevelDatabase): LevelDatabase {
    return {
      get: (key) => this.#read(() => level.get(key)),
      getMany: (keys) => this.#read(() => level.getMany(keys)),
      batch: (changes, options) => this.#read(() => level.batch(changes, options)),
      iterator: (options) => {
        const rows = level.iterator(options);
        return {
          nextv: (count) => this.#read(() => rows.nextv(count)),
          close: () => rows.close(),
        };
      },
      clear: (range) => level.clear(range),
      close: () => level.close(),
    };
  }
}

/** Until it goes through: what callers do with an error that may be tried again. */
async function untilDone<T>(step: () => Promise<T>): Promise<T> {
  for (let turn = 0; ; turn += 1) {
    try {
      return await step();
    } catch (error) {
      const isOurs = error instanceof QueueError;
      // A capture that was open has ended.
      if (!isOurs || turn > 3 || !(error.retryable || error.code === 'QUEUE_CLOSED')) throw error;
    }
  }
}

async function sendAll(queue: Queue): Promise<number> {
  for (let sent = 0; ; ) {
    const commit = await untilDone(() => queue.outbox.nextCommit(testSigner()));
    if (commit === undefined) return sent;
    const { signed, body } = receiptFor(commit);
    await untilDone(() => queue.outbox.receipted(signed, body));
    sent += commit.entries;
  }
}

/** A day of a queue; what it has known and sent in the end. */
async function day(dir: string, port: DiskPort): Promise<unknown> {
  const queue = await openQueue(dir, { port, segmentBytes: 4096 });
  try {
    for (const name of ['a', 'b']) await untilDone(() => put(queue, sample(`/${name}`, 3)));
    await untilDone(() => queue.sync());
    await sendAll(queue);
    await untilDone(() => put(queue, sample('/d', 3, 900)));
    await untilDone(() => queue.sync());
    const [first] = sample('/d', 3, 900).items;
    const item = first === undefined ? undefined : await queue.items.readItem(first.id);
    await sendAll(queue);
    const known = await untilDone(() => collect(queue.ledger.knownUnder(Buffer.from('/'))));
    return {
      item: item?.sealed.length,
      known: known.map(({ path, state }) => [Buffer.from(path).toString(), state]),
      lost: await untilDone(() => collect(queue.losses.list())),
      pending: queue.intake.pending().entries,
    };
  } finally {
    await queue.close();
  }
}

describe('D4 an index that is found damaged while the queue works', () => {
  test('keeps a reference that was put after the version which took the place of the one before', async () => {
    const disk = new RottenDisk();
    const queue = await openQueue(folder.dir, { port: disk.port });
    const file = sample('/data/r');
    const { size, mtimeNs, capturedAtMs } = file.known;
    await queue.references.put({ ...reference('/data/r', capturedAtMs), size, mtimeNs });
    await queue.sync();
    await put(queue, file);
    await queue.references.put(reference('/data/r', 900, 7));
    disk.after = 1;
    await untilDone(() => queue.ledger.known(Buffer.from('/data/other')));
    await untilDone(() => queue.sync());
    expect(disk.after).toBeLessThan(1);
    expect(await collect(queue.references.list())).toEqual([reference('/data/r', 900, 7)]);
    await queue.close();
  });

  test('at whatever read or write, is made again, and nothing that was handed over is lost', async () => {
    const whole = await day(join(folder.dir, 'whole'), nodeDisk);
    expect(whole).toMatchObject({ lost: [], pending: 0 });
    let met = 0;
    // Openings are looked at one read after the other, the rest a few at a time.
    for (let at = 1; ; at += at < 12 ? 1 : 3) {
      const disk = new RottenDisk();
      disk.after = at;
      const dir = join(folder.dir, `at-${at}`);
      expect([at, await day(dir, disk.port)]).toEqual([at, whole]);
      if (disk.after > 0) break;
      met += 1;
      const fsck = { port: nodeDisk, dataDir: dir, random: seededRandom('f'), repair: false };
      expect(await collect(fsckQueue(fsck))).toEqual([]);
      rmSync(dir, { recursive: true });
    }
    expect(met).toBeGreaterThan(20);
  });
});

describe('D5 an index that does not know what the logs prove to wait', () => {
  beforeEach(async () => {
    for (const name of ['a', 'b', 'c']) {
      const queue = await openQueue(folder.dir, { segmentBytes: 4096, keptBytes: 0 });
      for (let at = 0; at < 3; at += 1) await put(queue, sample(`/${name}/${at}`, 2, 600));
      await queue.close();
    }
    const store = await indexOf(folder.dir);
    for (const family of ['q', 'h'] as const)
      for await (const [key] of store.iterate(familyRange(family)))
        if (numberInKey(key, family === 'q' ? 0 : 1) > 3) store.del(key);
    store.state.pendingEntries = 3;
    await store.write({ sync: true });
    await store.close();
  });

  test('is made again before anything behind it is signed', async () => {
    const queue = await openQueue(folder.dir, { segmentBytes: 4096 });
    expect(queue.intake.pending().entries).toBe(3);
    await put(queue, sample('/new', 1));
    expect(await sendAll(queue)).toBe(10);
    expect(await collect(queue.losses.list())).toEqual([]);
    await queue.close();
  });

  test('is made again before a segment is dropped for it', async () => {
    const queue = await openQueue(folder.dir, { segmentBytes: 4096, keptBytes: 0 });
    expect(await sendAll(queue)).toBe(9);
    await queue.close();
  });
});
