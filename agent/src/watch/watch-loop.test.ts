import { appendFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NO_EARLIER_FOLDERS, notUnderWine } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Bench, openBench, pathKey } from '../../testing/capture/bench.ts';
import type { CaptureHost } from '../capture/host.ts';
import { quietTime } from '../source/proof.ts';
import type { EventPort, EventSink, Subscription, WatchedPlace } from './event-port.ts';
import { SourceWatch } from './source-watch.ts';
import { newTally } from './tally.ts';
import { WatchLoop } from './watch-loop.ts';
import { nativeEvents } from './watcher.ts';

let bench: Bench;
let loop: WatchLoop;
let scans: number;
let told: (string | undefined)[];
let lost: string[];

beforeEach(async () => {
  bench = await openBench();
  scans = 0;
  told = [];
  lost = [];
});
afterEach(async () => {
  await loop.stop();
  await bench.close();
});

const at = (name: string) => join(bench.data, name);
const known = async (name: string) =>
  (await bench.queue.ledger.known(Buffer.from(at(name)))) !== undefined;
const scanned = (count: number) =>
  vi.waitFor(() => expect(scans).toBeGreaterThanOrEqual(count), { timeout: 240_000 });
const captured = (name: string) =>
  vi.waitFor(async () => expect(await known(name)).toBe(true), { timeout: 240_000, interval: 20 });

function run(
  events: EventPort,
  clock = { nowMs: () => Date.now() },
  host: CaptureHost = bench.host,
): void {
  const { queue, problems, references, underWay, places } = bench;
  const source = { ...bench.source, proof: quietTime(0.2) };
  const watch = new SourceWatch(source, {
    host,
    queue,
    problems,
    references,
    underWay,
    places,
    pathKey,
    clock,
    trustStamps: true,
  });
  loop = new WatchLoop({
    watches: () => [watch],
    renew: async () => undefined,
    events,
    clock,
    // Nothing in these tests is found by the next scan.
    scanIntervalMs: 3_600_000,
    waiting: { files: 0, ask: async () => undefined, capture: async () => newTally() },
    listener: {
      captured: () => undefined,
      scanned: () => {
        scans += 1;
      },
      looked: () => undefined,
      failed: (error) => void told.push(String(error)),
      events: (_root, because) => void told.push(because),
      lost: (_root, because) => void lost.push(because),
    },
  });
  loop.start();
}

test.runIf(notUnderWine(NO_EARLIER_FOLDERS))(
  'what is written into new folders, as fast as one can, is captured without another scan',
  async () => {
    mkdirSync(at('old'));
    run(nativeEvents());
    await scanned(1);
    mkdirSync(at('old/a/b/c'), { recursive: true });
    writeFileSync(at('old/a/b/c/deep'), '1');
    writeFileSync(at('old/a/high'), '1');
    await captured('old/a/b/c/deep');
    await captured('old/a/high');
    appendFileSync(at('old/a/b/c/deep'), ' and more');
    mkdirSync(at('run.D'));
    writeFileSync(at('run.D/data'), '1');
    await captured('run.D/data');
    renameSync(at('old/a'), at('moved'));
    await captured('moved/b/c/deep');
    writeFileSync(at('moved/b/c/later'), '1');
    await captured('moved/b/c/later');
    expect(scans).toBe(1);
    expect(told).toEqual([undefined]);
  },
);

/** A port whose events a test makes. */
class EventsByHand implements EventPort {
  readonly sinks: EventSink[] = [];
  closed = 0;
  /** Whether the first look at the root is called its first. */
  fresh = false;
  onScanEnded: () => void = () => undefined;

  subscribe(_place: WatchedPlace, sink: EventSink): Subscription {
    this.sinks.push(sink);
    return {
      met: (folder) => {
        const fresh = this.fresh && folder === bench.root;
        if (fresh) this.fresh = false;
        return fresh;
      },
      scanBegins: () => undefined,
      scanEnded: () => this.onScanEnded(),
      close: () => {
        this.closed += 1;
      },
    };
  }
}

test('lost events lead to a scan', async () => {
  const hand = new EventsByHand();
  run(hand);
  await captured('.');
  expect(scans).toBe(1);
  writeFileSync(at('unseen'), '1');
  hand.sinks[0]?.lost('too much at once');
  await captured('unseen');
  expect(lost).toEqual(['too much at once']);
  expect(told).toEqual([undefined]);
});

test('events that end are said, and begin again with the scan that follows', async () => {
  const hand = new EventsByHand();
  run(hand);
  await captured('.');
  expect(scans).toBe(1);
  writeFileSync(at('unseen'), '1');
  hand.sinks[0]?.ended('EPERM');
  await captured('unseen');
  expect(hand.closed).toBe(1);
  expect(hand.sinks).toHaveLength(2);
  expect(told).toEqual([undefined, 'EPERM', undefined]);
});

test('a folder whose events come only from now on is looked at again at once', async () => {
  const hand = new EventsByHand();
  hand.fresh = true;
  // After the scan came by the root.
  hand.onScanEnded = () => writeFileSync(at('between'), '1');
  run(hand);
  await captured('between');
  expect(scans).toBe(1);
});

test('another folder in the place of the root is subscribed to by the next scan', async () => {
  const hand = new EventsByHand();
  run(hand);
  await scanned(1);
  renameSync(bench.data, `${bench.data}-away`);
  mkdirSync(bench.data);
  loop.scanSoon();
  await scanned(2);
  expect(hand.sinks).toHaveLength(2);
  expect(hand.closed).toBe(1);
});

test('what failed is tried again after a while, and not at once, however much happens meanwhile', async () => {
  let now = Date.now();
  const failing: CaptureHost = Object.create(bench.host, {
    look: { value: () => Promise.reject(new Error('the disk is away')) },
  });
  run(nativeEvents(), { nowMs: () => now }, failing);
  await vi.waitFor(() => expect(told).toEqual(['Error: the disk is away']), { timeout: 240_000 });
  for (let again = 0; again < 20; again += 1) {
    loop.scanSoon();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(told).toHaveLength(1);
  now += 6_000;
  loop.scanSoon();
  await vi.waitFor(() => expect(told).toHaveLength(2), { timeout: 240_000 });
});
