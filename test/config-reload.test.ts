import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DemoService, type JsonLine, mustRun, run } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

let world: World;
let agent: AgentPlace;
let config: string;
let service: DemoService;
let first: string;
let second: string;

beforeEach(async () => {
  world = await World.open();
  agent = await world.agent('pc');
  config = join(agent.data, 'agent.yaml');
  first = await world.place('first');
  second = await world.place('second');
  await writeFile(config, textOf(first));
  service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
  await service.event('running');
});
afterEach(async () => {
  await service.stop('SIGKILL');
  await world.close();
});

const textOf = (...folders: string[]) =>
  `scanIntervalSeconds: 1\nsources:\n${folders.map((folder) => `  - {path: ${JSON.stringify(folder)}, quietPeriodSeconds: 0}\n`).join('')}`;

/** What `status` says, when it says what is wanted; empty while the service starts again. */
async function statusWhen(
  wanted: (lines: readonly JsonLine[]) => boolean,
): Promise<readonly JsonLine[]> {
  for (;;) {
    const { code, lines } = await run('aliquot-agent', ['status', '--data', agent.data, '--json']);
    if (code === 0 && wanted(lines)) return lines;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const isSafe = (file: string) => (lines: readonly JsonLine[]) =>
  lines.some(
    (line) => line['event'] === 'result' && line['path'] === file && line['state'] === 'safe',
  );
const problemsOf = (lines: readonly JsonLine[]) =>
  lines.filter((line) => line['event'] === 'problem').map((line) => line['code']);
const sourcesOf = (lines: readonly JsonLine[]) =>
  (
    lines.find((line) => line['event'] === 'status')?.['sources'] as { path: string }[] | undefined
  )?.map(({ path }) => path);

it('a folder that is added to agent.yaml is watched without a restart, and the process stays the same', async () => {
  const pid = service.child.pid;
  await writeFile(config, textOf(first, second));
  const file = await world.write('second/run.csv', 'result');
  await statusWhen(isSafe(file));
  expect(service.child.pid).toBe(pid);
  expect(service.child.exitCode).toBeNull();
});

it('a broken agent.yaml is a problem at the PC and at the collector; what it said before is in force, and SIGHUP ends nothing', async () => {
  await writeFile(config, `${textOf(first)}colour: red\n`);
  service.child.kill('SIGHUP');
  const named = await statusWhen((lines) => problemsOf(lines).includes('configuration'));
  expect(named.find((line) => line['code'] === 'configuration')).toMatchObject({
    path: config,
    message: expect.stringContaining('line 4'),
  });
  for (;;) {
    const [line] = (await world.aliquot(['agents', '--json'])).lines;
    if (line?.['unprotected'] === 1) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const file = await world.write('first/run.csv', 'result');
  await statusWhen(isSafe(file));

  await writeFile(config, textOf(first));
  service.child.kill('SIGHUP');
  service.child.kill('SIGHUP');
  await statusWhen((lines) => problemsOf(lines).length === 0);
  expect(service.child.exitCode).toBeNull();
});

it('agent.yaml that went away is a problem, and the service goes on', async () => {
  await rm(config);
  service.child.kill('SIGHUP');
  await statusWhen((lines) => problemsOf(lines).includes('configuration'));
  await statusWhen(isSafe(await world.write('first/run.csv', 'result')));
});

it('a folder that is taken out is watched no more; its files stay as they were', async () => {
  const file = await world.write('first/run.csv', 'result');
  await statusWhen(isSafe(file));
  await writeFile(config, textOf(second));
  service.child.kill('SIGHUP');
  await statusWhen((lines) => sourcesOf(lines)?.[0] === second);
  const { lines } = await world.aliquot(['ls', '--agent', 'pc', '--json']);
  expect(lines.map((line) => line['path'])).toContain(file);
});

it('config check needs no service: it says what is right, and each mistake with its line', async () => {
  const right = await mustRun('aliquot-agent', ['config', 'check', config]);
  expect(right.stdout).toContain('is right: 1 folder to watch');
  const gone = await world.write('gone.yaml', textOf('/nowhere/at/all'));
  const absent = await mustRun('aliquot-agent', ['config', 'check', gone]);
  expect(absent.stderr).toContain('/nowhere/at/all is not there now');
  const wrong = await world.write('wrong.yaml', 'sources: [{path: data}]\nscanInterval: 3\n');
  const refused = await run('aliquot-agent', ['config', 'check', wrong]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/wrong\.yaml:1: .*absolute/);
  expect(refused.stderr).toMatch(/wrong\.yaml:2: "scanInterval" is not a setting/);
  expect(
    (await run('aliquot-agent', ['config', 'check', join(world.folder, 'no.yaml')])).code,
  ).toBe(2);
  expect((await run('aliquot-agent', ['config', 'check'])).code).toBe(2);
});

it('a broken agent.yaml keeps nobody from the status of a service that is stopped; the mistake is told, and ends the command', async () => {
  const file = await world.write('first/run.csv', 'result');
  await statusWhen(isSafe(file));
  await service.stop();
  await writeFile(config, `${textOf(first)}colour: red\n`);
  const asked = await run('aliquot-agent', ['status', '--data', agent.data]);
  expect(asked.stdout).toContain('is safe as of');
  expect(asked.stderr).toMatch(/agent\.yaml:4: "colour" is not a setting/);
  expect(asked.code).toBe(2);
});
