import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../demo/programs.ts';
import { HostileTarget } from './hostile/target.ts';
import { statusOf } from './world.ts';

/*
 * Names are sealed by the agent, so a collector cannot choose where a restore writes; a stolen
 * agent can choose what its own names say, and who can write into a target folder may have left
 * links there.
 */

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const escapes = [
  '/data/../../../escaped',
  '/..',
  '/data/./x',
  'relative/name',
  '../relative',
  '/',
  '//',
  '/data//',
];

let target: HostileTarget;

beforeAll(async () => {
  target = await HostileTarget.open();
});

afterAll(() => target.close());

it('P2: no name of a stolen agent leaves the target of an operator’s restore; each is named, and the good ones come back', async () => {
  const { world } = target;
  const thief = await target.agent('thief');
  await target.session(thief);
  await thief.backUp([
    ...escapes.map((path) => ({ path, bytes: bytes(`out of ${path}`) })),
    { path: '/data/good', bytes: bytes('good') },
  ]);
  const inner = await world.place('outer/inner');
  const restored = await world.tryAliquot([
    'restore',
    '--kit',
    world.kit,
    '--agent',
    'thief',
    '--to',
    join(inner, 'target'),
    '--json',
  ]);
  expect(restored.code).toBe(3);
  const failed = restored.lines.filter((line) => line['event'] === 'failed');
  expect(failed).toHaveLength(escapes.length);
  for (const line of failed) expect(line['code']).toMatch(/^RESTORE_(BAD_PATH|TARGET|EXISTS)$/);
  expect(await readFile(join(inner, 'target/data/good'), 'utf8')).toBe('good');
  expect((await readdir(join(world.folder, 'outer'), { recursive: true })).toSorted()).toEqual([
    'inner',
    'inner/target',
    'inner/target/data',
    'inner/target/data/good',
  ]);
});

it('P2: a link that somebody left in the target is not followed', async () => {
  const { world } = target;
  const agent = await target.agent('victim');
  await target.session(agent);
  await agent.backUp([{ path: '/data/run/file', bytes: bytes('content') }]);
  const elsewhere = await world.place('elsewhere');
  const to = await world.place('planted');
  await mkdir(join(to, 'data'));
  await symlink(elsewhere, join(to, 'data/run'));
  const restored = await world.tryAliquot([
    'restore',
    '--kit',
    world.kit,
    '--agent',
    'victim',
    '--to',
    to,
    '--json',
  ]);
  expect(restored.code).toBe(3);
  expect(restored.lines[0]).toMatchObject({ event: 'failed', code: 'RESTORE_THROUGH_LINK' });
  expect(await readdir(elsewhere)).toEqual([]);
});

it('P4: an agent’s restore goes neither into its own folder nor through a link to it', async () => {
  const { world } = target;
  const agent = await world.agent('pc');
  const source = await world.place('source');
  await world.write('source/one.txt', 'one');
  await world.backup(agent, [source]);
  const before = await statusOf(agent);
  const link = join(world.folder, 'innocent');
  await symlink(agent.data, link);
  for (const to of [join(agent.data, 'below'), link, join(agent.data, '..', 'agent-pc', 'x')]) {
    const refused = await run('aliquot-agent', [
      'restore',
      source,
      '--to',
      to,
      '--data',
      agent.data,
    ]);
    expect([to, refused.code === 0]).toEqual([to, false]);
    expect(refused.stderr).toContain('RESTORE_FORBIDDEN_TARGET');
  }
  expect(await readdir(agent.data)).not.toContain('below');
  expect(await statusOf(agent)).toMatchObject({ lastReceipt: before['lastReceipt'], problems: 0 });
});
