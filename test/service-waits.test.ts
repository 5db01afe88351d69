import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DemoService, type JsonLine, run } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

/**
 * The service as an installer starts it: before anybody said what to watch, without a journal,
 * ended by its host.
 */

let world: World;
let agent: AgentPlace;
let service: DemoService | undefined;
beforeEach(async () => {
  world = await World.open();
  process.env['RUNTIME_DIRECTORY'] = join(world.folder, 'run');
  agent = await world.agent('pc');
});
afterEach(async () => {
  await service?.stop('SIGKILL');
  service = undefined;
  await world.close();
});

const launcher = fileURLToPath(new URL('../bin/aliquot-agent', import.meta.url));
const problems = (lines: readonly JsonLine[]) =>
  lines.filter(({ event }) => event === 'problem').map(({ code }) => code);
const status = async () =>
  (await run('aliquot-agent', ['status', '--json', '--data', agent.data])).lines;

async function statusWhen(
  wanted: (lines: readonly JsonLine[]) => boolean,
): Promise<readonly JsonLine[]> {
  for (;;) {
    const lines = await status();
    if (wanted(lines)) return lines;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('a service that was just installed', () => {
  it('P6: waits for its first settings, says so here and at the collector, and takes them by itself', async () => {
    service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
    expect((await service.event('running'))['sources']).toEqual([]);
    const lines = await statusWhen((all) => problems(all).includes('no-sources'));
    expect(lines.find(({ code }) => code === 'no-sources')).toMatchObject({
      path: join(agent.data, 'agent.yaml'),
      message: expect.stringContaining('sources: [{path: /data/instrument}]'),
    });
    expect(lines[0]).toMatchObject({ allSafe: false });
    for (;;) {
      const told = await world.tryAliquot(['agents', '--problems']);
      if (told.stdout.includes('PCs that were not told what to watch')) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const file = await world.write('data/run.csv', 'result');
    await writeFile(
      join(agent.data, 'agent.yaml'),
      `sources: [{path: ${JSON.stringify(join(file, '..'))}, quietPeriodSeconds: 0}]\n`,
    );
    const after = await statusWhen((all) => all[0]?.['allSafe'] === true);
    expect(problems(after)).toEqual([]);
    await rm(join(agent.data, 'agent.yaml'));
    await statusWhen((all) => problems(all).includes('configuration'));
    expect(service.child.exitCode).toBeNull();
    expect(await service.stop()).toBe(0);
  });

  it('writes its log where --log-file says, the reason why it cannot run too', async () => {
    const log = join(world.folder, 'logs', 'agent.log');
    service = new DemoService('aliquot-agent', ['run', '--data', agent.data, '--log-file', log]);
    await service.event('running');
    expect(await service.stop()).toBe(0);
    expect(service.complaint).toBe('');
    const lines = (await readFile(log, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as JsonLine);
    expect(lines.map(({ msg }) => msg)).toContain(
      'nothing says which folders to watch; waiting for settings',
    );
    expect(lines.map(({ msg }) => msg)).toContain('stopping');

    await writeFile(join(agent.data, 'agent.yaml'), 'colour: red\n');
    expect(
      (await run('aliquot-agent', ['run', '--data', agent.data, '--log-file', log])).code,
    ).toBe(2);
    expect((await readFile(log, 'utf8')).trim().split('\n').at(-1)).toMatch(
      /"fatal".*USAGE_CONFIG.*the service cannot run/,
    );
    const nowhere = await run('aliquot-agent', [
      'run',
      '--data',
      agent.data,
      '--log-file',
      world.folder,
    ]);
    expect(nowhere).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--log-file: .*\[USAGE_INVALID\]\n$/),
    });
  });

  it('ends in order when its host closes its standard input, and does not care who else does', async () => {
    for (const [host, signal] of [
      ['1', null],
      [undefined, 'SIGTERM'],
    ] as const) {
      const child = spawn(launcher, ['run', '--data', agent.data], {
        env: { ...process.env, ALIQUOT_HOST: host },
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      const closed = once(child, 'exit');
      for await (const line of createInterface({ input: child.stdout }))
        if (line.includes('"running"')) break;
      child.stdin.end();
      if (signal !== null) {
        await status(); // answered by a service that goes on
        expect(child.exitCode).toBeNull();
        child.kill(signal);
      }
      expect(await closed).toEqual([0, null]);
    }
  });
});
