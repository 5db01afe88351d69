import { closeSync, openSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { run } from '../demo/programs.ts';
import { type LostService, openPipe, type Pipe, serviceWithErrors } from './lost-output/losing.ts';
import { freePort } from './ports.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

/**
 * The log of either service when what takes it is full, gone or stalled: lines are lost, nothing
 * else. `poll` only says how often we look.
 */

const poll = { timeout: 240_000, interval: 250 };
/** More than the pipe and the log's own bound hold together. */
const MANY_LINES = 16_000;
let world: World;
let runs = 0;

beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world.close());

/** An agent with one watched folder, whose service logs everything. */
async function watching(): Promise<{ pc: AgentPlace; folder: string }> {
  const name = `pc-${runs++}`;
  const pc = await world.agent(name);
  const folder = await world.place(`watched-${name}`);
  const source = `{path: ${JSON.stringify(folder)}, quietPeriodSeconds: 0}`;
  writeFileSync(
    join(pc.data, 'agent.yaml'),
    `scanIntervalSeconds: 1\nlogLevel: trace\nsources: [${source}]\n`,
  );
  return { pc, folder };
}

const safe = (pc: AgentPlace) =>
  vi.waitUntil(async () => ((await statusOf(pc))['results'] as { safe: number }).safe, poll);

/** Asks the service's own socket so often; each question is a line of its log. */
async function askOften(socketPath: string, times: number): Promise<void> {
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(socketPath, () => socket.write('{"op":"status","results":false}\n'));
      socket.on('data', () => undefined);
      socket.once('error', reject);
      socket.once('close', () => resolve());
    });
  for (let done = 0; done < times; done += 20) await Promise.all(Array.from({ length: 20 }, ask));
}

/** Asks a collector so often; each request is a line of its log. */
async function requestOften(url: string, times: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      get(`${url}/healthz`, { agent }, (answer) => answer.resume().once('end', resolve)).once(
        'error',
        reject,
      );
    });
  for (let done = 0; done < times; done += 200)
    await Promise.all(Array.from({ length: Math.min(200, times - done) }, ask));
  agent.destroy();
}

async function withService(
  service: LostService,
  use: (ready: Awaited<LostService['ready']>) => Promise<void>,
): Promise<void> {
  try {
    await use(await service.ready);
  } finally {
    expect(await service.stop()).toBe(0);
  }
}

/** Everything that gets through once somebody reads, until a line says this. */
async function readUntil(pipe: Pipe, words: RegExp, cause: () => Promise<void>): Promise<string> {
  let text = '';
  await vi.waitUntil(async () => {
    text += pipe.drain();
    if (words.test(text)) return true;
    await cause();
    return false;
  }, poll);
  return text;
}

const parsed = (text: string) =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('a service whose log goes', () => {
  it.each(['full', 'gone'])(
    'to a standard error that is %s goes on protecting, and ends with 0',
    async (way) => {
      const { pc, folder } = await watching();
      const pipe = openPipe();
      if (way === 'gone') pipe.closeReader();
      const errors = way === 'full' ? openSync('/dev/full', 'w') : pipe.writer;
      const service = serviceWithErrors('aliquot-agent', ['run', '--data', pc.data], errors);
      closeSync(errors);
      await withService(service, async () => {
        writeFileSync(join(folder, 'a'), 'one');
        await safe(pc);
      });
    },
  );

  it('to a reader that is stalled goes on protecting, keeps its memory, and says later what was lost', async () => {
    const { pc, folder } = await watching();
    const pipe = openPipe();
    const service = serviceWithErrors('aliquot-agent', ['run', '--data', pc.data], pipe.writer);
    await withService(service, async (ready) => {
      await askOften(String(ready['socket']), MANY_LINES);
      writeFileSync(join(folder, 'a'), 'one');
      await safe(pc);
      const lines = parsed(
        await readUntil(pipe, /"lost":/, () => askOften(String(ready['socket']), 20)),
      );
      expect(lines.find(({ lost }) => lost !== undefined)).toMatchObject({
        level: 'warn',
        lost: expect.any(Number),
        msg: expect.stringContaining('log lines were lost'),
      });
    });
    pipe.close();
  });

  it('to a reader that stays stalled ends all the same', async () => {
    const { pc } = await watching();
    const pipe = openPipe();
    const service = serviceWithErrors('aliquot-agent', ['run', '--data', pc.data], pipe.writer);
    await withService(service, (ready) => askOften(String(ready['socket']), 2_000));
    pipe.close();
  });
});

describe('a collector whose log goes', () => {
  async function serving(
    use: (url: string, pipe: Pipe) => Promise<void>,
    before: (pipe: Pipe) => number = (pipe) => pipe.writer,
  ) {
    await world.unserve();
    const pipe = openPipe();
    const listen = `127.0.0.1:${new URL(world.url).port || (await freePort())}`;
    const args = ['serve', '--data', world.collectorData, '--listen', listen];
    const service = serviceWithErrors('aliquot', args, before(pipe), {
      ALIQUOT_LOG_LEVEL: 'debug',
    });
    try {
      await withService(service, (ready) => use(String(ready['url']), pipe));
    } finally {
      await world.serve();
    }
  }

  async function backsUp(): Promise<void> {
    const pc = await world.agent(`pc-${runs++}`);
    await world.backup(pc, [join(await world.write(`data-${runs++}/a`, 'one'), '..')]);
  }

  it('to a full disk serves on', async () => {
    await serving(
      async (url) => {
        await requestOften(url, 400);
        await backsUp();
      },
      () => openSync('/dev/full', 'w'),
    );
  });

  it('to a reader that left serves on', async () => {
    await serving(async (url, pipe) => {
      pipe.closeReader();
      await requestOften(url, 400);
      await backsUp();
    });
  });

  it('to a reader that is stalled serves on, and says later what was lost', async () => {
    await serving(async (url, pipe) => {
      await requestOften(url, MANY_LINES);
      await backsUp();
      const before = await readUntil(pipe, /"lost":/, () => requestOften(url, 200));
      const lines = parsed(
        before + (await readUntil(pipe, /"status":404/, () => requestOften(`${url}/nowhere`, 1))),
      );
      const lost = lines.filter((line) => line['lost'] !== undefined);
      expect(lost[0]).toMatchObject({ level: 'warn', lost: expect.any(Number) });
      // What was written, and what was said to be lost, is all that there was: no line is lost
      // silently.
      expect(
        lines.length + lost.reduce((sum, line) => sum + Number(line['lost']), 0),
      ).toBeGreaterThan(MANY_LINES);
    });
  });

  it('is told of as it should be: a bad level of the log is a mistake', async () => {
    const bad = await run('aliquot', ['serve', '--data', world.collectorData], {
      ALIQUOT_LOG_LEVEL: 'loud',
    });
    expect(bad).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ALIQUOT_LOG_LEVEL cannot be "loud"'),
    });
  });
});
