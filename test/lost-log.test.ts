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
 * The log of either service when what takes it is full, gone or stalled: lines are left out or
 * lost, nothing else. `poll` only says how often we look.
 */

const poll = { timeout: 240_000, interval: 250 };
/** Far more than a minute's lines of one kind. */
const MANY_LINES = 2_000;
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

/** Uses a service and stops it; the answer is what its log says meanwhile, where one reads then. */
async function withService(
  service: LostService,
  use: (ready: Awaited<LostService['ready']>) => Promise<void>,
  pipe?: Pipe,
): Promise<string> {
  let text = '';
  try {
    await use(await service.ready);
  } finally {
    let code: number | undefined;
    void service.stop().then((ended) => (code = ended));
    const hasEnded = (): boolean => {
      text += pipe?.drain() ?? '';
      return code !== undefined;
    };
    await vi.waitUntil(hasEnded, { ...poll, interval: 20 });
    expect(code).toBe(0);
  }
  return text + (pipe?.drain() ?? '');
}

/** All lines that there were: those that are written, and those that it says it has left out. */
function counted(text: string): number {
  const lines = parsed(text);
  expect(lines.filter(({ lost }) => lost !== undefined)).toEqual([]);
  return lines.reduce((sum, { leftOut }) => sum + 1 + Number(leftOut ?? 0), 0);
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

  it('to a reader that is stalled goes on protecting, and says later how many lines it left out', async () => {
    const { pc, folder } = await watching();
    const pipe = openPipe();
    const service = serviceWithErrors('aliquot-agent', ['run', '--data', pc.data], pipe.writer);
    const text = await withService(
      service,
      async (ready) => {
        await askOften(String(ready['socket']), MANY_LINES);
        writeFileSync(join(folder, 'a'), 'one');
        await safe(pc);
      },
      pipe,
    );
    expect(counted(text)).toBeGreaterThan(MANY_LINES);
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
    isRead = false,
  ): Promise<string> {
    await world.unserve();
    const pipe = openPipe();
    const listen = `127.0.0.1:${new URL(world.url).port || (await freePort())}`;
    const args = ['serve', '--data', world.collectorData, '--listen', listen];
    const service = serviceWithErrors('aliquot', args, before(pipe), {
      ALIQUOT_LOG_LEVEL: 'debug',
    });
    try {
      const heard = isRead ? pipe : undefined;
      return await withService(service, (ready) => use(String(ready['url']), pipe), heard);
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

  it('to a reader that is stalled serves on, and says later how many lines it left out', async () => {
    const text = await serving(
      async (url) => {
        await requestOften(url, MANY_LINES);
        await backsUp();
      },
      (pipe) => pipe.writer,
      true,
    );
    expect(counted(text)).toBeGreaterThan(MANY_LINES);
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
