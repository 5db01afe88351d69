import { execFile } from 'node:child_process';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generator } from '../demo/instruments.ts';
import { DemoService, type JsonLine, run } from '../demo/programs.ts';
import { asNobody, whyNotAsNobody } from './nobody.ts';
import { type AgentPlace, World } from './world.ts';

/**
 * The agent's questions, as a technician asks them: another user, who knows nothing of data
 * folders.
 */

let world: World;
let agent: AgentPlace;
let tree: string;
const services: DemoService[] = [];
const why = whyNotAsNobody();

beforeEach(async () => {
  world = await World.open();
  // Each world is a PC of its own.
  process.env['RUNTIME_DIRECTORY'] = join(world.folder, 'run');
  await chmod(world.folder, 0o755);
  agent = await world.agent('pc');
  tree = await world.place('data');
});
afterEach(async () => {
  for (const service of services.splice(0)) await service.stop('SIGKILL');
  await world.close();
});

async function start(more = ''): Promise<void> {
  const sources = `sources: [{path: ${JSON.stringify(tree)}, quietPeriodSeconds: 0, exclude: ["*.tmp"]}]\n`;
  await writeFile(join(agent.data, 'agent.yaml'), `scanIntervalSeconds: 1\n${more}${sources}`);
  const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
  services.push(service);
  await service.event('running');
}

const ask = (...args: string[]) => run('aliquot-agent', args);

/** The same as a user who may not open the data folder. */
function askAsNobody(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = fileURLToPath(new URL('../bin/aliquot-agent', import.meta.url));
  return new Promise((resolve) => {
    const [setpriv, ...options] = asNobody;
    execFile(setpriv, [...options, program, ...args], (error, stdout, stderr) =>
      resolve({
        code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1,
        stdout,
        stderr,
      }),
    );
  });
}

async function pathWhen(path: string, wanted: (line: JsonLine) => boolean): Promise<JsonLine> {
  for (;;) {
    const [line] = (await ask('status', path, '--json')).lines;
    if (line !== undefined && wanted(line)) return line;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('a technician asks', () => {
  it('each path says how it is: safe since when, left out, not watched, deleted, never there', async () => {
    const result = await world.write('data/run-014.D/acq.ms', 'spectra');
    const file = await world.write('data/run.csv', 'one');
    const temporary = await world.write('data/scratch.tmp', 'x');
    const elsewhere = await world.write('elsewhere.csv', 'x');
    await start();
    await pathWhen(file, ({ state }) => state === 'safe');
    await writeFile(file, 'one, two');
    expect(
      await pathWhen(file, ({ state, kept }) => state === 'safe' && kept === 2),
    ).toHaveProperty('safeSince');
    const folder = join(result, '..');
    const told = await ask(
      'status',
      folder,
      tree,
      temporary,
      elsewhere,
      join(tree, 'typo'),
      '--json',
    );
    expect(told.code).toBe(3);
    expect(told.lines.map(({ state }) => state)).toEqual([
      'safe',
      'several',
      'excluded',
      'not-watched',
      'unknown',
    ]);
    expect(told.lines[0]).toMatchObject({ path: folder, kept: 1, files: 1 });
    const text = (await ask('status', folder)).stdout;
    expect(text).toMatch(/run-014\.D: safe since \d\d:\d\d, 1 version\n$/);

    await rm(file);
    expect(
      await pathWhen(file, ({ state, goneSince }) => state === 'gone' && goneSince !== undefined),
    ).toMatchObject({ kept: 2 });
    expect((await ask('status', join(tree, 'typo'))).code).toBe(1);
  });

  it('the versions of a file bear the names that central IT sees', async () => {
    const file = await world.write('data/run.csv', 'one');
    await start();
    await pathWhen(file, ({ state }) => state === 'safe');
    await writeFile(file, 'two');
    await pathWhen(file, ({ kept, state }) => kept === 2 && state === 'safe');
    const mine = (await ask('versions', file, '--json')).lines
      .filter(({ event }) => event === 'version')
      .map(({ version }) => version);
    const theirs = (
      await world.aliquot(['versions', '--agent', 'pc', '--path', file, '--json'])
    ).lines.map(({ version }) => version);
    expect(mine).toEqual(theirs);
    expect(mine).toHaveLength(2);
  });

  it.skipIf(why !== undefined)(
    `another user of the PC is answered, and can do nothing else${why === undefined ? '' : ` (skipped: ${why})`}`,
    async () => {
      const file = await world.write('data/run.csv', 'one');
      await start();
      await pathWhen(file, ({ state }) => state === 'safe');
      expect(await askAsNobody('status')).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('safe'),
      });
      expect(await askAsNobody('status', file)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('safe since'),
      });
      expect(await askAsNobody('status', '--today')).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(file),
      });
      expect(await askAsNobody('versions', file, '--data', agent.data)).toMatchObject({ code: 0 });
      expect(await askAsNobody('backup', tree, '--data', agent.data)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('[AGENT_NOT_ALLOWED]'),
      });
      for (const service of services.splice(0)) await service.stop();
      const silent = await askAsNobody('status', '--data', agent.data);
      expect(silent).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/ask IT to start the service \[AGENT_NO_ANSWER\]/),
      });
      expect((await askAsNobody('status')).stderr).toContain(
        'no backup service answers on this PC',
      );
    },
  );

  it('while a backup by hand has the folder open, status answers, and nobody is told to stop it', async () => {
    const random = generator(7);
    await world.write(
      'data/large.bin',
      Buffer.from(Array.from({ length: 4 << 20 }, () => Math.floor(random() * 256))),
    );
    await writeFile(
      join(agent.data, 'agent.yaml'),
      `courtesy: {maxCpuPercent: 1}\nsources: [{path: ${JSON.stringify(tree)}}]\n`,
    );
    const backup = new DemoService('aliquot-agent', [
      'backup',
      tree,
      '--data',
      agent.data,
      '--json',
    ]);
    services.push(backup);
    const hasFolder = async (): Promise<boolean> => {
      const holder = await readFile(join(agent.data, 'lock.json'), 'utf8').catch(() => '{}');
      return (JSON.parse(holder) as { pid?: number }).pid === backup.child.pid;
    };
    while (!(await hasFolder())) await new Promise((resolve) => setTimeout(resolve, 20));
    const { code, lines, stderr } = await ask('status', '--data', agent.data, '--json');
    expect(stderr).not.toMatch(/stop it/);
    expect(code).toBe(0);
    expect(lines[0]).toMatchObject({ event: 'status', service: 'stopped' });
    expect(await hasFolder()).toBe(true);
  });

  it('two agents on one PC: status asks which is meant', async () => {
    await start();
    const other = await world.agent('other');
    await writeFile(join(other.data, 'agent.yaml'), `sources: [{path: ${JSON.stringify(tree)}}]\n`);
    const service = new DemoService('aliquot-agent', ['run', '--data', other.data]);
    services.push(service);
    await service.event('running');
    const { code, stderr } = await ask('status');
    expect(code).toBe(2);
    expect(stderr).toContain('2 agents run on this PC');
    expect(stderr).toContain(agent.data);
    expect(stderr).toContain(other.data);
    expect((await ask('status', '--data', other.data)).code).toBe(0);
  });
});
