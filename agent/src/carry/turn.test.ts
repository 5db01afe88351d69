import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import { noEvents } from '../../testing/watch/no-events.ts';
import { Service } from '../service/service.ts';
import type { ExportSummary } from './export-queue.ts';
import type { ImportSummary } from './import-receipts.ts';

const exported: ExportSummary = { commits: 0, versions: 0, items: 0, bytes: 0, left: 0 };
const imported: ImportSummary = {
  receipts: 0,
  versions: 0,
  queued: 0,
  notices: [],
  renewed: false,
};

let service: ServiceBench;
/** What began and ended, in order, and the state of the session at that time. */
let told: string[];
let release: () => void;
let held: Promise<void>;

beforeEach(async () => {
  service = await openServiceBench();
  told = [];
  held = new Promise((resolve) => {
    release = resolve;
  });
  const { uplink } = service.agent;
  const step = async <T>(name: string, summary: T): Promise<T> => {
    told.push(`${name} begins, ${uplink.status().state}`);
    await held;
    told.push(`${name} ends, ${uplink.status().state}`);
    return summary;
  };
  vi.spyOn(uplink, 'exportQueue').mockImplementation(() => step('export', exported));
  vi.spyOn(uplink, 'importReceipts').mockImplementation(() => step('import', imported));
});
afterEach(async () => {
  release();
  vi.restoreAllMocks();
  await service.close();
});

const bring = () => service.perform({ op: 'queueImport', file: join(tmpdir(), 'receipts') });
const take = () => service.perform({ op: 'queueExport', file: join(tmpdir(), 'queue') });
const until = (line: string) => vi.waitUntil(() => told.includes(line), { timeout: 240_000 });
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('I-A2: carrying commands come one after the other, and the session rests meanwhile and goes on afterwards', async () => {
  await service.perform({ op: 'flush' });
  expect(service.agent.uplink.status().state).toBe('ready');
  const all = [bring(), bring(), take()];
  await until('import begins, stopped');
  await settled();
  release();
  for (const { code } of await Promise.all(all)) expect(code).toBeUndefined();
  const alone = ['import', 'import', 'export'].flatMap((name) => [
    `${name} begins, stopped`,
    `${name} ends, stopped`,
  ]);
  expect(told).toEqual(alone);
  expect(service.agent.uplink.status().state).not.toBe('stopped');
});

test('I-A2: a command that needs the session waits until nothing is carried any more', async () => {
  const carried = bring();
  await until('import begins, stopped');
  const flushed = service.perform({ op: 'flush' });
  await settled();
  release();
  await carried;
  expect((await flushed).code).toBeUndefined();
  expect(told).toEqual(['import begins, stopped', 'import ends, stopped']);
  expect(service.agent.uplink.status().state).toBe('ready');
});

test('a service that is stopped while something is carried starts no session again', async () => {
  const { agent, bench } = service;
  const place = {
    platform: process.platform,
    runtimeDir: undefined,
    tmpDir: bench.own,
    uid: process.getuid?.(),
  };
  const running = await Service.start({
    agent,
    events: noEvents,
    scanIntervalSeconds: 3600,
    place,
    askPlace: {
      platform: process.platform,
      serviceRuntimeDir: place.tmpDir,
      runtimeDir: undefined,
    },
    log: pino({ enabled: false }),
  });
  const carried = bring();
  const next = take();
  await until('import begins, stopped');
  await running.stop();
  const start = vi.spyOn(agent.uplink, 'start');
  release();
  expect((await carried).code).toBeUndefined();
  await next;
  expect(start).not.toHaveBeenCalled();
  expect(agent.uplink.status().state).toBe('stopped');
});
