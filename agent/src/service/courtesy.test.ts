import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TestPc } from '../../testing/courtesy/test-pc.ts';
import { find, openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import { noEvents } from '../../testing/watch/no-events.ts';
import { statusText } from '../commands/status-text.ts';
import { courteousHost } from '../courtesy/courteous-host.ts';
import { LONG_PAUSE_MS } from '../courtesy/courtesy.ts';
import type { Agent } from '../folder/agent.ts';
import { fixedSources } from '../folder/source-set.ts';
import type { AgentEvent } from '../socket/protocol.ts';
import { Service } from './service.ts';

let lab: ServiceBench;
let pc: TestPc;
beforeEach(async () => {
  lab = await openServiceBench();
  pc = new TestPc();
});
afterEach(() => lab.close());

const busy = { pauseWhile: [{ process: 'acquire' }] };

function withCourtesy(settings: object): Agent {
  const courtesy = pc.courtesy(settings);
  return {
    ...lab.agent,
    courtesy,
    host: courteousHost(lab.bench.host, courtesy),
    sources: fixedSources([lab.bench.source]),
  };
}

function serve(agent: Agent): Promise<Service> {
  const place = {
    platform: process.platform,
    runtimeDir: undefined,
    tmpDir: temporaryFolder(),
    uid: process.getuid?.(),
  };
  return Service.start({
    agent,
    events: noEvents,
    scanIntervalSeconds: 300,
    place,
    askPlace: {
      platform: process.platform,
      serviceRuntimeDir: place.tmpDir,
      runtimeDir: undefined,
    },
    log: pino({ level: 'silent' }),
  });
}

async function status(agent: Agent, service: Service): Promise<AgentEvent> {
  const events: AgentEvent[] = [];
  const { operate } = await import('./operate.ts');
  const request = { op: 'status', results: false } as const;
  await operate(
    agent,
    service.view,
    request,
    async (event) => void events.push(event),
    new AbortController().signal,
  );
  return events.find(({ event }) => event === 'status') ?? { event: 'nothing' };
}

test('status says since when and why the service is paused, and stopping does not wait for the instrument', async () => {
  writeFileSync(lab.at('f'), 'f');
  pc.running.add('acquire');
  const agent = withCourtesy(busy);
  const sleeping = Promise.withResolvers<void>();
  // Time stands from here on: the pause goes on for ever.
  pc.sleeping = () => {
    sleeping.resolve();
    return new Promise(() => undefined);
  };
  const service = await serve(agent);
  await sleeping.promise;
  const shown = await status(agent, service);
  expect(shown).toMatchObject({
    paused: { since: new Date(pc.nowMs).toISOString(), because: 'acquire runs' },
  });
  expect(statusText(shown, pc.nowMs)).toContain(
    'because acquire runs: new results are only at their source until that ends (pauseWhile).',
  );
  expect(await agent.queue.ledger.known(Buffer.from(join(lab.bench.data, 'f')))).toBeUndefined();
  await service.stop();
});

test('P6: after hours of it every source is named as not protected, until the pause is over', async () => {
  writeFileSync(lab.at('f'), 'f');
  pc.running.add('acquire');
  const agent = withCourtesy(busy);
  const until = pc.nowMs + LONG_PAUSE_MS + 60_000;
  const named: number[] = [];
  pc.onSleep = () => {
    if (pc.nowMs < until) {
      pc.nowMs += 1_800_000;
      return;
    }
    named.push(agent.problems.size);
    pc.running.clear();
  };
  const service = await serve(agent);
  await expect.poll(() => service.view.lastScan, { timeout: 240_000 }).toBeDefined();
  expect(named).toEqual([1]);
  expect(agent.problems.size).toBe(0);
  expect(await status(agent, service)).not.toHaveProperty('paused');
  expect((await agent.queue.ledger.known(Buffer.from(join(lab.bench.data, 'f'))))?.size).toBe(1);
  await service.stop();
});

test('a backup by hand says that it is paused, and goes on afterwards', async () => {
  writeFileSync(lab.at('f'), 'f');
  pc.running.add('acquire');
  pc.onSleep = () => pc.running.clear();
  const { courtesy, host } = withCourtesy(busy);
  const done = await lab.backup(true, { courtesy, host });
  expect(find(done, 'note')).toMatchObject([
    { message: expect.stringContaining('paused, because acquire runs') },
  ]);
  expect(find(done, 'summary')).toMatchObject([{ files: 1, failed: 0 }]);
});
