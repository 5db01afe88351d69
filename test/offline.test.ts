import { existsSync } from 'node:fs';
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generator, waveform } from '../demo/instruments.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { DemoService, mustRun, run } from '../demo/programs.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

const DAY = 86_400_000;
const HOUR = 3_600_000;

/** libfaketime sets the clocks of programs that know nothing of it. */
const faketime = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
]
  .map((folder) => join(folder, 'faketime', 'libfaketime.so.1'))
  .find((file) => existsSync(file));

/** Runs what it is given with the clocks of all programs started meanwhile moved by `byMs`. */
async function atTime<T>(byMs: number, what: () => Promise<T>): Promise<T> {
  const seconds = Math.round(byMs / 1000);
  const clock = {
    LD_PRELOAD: faketime,
    FAKETIME: `${seconds < 0 ? '' : '+'}${seconds}`,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  Object.assign(process.env, clock);
  try {
    return await what();
  } finally {
    for (const name of Object.keys(clock)) delete process.env[name];
  }
}

/**
 * A capture with the PC’s clock moved, without a connection: when it was, by that clock, and what
 * was there.
 */
async function captureAt(agent: AgentPlace, folder: string, byMs: number) {
  const from = Date.now() + byMs;
  await atTime(byMs, () =>
    mustRun('aliquot-agent', ['backup', folder, '--data', agent.data, '--offline']),
  );
  return { from, to: Date.now() + byMs, picture: await pictureOf(folder) };
}

async function versionTimes(
  world: World,
  agent: AgentPlace,
  path: string,
): Promise<{ time: number; size: unknown }[]> {
  const { lines } = await world.aliquot([
    'versions',
    '--agent',
    agent.name,
    '--path',
    path,
    '--json',
  ]);
  return lines.map((line) => ({
    time: Date.parse(String(line['time'] ?? line['version'])),
    size: line['size'],
  }));
}

const note = faketime === undefined ? ' (skipped: libfaketime is not installed here)' : '';

describe.skipIf(faketime === undefined)(`weeks without a connection${note}`, () => {
  it('P1 P2: every version of three weeks comes in order, with the times of its captures, though the sources are long gone', async () => {
    // The last connection was 22 days ago: agent and collector lived then.
    const world = await atTime(-22 * DAY, () => World.open());
    try {
      const agent = await atTime(-22 * DAY, () => world.agent('away'));
      const folder = await world.place('instrument');
      const growing = join(folder, 'growing.csv');
      await writeFile(growing, 'time,signal\n');
      await atTime(-22 * DAY, () => world.backup(agent, [folder]));
      await world.unserve();

      const captures: Awaited<ReturnType<typeof captureAt>>[] = [];
      const names: string[] = [];
      for (const ago of [21, 15, 8, 1]) {
        const name = join(folder, `run ${ago} days ago.bin`);
        names.push(name);
        // The result of the week before is deleted, the log overwritten with more.
        if (names.length > 1) await rm(names.at(-2) ?? '');
        await writeFile(name, waveform(200_000, ago));
        await appendFile(growing, `${ago},${ago * 7}\n`.repeat(100));
        captures.push(await captureAt(agent, folder, -ago * DAY));
      }
      await rm(folder, { recursive: true });
      await mkdir(folder);

      await world.serve();
      await mustRun('aliquot-agent', ['flush', '--data', agent.data]);
      expect(await statusOf(agent)).toMatchObject({ queue: { entries: 0 }, problems: 0, lost: 0 });
      const versions = await versionTimes(world, agent, growing);
      expect(versions).toHaveLength(1 + captures.length);
      for (const [at, { from, to }] of captures.entries()) {
        expect(versions[at + 1]?.time).toBeGreaterThanOrEqual(from - 1);
        expect(versions[at + 1]?.time).toBeLessThanOrEqual(to);
      }
      for (const [at, { to, picture }] of captures.entries()) {
        const target = join(world.folder, `back-${at}`);
        const when = new Date(to).toISOString();
        await world.aliquot([
          'restore',
          '--kit',
          world.kit,
          '--agent',
          agent.name,
          '--at',
          when,
          '--to',
          target,
        ]);
        expect(differences(picture, await pictureOf(join(target, folder)))).toEqual([]);
      }
    } finally {
      await world.close();
    }
  });

  it('P1 P5: a clock that is years wrong, and jumps back and forth, loses nothing and puts no version out of order', async () => {
    const world = await World.open();
    try {
      const agent = await world.agent('timeless');
      const folder = await world.place('dead battery');
      const file = join(folder, 'states.txt');
      const pictures: Map<string, string>[] = [];
      const jumps = [-20 * 365 * DAY, 30 * 365 * DAY, -3 * HOUR, -56 * 365 * DAY];
      for (const [at, by] of jumps.entries()) {
        await writeFile(file, `state ${at}\n`.repeat(at + 1));
        pictures.push((await captureAt(agent, folder, by)).picture);
        // Half of them are sent with the wrong clock too.
        if (at % 2 === 1)
          await atTime(by, () => mustRun('aliquot-agent', ['flush', '--data', agent.data]));
      }
      await mustRun('aliquot-agent', ['flush', '--data', agent.data]);
      const versions = await versionTimes(world, agent, file);
      expect(versions.map(({ size }) => size)).toEqual(jumps.map((_, at) => 8 * (at + 1)));
      for (const [at, { time }] of versions.entries()) {
        expect(time).toBeLessThanOrEqual(Date.now());
        expect(time).toBeGreaterThanOrEqual(versions[at - 1]?.time ?? 0);
      }
      const target = join(world.folder, 'back');
      await world.aliquot(['restore', '--kit', world.kit, '--agent', agent.name, '--to', target]);
      expect(
        differences(pictures.at(-1) ?? new Map(), await pictureOf(join(target, folder))),
      ).toEqual([]);
      await mustRun('aliquot-agent', ['fsck', '--data', agent.data]);
    } finally {
      await world.close();
    }
  });
});

describe('a full queue', () => {
  it('P6 I-A10: the service names what is only at its source, raises the alarm, and captures it by itself when the collector is back', async () => {
    const world = await World.open();
    let service: DemoService | undefined;
    try {
      const agent = await world.agent('full');
      const folder = await world.place('much');
      await world.unserve();
      await writeFile(
        join(agent.data, 'agent.yaml'),
        `sources: [{path: ${JSON.stringify(folder)}, quietPeriodSeconds: 0}]\nscanIntervalSeconds: 1\nqueue: {maxBytes: 2500000, minFreeBytes: 0}\n`,
      );
      for (let file = 0; file < 6; file += 1)
        await writeFile(join(folder, `result ${file}.bin`), incompressible(1_000_000, file));
      const picture = await pictureOf(folder);
      service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
      await service.event('running');
      const full = await until(
        agent,
        (status) => results(status)['problem'] === 4 && results(status)['queued'] === 2,
      );
      expect(full).toMatchObject({
        queue: { full: true, waiting: { files: 4, bytes: 4_000_000 } },
        results: { total: 6, queued: 2 },
      });
      const text = (await mustRun('aliquot-agent', ['status', '--data', agent.data])).stdout;
      expect(text).toMatch(
        /ALARM: the queue is full .* 4 complete result files are only at the source/,
      );
      const backup = await run('aliquot-agent', [
        'backup',
        folder,
        '--data',
        agent.data,
        '--offline',
        '--json',
      ]);
      expect(backup.code).toBe(3);
      expect(backup.lines.filter(({ code }) => code === 'queue-full')).toHaveLength(4);

      await world.serve();
      const healed = await until(agent, (status) => results(status)['safe'] === 6);
      expect(healed).toMatchObject({ queue: { full: false, entries: 0 }, problems: 0, lost: 0 });
      const target = join(world.folder, 'back');
      await world.aliquot(['restore', '--kit', world.kit, '--agent', agent.name, '--to', target]);
      expect(differences(picture, await pictureOf(join(target, folder)))).toEqual([]);
      const [line] = (await world.aliquot(['agents', '--json'])).lines;
      expect(line).toBeDefined();
    } finally {
      await service?.stop();
      await world.close();
    }
  });
});

/** Bytes that no compressor makes smaller. */
function incompressible(bytes: number, seed: number): Buffer {
  return Buffer.from(Uint32Array.from({ length: bytes >>> 2 }, generator(seed)).buffer);
}

type Status = Awaited<ReturnType<typeof statusOf>>;

const results = (status: Status): Record<string, unknown> =>
  status['results'] as Record<string, unknown>;

/** Asks for the status until it is as expected. */
async function until(agent: AgentPlace, isSo: (status: Status) => boolean): Promise<Status> {
  for (;;) {
    const status = await statusOf(agent);
    if (isSo(status)) return status;
  }
}
