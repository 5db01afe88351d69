/** P6: central IT hears of what is not protected, at the end of every scan, backup and flush. */
import { rmSync, writeFileSync } from 'node:fs';
import type { HeartbeatBody } from '@aliquot/proto';
import { NO_MODES, posixOnly } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { portWith, systemError } from '../../testing/capture/bench.ts';
import { noise } from '../../testing/queue/support.ts';
import { openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import { noEvents } from '../../testing/watch/no-events.ts';
import type { Agent } from '../folder/agent.ts';
import { fixedSources } from '../folder/source-set.ts';
import { fromText } from '../source/paths.ts';
import { quietTime } from '../source/proof.ts';
import { nodeSource } from '../source/source-port.ts';
import { Service } from './service.ts';

let lab: ServiceBench;

beforeEach(async () => {
  lab = await openServiceBench({ maxBytes: 1_000_000, minFreeBytes: 0, classes: {} });
});
afterEach(() => lab.close());

const last = (): HeartbeatBody | undefined => lab.collector.heartbeats.at(-1);
const told = () => {
  const { unprotected, unsettled, pending, problems } = last() ?? {};
  return {
    unprotected,
    unsettled,
    pending,
    problems: problems?.map(({ code, count }) => `${count} ${code}`),
  };
};
const backup = (paths: string[], offline = false) =>
  lab.perform({ op: 'backup', paths, exclude: [], offline, dryRun: false });

/** A file that nobody may read. */
function lock(name: string): void {
  writeFileSync(lab.at(name), name);
  lab.bench.through(
    portWith({
      open: (path) => {
        if (Buffer.from(path).toString() === lab.at(name)) throw systemError('EACCES');
        return nodeSource.open(path);
      },
    }),
  );
}

test('a backup that captured something new and could not protect something else tells of it, and what it is', async () => {
  writeFileSync(lab.at('a'), 'alpha');
  lock('locked');
  const { code } = await backup([lab.bench.data]);
  expect(code).toBe('PARTIAL');
  expect(told()).toEqual({ unprotected: 1, unsettled: 0, pending: 0, problems: ['1 unreadable'] });
  expect(last()?.files).toBe(1);
  writeFileSync(lab.at('b'), 'beta');
  await backup([lab.at('b')]);
  expect(told()).toMatchObject({ unprotected: 1, problems: ['1 unreadable'] });
});

test('one with nothing new, too; and that all is well again', async () => {
  lock('locked');
  await backup([lab.bench.data]);
  await backup([lab.bench.data]);
  expect(lab.collector.heartbeats.map(({ unprotected }) => unprotected)).toEqual([1, 1]);
  rmSync(lab.at('locked'));
  await backup([lab.bench.data]);
  expect(told()).toEqual({ unprotected: 0, unsettled: 0, pending: 0, problems: [] });
});

test('a path that was named and is not there is told of, also when nothing else was named', async () => {
  writeFileSync(lab.at('a'), 'alpha');
  expect((await backup([lab.at('a'), lab.at('nowhere')])).code).toBe('PARTIAL');
  expect(told()).toMatchObject({ unprotected: 1, problems: ['1 vanished'] });
  expect((await backup([lab.at('nowhere'), lab.at('nor here')])).code).toBe('USAGE_INVALID');
  expect(told()).toMatchObject({ unprotected: 2, problems: ['2 vanished'] });
});

test('what finds no room in the queue is told of', async () => {
  writeFileSync(lab.at('large'), noise('large', 3_000_000));
  writeFileSync(lab.at('small'), 'small');
  await backup([lab.bench.data]);
  expect(told()).toMatchObject({ unprotected: 1, problems: ['1 queue-full'] });
});

test('an offline backup tells nothing; the flush after it tells all', async () => {
  writeFileSync(lab.at('a'), 'alpha');
  lock('locked');
  await backup([lab.bench.data], true);
  expect(lab.collector.heartbeats).toEqual([]);
  const { code } = await lab.perform({ op: 'flush' });
  expect(code).toBeUndefined();
  expect(told()).toMatchObject({ unprotected: 1, problems: ['1 unreadable'] });
  expect(last()).toMatchObject({ files: 1, bytes: 5, queuedEntries: 0 });
});

test('a backup of which nothing could be captured fails, and tells', async () => {
  lock('locked');
  expect((await backup([lab.at('locked')])).code).toBe('AGENT_NOTHING_PROTECTED');
  expect(told()).toMatchObject({ unprotected: 1 });
});

function serve(agent: Agent): Promise<Service> {
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
  return Service.start({
    agent,
    events: noEvents,
    scanIntervalSeconds: 300,
    place,
    askPlace,
    log: pino({ level: 'silent' }),
  });
}

test.runIf(posixOnly(NO_MODES))(
  'the service tells of what a scan met as soon as there is a session, and of what came since',
  async () => {
    lock('locked');
    const source = { ...lab.bench.source, proof: quietTime(1) };
    await lab.agent.problems.set(fromText(lab.at('gone long ago'), '/'), {
      code: 'changing',
      message: 'changed',
    });
    const service = await serve({
      ...lab.agent,
      host: lab.bench.host,
      sources: fixedSources([source]),
    });
    try {
      await expect.poll(() => service.view.lastScan, { timeout: 240_000 }).toBeDefined();
      await expect.poll(() => told().problems, { timeout: 240_000 }).toEqual(['1 unreadable']);
      const configuration = fromText(lab.at('agent.yaml'), '/');
      await service.nameProblem(configuration, {
        code: 'changing',
        message: 'says something else',
      });
      await expect
        .poll(() => told().problems, { timeout: 240_000 })
        .toEqual(['1 changing', '1 unreadable']);
    } finally {
      await service.stop();
    }
  },
);
