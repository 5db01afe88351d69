import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Bench, openBench } from '../../testing/capture/bench.ts';
import { cacheSecret, collect, keys, noise } from '../../testing/queue/support.ts';
import { cachedRows, decodeCached } from '../queue/ledger/rows.ts';
import { fromText } from '../source/paths.ts';
import { systemSource } from '../source/windows-source.ts';
import type { CaptureExchange, CaptureWindow } from './window.ts';
import { WorkerHost } from './worker-host.ts';

let bench: Bench;
let host: WorkerHost;
beforeEach(async () => {
  bench = await openBench();
  host = new WorkerHost({ vault: keys, cacheSecret });
});
afterEach(async () => {
  await host.close();
  await bench.close();
});

const jobs = (...names: string[]) =>
  names.map((name, job) => ({ job, path: fromText(join(bench.data, name), '/') }));

/** Takes everything, and keeps it. */
function taker(): CaptureExchange & { windows: CaptureWindow[] } {
  const windows: CaptureWindow[] = [];
  return {
    windows,
    lookup: async (indexes) => indexes.map(() => undefined),
    deliver: async (window) => {
      windows.push(window);
      return [];
    },
  };
}

test('the worker captures the same as this thread does', async () => {
  writeFileSync(join(bench.data, 'small'), 'small');
  writeFileSync(join(bench.data, 'large'), noise('worker', 3_000_000));
  const [there, here] = [taker(), taker()];
  await host.capture(jobs('small', 'missing', 'large'), there);
  await bench.host.capture(jobs('small', 'missing', 'large'), here);
  const plain = (windows: CaptureWindow[]) =>
    windows.flatMap(({ items, results }) => [
      items.map(({ id, sealed }) => [Buffer.from(id).toString('hex'), sealed.length]),
      results.map((result) =>
        result.type === 'captured' ? Buffer.from(result.sha256).toString('hex') : result.type,
      ),
    ]);
  expect(plain(there.windows)).toEqual(plain(here.windows));
});

test('the worker walks and looks like this thread does', async () => {
  bench.through(await systemSource());
  mkdirSync(join(bench.data, 'd'));
  for (let n = 0; n < 1200; n += 1) writeFileSync(join(bench.data, 'd', `f${n}`), '');
  const request = { root: bench.root, sourceRoot: bench.root, rules: bench.source.rules };
  const there = (await collect(host.walk(request))).flat();
  expect(there).toEqual((await collect(bench.host.walk(request))).flat());
  expect(there).toHaveLength(1202);
  expect(await host.look(bench.root)).toEqual(await bench.host.look(bench.root));
  expect(await host.look('/no/such/place')).toBe('ENOENT');
});

test('a walk may be left in the middle, and the worker serves on', async () => {
  for (let n = 0; n < 1200; n += 1) writeFileSync(join(bench.data, `f${n}`), '');
  for await (const batch of host.walk({
    root: bench.root,
    sourceRoot: bench.root,
    rules: bench.source.rules,
  })) {
    expect(batch.length).toBeGreaterThan(0);
    break;
  }
  expect(await host.look('/no/such/place')).toBe('ENOENT');
});

test('P6: what a worker that died had begun fails with its death, and not with what a new worker says', async () => {
  for (let n = 0; n < 3000; n += 1) writeFileSync(join(bench.data, `f${n}`), '');
  const threads = vi.spyOn(Worker.prototype, 'postMessage');
  const rules = { root: bench.root, sourceRoot: bench.root, rules: bench.source.rules };
  const walk = host.walk(rules)[Symbol.asyncIterator]();
  expect((await walk.next()).done).toBe(false);
  // The next batch was asked for before this, so it is here now.
  expect(await host.look('/no/such/place')).toBe('ENOENT');
  await (threads.mock.contexts.at(-1) as Worker).terminate();
  threads.mockRestore();
  const rest = async (): Promise<void> => {
    while ((await walk.next()).done !== true);
  };
  await expect(rest()).rejects.toThrow('the capture worker ended');
  expect(host.running).toBe(false);
  expect(await host.look('/no/such/place')).toBe('ENOENT');
});

test('an error of the queue ends the capture with that error', async () => {
  writeFileSync(join(bench.data, 'f'), noise('f', 100_000));
  const full = new Error('the disk is full');
  const failing: CaptureExchange = {
    lookup: async (indexes) => indexes.map(() => undefined),
    deliver: () => Promise.reject(full),
  };
  await expect(host.capture(jobs('f'), failing)).rejects.toBe(full);
  const after = taker();
  await host.capture(jobs('f'), after);
  expect(after.windows.flatMap(({ results }) => results)).toMatchObject([{ type: 'captured' }]);
});

test('a capture that failed is told only when nothing of it is being taken over any more', async () => {
  writeFileSync(
    join(bench.data, 'f'),
    Buffer.concat([1, 2, 3, 4].map((part) => noise(`part ${part}`, 3_000_000))),
  );
  const taken = Promise.withResolvers<readonly number[]>();
  const delivering = Promise.withResolvers<void>();
  const full = new Error('the disk is full');
  let lookups = 0;
  let told = false;
  const ended = host.capture(jobs('f'), {
    async lookup(indexes) {
      lookups += 1;
      if (lookups > 1) throw full;
      return indexes.map(() => undefined);
    },
    deliver() {
      delivering.resolve();
      return taken.promise;
    },
  });
  const outcome = ended.finally(() => {
    told = true;
  });
  outcome.catch(() => undefined);
  await delivering.promise;
  expect(lookups).toBe(2);
  // The worker was told to stop before it is asked these, and answers in order: by the second it
  // has given up.
  for (let look = 0; look < 2; look += 1) expect(await host.look('/no/such/place')).toBe('ENOENT');
  expect(told).toBe(false);
  taken.resolve([]);
  await expect(outcome).rejects.toBe(full);
});

test('an idle worker ends, and another starts when it is needed', async () => {
  let rests = 0;
  const rested = () => {
    rests += 1;
  };
  const brief = new WorkerHost({ vault: keys, cacheSecret }, { idleMs: 1, rested });
  expect(await brief.look('/no/such/place')).toBe('ENOENT');
  await expect.poll(() => rests).toBe(1);
  expect(brief.running).toBe(false);
  expect(await brief.look('/no/such/place')).toBe('ENOENT');
  await brief.close();
});

test('a cached chunk is not sealed again', async () => {
  writeFileSync(join(bench.data, 'f'), noise('cached', 100_000));
  const first = taker();
  await host.capture(jobs('f'), first);
  const [row] = first.windows.flatMap(({ cached }) =>
    cached.flatMap(({ pairs }) => [...cachedRows(pairs)]),
  );
  const cached = decodeCached(row?.value ?? new Uint8Array());
  const second = taker();
  await host.capture(jobs('f'), {
    ...second,
    lookup: async (indexes) => indexes.map(() => cached),
  });
  expect(second.windows.flatMap(({ items }) => items)).toEqual([]);
  const content = (windows: CaptureWindow[]) =>
    windows
      .flatMap(({ results }) => results)
      .map((result) => (result.type === 'captured' ? [result.content, result.keys] : result));
  expect(content(second.windows)).toEqual(content(first.windows));
});

test('with two workers two captures go on at the same time', async () => {
  writeFileSync(join(bench.data, 'one'), 'one');
  writeFileSync(join(bench.data, 'two'), 'two');
  const pair = new WorkerHost({ vault: keys, cacheSecret }, { workers: 2 });
  const arrived: (() => void)[] = [];
  /** Goes on when the other one's window has come as well. */
  const meeting = (): CaptureExchange => ({
    lookup: async (indexes) => indexes.map(() => undefined),
    async deliver() {
      await new Promise<void>((resolve) => {
        arrived.push(resolve);
        if (arrived.length === 2) for (const go of arrived) go();
      });
      return [];
    },
  });
  await Promise.all([pair.capture(jobs('one'), meeting()), pair.capture(jobs('two'), meeting())]);
  expect(arrived).toHaveLength(2);
  await pair.close();
});

test('unless their number is set, large files have a second thread while a core is left, and small ones have not', async () => {
  writeFileSync(join(bench.data, 'one'), noise('one', 600_000));
  writeFileSync(join(bench.data, 'two'), noise('two', 600_000));
  let left = 2;
  const idle = new WorkerHost({ vault: keys, cacheSecret }, { workers: { left: () => left } });
  const large: typeof jobs = (...names) => jobs(...names).map((job) => ({ ...job, size: 600_000 }));
  /** Whether the second capture was begun while the first one was under way. */
  const together = async (first: typeof jobs, second: typeof jobs): Promise<boolean> => {
    let [begun, seen] = [false, false];
    await Promise.all([
      idle.capture(first('one'), {
        ...taker(),
        async deliver() {
          // Time enough for a thread that has nothing else to do.
          for (let look = 0; look < 200 && !begun; look += 1) await idle.look('/no/such/place');
          seen = begun;
          return [];
        },
      }),
      idle.capture(second('two'), {
        lookup: async (indexes) => {
          begun = true;
          return indexes.map(() => undefined);
        },
        deliver: async () => [],
      }),
    ]);
    return seen;
  };
  try {
    // A thread starts in some time; afterwards it is there.
    await expect.poll(() => together(large, large), { timeout: 20_000 }).toBe(true);
    expect(await together(large, jobs)).toBe(false);
    left = 1;
    expect(await together(large, large)).toBe(false);
  } finally {
    await idle.close();
  }
});

test('the second thread rests while others need the cores, and goes on when the first has done', async () => {
  writeFileSync(join(bench.data, 'one'), noise('one', 600_000));
  const parts = Array.from({ length: 12 }, (_, n) => noise(`two ${n}`, 1_000_000));
  writeFileSync(join(bench.data, 'two'), Buffer.concat(parts));
  let left = 2;
  const idle = new WorkerHost({ vault: keys, cacheSecret }, { workers: { left: () => left } });
  const lookup: CaptureExchange['lookup'] = async (indexes) => indexes.map(() => undefined);
  let [windows, secondDone] = [0, false];
  let begun: () => void = () => undefined;
  const secondBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const first = idle.capture(
    jobs('one').map((job) => ({ ...job, size: 600_000 })),
    {
      lookup,
      async deliver() {
        await secondBegun;
        for (let look = 0; look < 300; look += 1) await idle.look('/no/such/place');
        expect([windows, secondDone]).toEqual([1, false]);
        return [];
      },
    },
  );
  const second = idle.capture(
    jobs('two').map((job) => ({ ...job, size: 12_000_000 })),
    {
      lookup,
      async deliver() {
        windows += 1;
        left = 0.9;
        begun();
        return [];
      },
    },
  );
  try {
    await first;
    await second.then(() => {
      secondDone = true;
    });
    expect(windows).toBeGreaterThan(2);
  } finally {
    await idle.close();
  }
});

test('a backup with three workers holds the same versions as with one', async () => {
  for (let n = 0; n < 1500; n += 1) writeFileSync(join(bench.data, `f${n}`), `file ${n}`);
  for (const name of ['large', 'larger'])
    writeFileSync(join(bench.data, name), noise(name, 2_000_000));
  const other = await openBench();
  const three = new WorkerHost({ vault: keys, cacheSecret }, { workers: 3 });
  try {
    cpSync(bench.data, other.data, { recursive: true, preserveTimestamps: true });
    other.host = three;
    const alone = await bench.backup();
    expect((await other.backup()).told).toEqual(alone.told);
    expect(alone.told).toHaveLength(1503);
    expect(await known(other)).toEqual(await known(bench));
    expect((await other.backup()).same).toBe(1503);
  } finally {
    await three.close();
    await other.close();
  }
});

/** What the queue knows of each file: name, size and content. */
async function known({ queue, data }: Bench): Promise<string[]> {
  const files = await collect(queue.ledger.knownUnder(new Uint8Array(0)));
  return files.map(({ path, size, contentTag }) => {
    return `${Buffer.from(path).toString().slice(data.length)} ${size} ${Buffer.from(contentTag).toString('hex')}`;
  });
}
