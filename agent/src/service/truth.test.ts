/** P6: status says that all is safe only when it is known, and names what is in between. */
import { writeFileSync } from 'node:fs';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import { noEvents } from '../../testing/watch/no-events.ts';
import type { CaptureHost } from '../capture/host.ts';
import { statusText } from '../commands/status-text.ts';
import type { Agent } from '../folder/agent.ts';
import { fixedSources } from '../folder/source-set.ts';
import type { AgentEvent } from '../socket/protocol.ts';
import { quietTime } from '../source/proof.ts';
import type { ServiceView } from '../status/stock.ts';
import type { EventPort } from '../watch/event-port.ts';
import { operate } from './operate.ts';
import { Service } from './service.ts';

let lab: ServiceBench;
let service: Service | undefined;
/** Lets go whatever a test holds up. */
let release: () => void = () => undefined;

beforeEach(async () => {
  lab = await openServiceBench();
});
afterEach(async () => {
  release();
  await service?.stop();
  service = undefined;
  await lab.close();
});

const failing: EventPort = {
  subscribe: () => {
    throw Object.assign(new Error('too many watches'), { code: 'ENOSPC', syscall: 'watch' });
  },
};

/** The service over a folder whose files are complete at once; `host` may hold them up. */
async function serve(host: CaptureHost, events = noEvents): Promise<Agent> {
  const agent = {
    ...lab.agent,
    host,
    sources: fixedSources([{ ...lab.bench.source, proof: quietTime(0) }]),
  };
  const place = {
    platform: process.platform,
    runtimeDir: undefined,
    tmpDir: temporaryFolder(),
    uid: process.getuid?.(),
  };
  const askPlace = {
    platform: process.platform,
    serviceRuntimeDir: place.tmpDir,
    runtimeDir: undefined,
  };
  service = await Service.start({
    agent,
    events,
    scanIntervalSeconds: 300,
    place,
    askPlace,
    log: pino({ level: 'silent' }),
  });
  return agent;
}

async function ask(
  agent: Agent,
  view: ServiceView | undefined,
): Promise<{ status: AgentEvent; states: string[]; headline: string }> {
  const events: AgentEvent[] = [];
  await operate(
    agent,
    view,
    { op: 'status', results: true },
    async (event) => void events.push(event),
    new AbortController().signal,
  );
  const status = events.find(({ event }) => event === 'status') ?? { event: 'nothing' };
  const states = events.flatMap(({ event, state, path }) =>
    event === 'result' ? [`${String(state)} ${String(path).slice(lab.bench.data.length + 1)}`] : [],
  );
  return {
    status,
    states,
    headline: statusText(status, lab.bench.clock.nowMs()).split('\n')[0] ?? '',
  };
}

/** A host that captures nothing until it is let go. */
function held(): { host: CaptureHost; reached: Promise<void>; letGo(): void } {
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const { host } = lab.bench;
  release = gate.resolve;
  return {
    host: {
      parallel: 1,
      walk: (request) => host.walk(request),
      compare: (request, known) => host.compare(request, known),
      look: (path) => host.look(path),
      capture: async (jobs, exchange) => {
        reached.resolve();
        await gate.promise;
        await host.capture(jobs, exchange);
      },
      close: () => host.close(),
    },
    reached: reached.promise,
    letGo: gate.resolve,
  };
}

test('a file that is being read is listed, and nothing is called safe; when it is, everything is', async () => {
  writeFileSync(lab.at('big.raw'), 'big');
  const { host, reached, letGo } = held();
  const agent = await serve(host);
  await reached;
  const during = await ask(agent, service?.view);
  expect(during.states).toEqual(['capturing big.raw']);
  expect(during.status).toMatchObject({
    allSafe: false,
    safeAsOf: null,
    pending: 1,
    results: { total: 1, capturing: 1, safe: 0 },
  });
  expect(during.headline).toBe('0 of 1 results safe: 1 being captured.');
  letGo();
  await expect
    .poll(async () => (await ask(agent, service?.view)).status['allSafe'], { timeout: 240_000 })
    .toBe(true);
  const after = await ask(agent, service?.view);
  expect(after.headline).toBe('The one result is safe (3 B).');
  expect(after.states).toEqual(['safe big.raw']);
});

test('a known file of which a new state is being read is not called safe', async () => {
  writeFileSync(lab.at('a'), 'one');
  await lab.backup(false);
  writeFileSync(lab.at('a'), 'two two');
  const { host, reached, letGo } = held();
  const agent = await serve(host);
  await reached;
  expect((await ask(agent, service?.view)).states).toEqual(['capturing a']);
  letGo();
});

test('before the first look is done nothing is said of all', async () => {
  writeFileSync(lab.at('a'), 'one');
  await lab.backup(false);
  const gate = Promise.withResolvers<void>();
  release = gate.resolve;
  const reached = Promise.withResolvers<void>();
  const { host } = lab.bench;
  const slow: CaptureHost = {
    parallel: 1,
    walk: (request) => host.walk(request),
    compare: async function* (request, known) {
      reached.resolve();
      await gate.promise;
      yield* host.compare(request, known);
    },
    look: (path) => host.look(path),
    capture: (jobs, exchange) => host.capture(jobs, exchange),
    close: () => host.close(),
  };
  const agent = await serve(slow);
  await reached.promise;
  const during = await ask(agent, service?.view);
  expect(during.status).toMatchObject({ allSafe: false, safeAsOf: null });
  expect(during.headline).toBe(
    'The first look since the start is not done; 1 result is safe so far.',
  );
  gate.resolve();
});

test('with the service stopped only what is known is called safe, as of the last receipt', async () => {
  writeFileSync(lab.at('a'), 'one');
  writeFileSync(lab.at('b'), 'two');
  await lab.backup(false);
  const { status, headline } = await ask(lab.agent, undefined);
  expect(status).toMatchObject({ service: 'stopped', allSafe: false });
  expect(status['safeAsOf']).toEqual(expect.any(String));
  expect(headline).toMatch(
    /^All 2 results that are known are safe as of .*\d\d:\d\d; what came since is not known\.$/,
  );
});

test('without events, or with the last look long ago, it is safe as of that look', async () => {
  writeFileSync(lab.at('a'), 'one');
  await lab.backup(false);
  const agent = await serve(lab.bench.host, failing);
  await expect.poll(() => service?.view.lastScan, { timeout: 240_000 }).toBeDefined();
  const beganMs = service?.view.lastScan?.beganMs ?? 0;
  expect((await ask(agent, service?.view)).status).toMatchObject({
    allSafe: false,
    safeAsOf: new Date(beganMs).toISOString(),
  });
  await service?.stop();
  const again = await serve(lab.bench.host);
  await expect.poll(() => service?.view.lastScan, { timeout: 240_000 }).toBeDefined();
  await expect
    .poll(async () => (await ask(again, service?.view)).status['allSafe'], { timeout: 240_000 })
    .toBe(true);
  lab.bench.clock.ms += 601_000;
  const { status, headline } = await ask(again, service?.view);
  expect(status['allSafe']).toBe(false);
  expect(headline).toMatch(
    /^The one result that is known is safe as of .*; what came since is not known\.$/,
  );
});

test('what is queued is to be sent, and a status of it says so', async () => {
  writeFileSync(lab.at('a'), 'one');
  await lab.backup(true);
  const { headline, status } = await ask(lab.agent, undefined);
  expect(status).toMatchObject({ allSafe: false, safeAsOf: null });
  expect(headline).toBe('0 of 1 results safe: 1 to be sent; what came since is not known.');
});
