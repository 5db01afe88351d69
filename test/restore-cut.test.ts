import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemRandom } from '@aliquot/shared/ports';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AgentPlace, World } from './world.ts';

const program = join(import.meta.dirname, '../bin/aliquot');
const MIB = 1024 * 1024;
let world: World;
let agent: AgentPlace;
let file: string;

beforeAll(async () => {
  world = await World.open();
  agent = await world.agent('pc');
  const bytes = Buffer.concat(Array.from({ length: 128 }, () => systemRandom.bytes(MIB)));
  file = await world.write('source/large.raw', bytes);
  await world.backup(agent, [dirname(file)]);
});

afterAll(() => world.close());

/** What stands in a folder under a name that is no file's own, with its size. */
async function partIn(folder: string): Promise<{ size: number; ino: number } | undefined> {
  const names = await readdir(folder).catch(() => []);
  const name = names.find((one) => one.startsWith('.aq-'));
  return name === undefined ? undefined : stat(join(folder, name)).catch(() => undefined);
}

it('P2: a restore that was killed in the middle of a file goes on in it when it is run again', async () => {
  const target = await world.place('back');
  const folder = join(target, dirname(file));
  const token = join(world.collectorData, 'admin.token');
  const args = ['restore', '--kit', world.kit, '--agent', 'pc', '--to', target];
  const killed = spawn(program, [...args, '--token-file', token], {
    env: { ...process.env, ...world.environment() },
    stdio: 'ignore',
  });
  while (((await partIn(folder))?.size ?? 0) < 24 * MIB) await delay(1);
  killed.kill('SIGKILL');
  await once(killed, 'close');
  const part = await partIn(folder);
  expect(part?.size).toBeGreaterThanOrEqual(24 * MIB);
  expect(await readdir(folder)).toHaveLength(1);
  await world.aliquot(args);
  expect(await readdir(folder)).toEqual(['large.raw']);
  const whole = join(folder, 'large.raw');
  expect((await readFile(whole)).equals(await readFile(file))).toBe(true);
  // The same file under its own name, not another one.
  expect((await stat(whole)).ino).toBe(part?.ino);
});
