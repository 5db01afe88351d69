import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import { noEvents } from '../../testing/watch/no-events.ts';
import { Service } from '../service/service.ts';

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
});
afterEach(async () => {
  release();
  await service.close();
});

/** Work by hand that lasts until it is released. */
function work(name: string): Promise<void> {
  const { uplink } = service.agent;
  return uplink.instead(async () => {
    told.push(`${name} begins, ${uplink.status().state}`);
    await held;
    told.push(`${name} ends, ${uplink.status().state}`);
  });
}
const until = (line: string) => vi.waitUntil(() => told.includes(line), { timeout: 240_000 });
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('I-A2: works by hand come one after the other, and the session rests meanwhile and goes on afterwards', async () => {
  await service.perform({ op: 'flush' });
  const { uplink } = service.agent;
  expect(uplink.status().state).toBe('ready');
  const all = [work('one'), work('two'), work('three')];
  await until('one begins, stopped');
  await settled();
  release();
  await Promise.all(all);
  const alone = ['one', 'two', 'three'].flatMap((name) => [
    `${name} begins, stopped`,
    `${name} ends, stopped`,
  ]);
  expect(told).toEqual(alone);
  expect(uplink.status().state).not.toBe('stopped');
});

test('I-A2: a command that needs the session waits until nothing is done by hand any more', async () => {
  const carried = work('one');
  await until('one begins, stopped');
  const flushed = service.perform({ op: 'flush' });
  await settled();
  release();
  await carried;
  expect((await flushed).code).toBeUndefined();
  expect(told).toEqual(['one begins, stopped', 'one ends, stopped']);
  expect(service.agent.uplink.status().state).toBe('ready');
});

test('what fails by hand fails for whoever asked, and the session goes on', async () => {
  const { uplink } = service.agent;
  await service.perform({ op: 'flush' });
  await expect(uplink.instead(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(uplink.status().state).not.toBe('stopped');
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
  const all = [work('one'), work('two')];
  await until('one begins, stopped');
  await running.stop();
  const states: string[] = [];
  agent.uplink.subscribe((event) => {
    if (event.type === 'state') states.push(event.status.state);
  });
  release();
  await Promise.all(all);
  expect(states).toEqual([]);
  expect(agent.uplink.status().state).toBe('stopped');
});
