import { execFileSync } from 'node:child_process';
import { mkdir, readlink, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DemoService, type Finished, type JsonLine, run } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

/*
 * What a source is, and what is gone of it, with the built programs: links, drives that go and
 * come, and a person's word.
 */

let world: World;
let agent: AgentPlace;
let source: string;
let service: DemoService | undefined;
let mounted: string[];

beforeEach(async () => {
  world = await World.open();
  agent = await world.agent('pc');
  source = await world.place('data');
  service = undefined;
  mounted = [];
});
afterEach(async () => {
  await service?.stop('SIGKILL');
  for (const point of mounted.reverse()) execFileSync('umount', ['-l', point]);
  await world.close();
});

async function start(path = source): Promise<void> {
  await writeFile(
    join(agent.data, 'agent.yaml'),
    `scanIntervalSeconds: 1\nsources: [{path: ${JSON.stringify(path)}, quietPeriodSeconds: 0}]\n`,
  );
  service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
  await service.event('running');
}

async function stop(): Promise<void> {
  expect(await service?.stop()).toBe(0);
  service = undefined;
}

const backup = (paths: string[], ...options: string[]): Promise<Finished> =>
  run('aliquot-agent', ['backup', ...paths, '--data', agent.data, '--json', ...options]);

/** `code name` of each problem, names below the world’s folder. */
const problemsIn = (lines: readonly JsonLine[]): string[] =>
  lines
    .filter((line) => line['event'] === 'problem')
    .map((line) => `${line['code']} ${String(line['path']).slice(world.folder.length + 1)}`);

async function problems(): Promise<string[]> {
  return problemsIn((await run('aliquot-agent', ['status', '--data', agent.data, '--json'])).lines);
}

/** Files and links that the collector lists now. */
async function listed(): Promise<string[]> {
  const { lines } = await world.aliquot(['ls', '--agent', 'pc', '--json']);
  return lines
    .filter((line) => line['kind'] !== 'directory' && typeof line['path'] === 'string')
    .map((line) => String(line['path']).slice(world.folder.length + 1))
    .sort();
}

/**
 * What central IT is told of the PC’s own problems, by code; the collector adds its own words about
 * them.
 */
async function told(): Promise<string[]> {
  const { lines } = await world.tryAliquot(['agents', '--json']);
  const [line] = lines;
  const codes = ((line?.['problems'] ?? []) as { code: string }[]).map(({ code }) => code);
  return codes.filter((code) => code !== 'unprotected' && code !== 'nothing-backed-up');
}

const patient = { timeout: 240_000, interval: 200 };

it('P6: a watched link is followed, and a change of where it leads is named at the PC and at the collector until a person accepts it', async () => {
  await world.write('disk1/a.csv', 'alpha');
  await world.write('disk2/b.csv', 'beta');
  const link = join(world.folder, 'results');
  await symlink('disk1', link);
  await start(link);
  await expect.poll(listed, patient).toEqual(['disk1/a.csv', 'results']);
  await unlink(link);
  await symlink('disk2', link);
  await expect.poll(problems, patient).toEqual(['link-moved results']);
  await expect.poll(listed, patient).toEqual(['disk1/a.csv', 'disk2/b.csv', 'results']);
  await expect.poll(told, patient).toEqual(['link-moved']);
  const accepted = await backup([link], '--accept-gone');
  expect(accepted).toMatchObject({ code: 0 });
  await expect.poll(problems, patient).toEqual([]);
  await expect.poll(told, patient).toEqual([]);
  expect(await readlink(link)).toBe('disk2');
  // A new file is noticed where the link leads.
  await world.write('disk2/c.csv', 'gamma');
  await expect.poll(listed, patient).toContain('disk2/c.csv');
});

for (const [what, make, code, exit] of [
  ['a link to nothing', (path: string) => symlink('nowhere', path), 'root-missing', 3],
  ['a file', (path: string) => writeFile(path, 'a file'), 'root-file', 3],
  ['nothing', async () => undefined, 'root-missing', 2],
] as const) {
  it(`P6: where a watched folder should be is ${what}: a problem, and no success of a command`, async () => {
    const path = join(world.folder, 'results');
    await make(path);
    await start(path);
    await expect.poll(problems, patient).toEqual([`${code} results`]);
    await expect.poll(told, patient).toEqual([code]);
    expect(await backup([path])).toMatchObject({ code: exit });
    await stop();
    expect(await backup([path])).toMatchObject({ code: exit });
  });
}

it('P6: everything gone at once is an alarm through restarts, until a person says that it is gone', async () => {
  for (const name of ['a', 'b', 'c']) await world.write(`data/${name}.csv`, name);
  await start();
  await expect.poll(listed, patient).toHaveLength(3);
  for (const name of ['a', 'b', 'c']) await unlink(join(source, `${name}.csv`));
  await expect.poll(problems, patient).toEqual(['all-gone data']);
  await expect.poll(told, patient).toEqual(['all-gone']);
  await stop();
  const once = await backup([source]);
  expect(once.code).toBe(3);
  expect(problemsIn(once.lines)).toEqual(['all-gone data']);
  await start();
  await expect.poll(told, patient).toEqual(['all-gone']);
  expect(await listed()).toHaveLength(3);

  const accepted = await backup([source], '--accept-gone');
  expect(accepted.code).toBe(0);
  expect(accepted.lines.at(-1)).toMatchObject({ event: 'summary', gone: 3 });
  await expect.poll(listed, patient).toEqual([]);
  await expect.poll(problems, patient).toEqual([]);
  await expect.poll(told, patient).toEqual([]);
});

it('P6: a folder that was replaced by an empty one loses nothing, and is in order when it is back', async () => {
  await world.write('data/a.csv', 'alpha');
  expect((await backup([source])).code).toBe(0);
  await start();
  await expect.poll(async () => (await problems()).length, patient).toBe(0);
  await stop();
  await rename(source, `${source}.away`);
  await mkdir(source);
  await start();
  await expect.poll(problems, patient).toEqual(['replaced data']);
  expect(await listed()).toEqual(['data/a.csv']);
  await rm(source, { recursive: true });
  await rename(`${source}.away`, source);
  await expect.poll(problems, patient).toEqual([]);
  expect(await listed()).toEqual(['data/a.csv']);
});

const canMount = (() => {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return false;
  try {
    execFileSync('unshare', ['-m', 'true']);
    return true;
  } catch {
    return false;
  }
})();

const mountNote = canMount ? '' : ' (skipped: only root may mount here)';

it.runIf(canMount)(
  `P6: a share below a source goes, the service restarts, a command looks, another share comes: nothing is gone until a person says so${mountNote}`,
  async () => {
    const share = join(source, 'share');
    const mount = (): void => {
      execFileSync('mount', ['-t', 'tmpfs', 'none', share]);
      mounted.push(share);
    };
    const unmount = (): void => {
      execFileSync('umount', ['-l', share]);
      mounted.pop();
    };
    await mkdir(share);
    await world.write('data/mine.csv', 'mine');
    mount();
    await world.write('data/share/a.csv', 'alpha');
    await world.write('data/share/b.csv', 'beta');
    await start();
    const all = ['data/mine.csv', 'data/share/a.csv', 'data/share/b.csv'];
    await expect.poll(listed, patient).toEqual(all);

    unmount();
    await expect.poll(problems, patient).toEqual(['mount-missing data/share']);
    await expect.poll(told, patient).toEqual(['mount-missing']);
    await stop();
    const once = await backup([source]);
    expect(once.code).toBe(3);
    expect(problemsIn(once.lines)).toEqual(['mount-missing data/share']);
    const inside = await backup([share]);
    expect(inside.code).toBe(3);
    expect(await listed()).toEqual(all);

    mount();
    await world.write('data/share/other.csv', 'of another share');
    await start();
    await expect.poll(problems, patient).toEqual(['replaced data/share']);
    await expect.poll(listed, patient).toEqual([...all, 'data/share/other.csv']);

    expect((await backup([share], '--accept-gone')).code).toBe(0);
    await expect.poll(listed, patient).toEqual(['data/mine.csv', 'data/share/other.csv']);
    await expect.poll(problems, patient).toEqual([]);
  },
);

it('P6: a file that was once backed up by its own name is gone when it is deleted, as any other in its folder', async () => {
  const file = await world.write('data/run-1.csv', 'one');
  await world.write('data/run-2.csv', 'two');
  expect((await backup([file])).code).toBe(0);
  expect((await backup([source])).code).toBe(0);
  await rm(file);
  const once = await backup([source]);
  expect([once.code, problemsIn(once.lines)]).toEqual([0, []]);
  expect(await listed()).toEqual(['data/run-2.csv']);
  await start();
  await unlink(join(source, 'run-2.csv'));
  await expect.poll(problems, patient).toEqual(['all-gone data']);
});
