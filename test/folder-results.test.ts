import { execFileSync } from 'node:child_process';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { type Finished, type JsonLine, mustRun, run } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

/** More than fit into one commit. */
const MANY = 5_000;

describe.each([
  ['vault', false],
  ['blind vault', true],
] as const)('a folder result in a %s', (_, blind) => {
  let world: World;
  let agent: AgentPlace;
  let tree: string;
  const pc = ['--agent', 'gc-1'];
  const kit = () => ['--kit', world.kit];
  const named = () => (blind ? kit() : []);
  const ofResult = (name: string) => join(tree, name);
  const atPc = (command: string, ...args: string[]) =>
    run('aliquot-agent', [command, ...args, '--data', agent.data, '--json']);
  const results = async (...more: string[]) =>
    (await world.aliquot(['ls', ...named(), ...pc, '--results', ...more, '--json'])).lines;
  const restored = (name: string, to: string, ...more: string[]) =>
    world.tryAliquot([
      ...['restore', ...kit(), ...pc, '--result', ofResult(name), '--to', to, ...more],
      '--json',
    ]);
  const statusAt = async (name: string): Promise<JsonLine | undefined> =>
    (await atPc('status')).lines.find(
      ({ event, path }) => event === 'result' && path === ofResult(name),
    );
  const eventOf = ({ lines }: Finished, event: string) =>
    lines.find((line) => line['event'] === event);

  beforeAll(async () => {
    world = await World.open({ blind });
    agent = await world.agent('gc-1');
    tree = await world.place('data');
    for (const [name, text] of Object.entries({ 'acq.txt': 'method', 'sub/data.ms': 'spectra' }))
      await world.write(`data/run.D/${name}`, text);
    await world.write('data/plain.csv', 'no member of anything');
    // Nobody can read it as a file.
    execFileSync('mkfifo', [join(ofResult('run.D'), 'locked.ms')]);
  });

  afterAll(() => world.close());

  it('P6: is open while a member cannot be read; the member is named, and the others are kept', async () => {
    const backup = await atPc('backup', tree);
    expect(backup.code).toBe(3);
    expect(eventOf(backup, 'problem')?.['path']).toBe(join(ofResult('run.D'), 'locked.ms'));
    expect(await results()).toMatchObject([
      { path: ofResult('run.D'), kind: 'result', state: 'open', members: 4 },
    ]);
    expect(await statusAt('run.D')).toMatchObject({ state: 'problem', complete: false });
    const refused = await restored('run.D', join(world.folder, 'open'));
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining('[COMMAND_RESULT_OPEN]'),
    ]);
    await expect(readdir(join(world.folder, 'open'))).rejects.toThrow('ENOENT');
    const own = await atPc('restore', ofResult('run.D'), '--to', join(world.folder, 'own-open'));
    expect([own.code, eventOf(own, 'restored')]).toMatchObject([0, { complete: false }]);
    expect(await readdir(join(world.folder, 'own-open', ofResult('run.D')))).toEqual([
      ...['acq.txt', 'sub'],
    ]);
  });

  it('closes as one when the member can be read, and comes back whole', async () => {
    await rm(join(ofResult('run.D'), 'locked.ms'));
    await writeFile(join(ofResult('run.D'), 'locked.ms'), 'released');
    await world.backup(agent, [tree]);
    expect(await results()).toMatchObject([
      { path: ofResult('run.D'), state: 'closed', grade: 'assumed', members: 5, size: 21 },
    ]);
    expect(await statusAt('run.D')).toMatchObject({
      ...{ state: 'safe', complete: true, grade: 'assumed', members: 5, files: 3 },
    });
    const versions = ['versions', ...named(), ...pc, '--path', ofResult('run.D'), '--json'];
    const states = (lines: readonly JsonLine[]) =>
      lines.map(({ state, members }) => [state, members]);
    const both = [
      ['open', 4],
      ['closed', 5],
    ];
    expect(states((await world.aliquot(versions)).lines)).toEqual(both);
    const own = (await atPc('versions', ofResult('run.D'))).lines;
    expect(own[0]).toMatchObject({ event: 'path', state: 'safe', complete: true, kept: 2 });
    expect(states(own.filter(({ event }) => event === 'version'))).toEqual(both);
    const to = join(world.folder, 'whole');
    const done = await restored('run.D', to);
    expect([done.code, eventOf(done, 'summary')]).toMatchObject([
      0,
      { files: 3, directories: 2, result: ofResult('run.D') },
    ]);
    const was = await pictureOf(ofResult('run.D'));
    expect(differences(was, await pictureOf(join(to, ofResult('run.D'))))).toEqual([]);
    expect(await readdir(join(to, tree))).toEqual(['run.D']);
    const back = join(world.folder, 'own-whole');
    const mine = await atPc('restore', ofResult('run.D'), '--to', back);
    const [, closed] = (await world.aliquot(versions)).lines;
    expect(eventOf(mine, 'restored')).toMatchObject({
      ...{ complete: true, grade: 'assumed', version: closed?.['version'] },
    });
    expect(differences(was, await pictureOf(join(back, ofResult('run.D'))))).toEqual([]);
  });

  it('is given back as it was, after it changed and after it was deleted', async () => {
    const was = await pictureOf(ofResult('run.D'));
    const before = new Date().toISOString();
    await writeFile(join(ofResult('run.D'), 'acq.txt'), 'another method');
    await world.backup(agent, [tree]);
    const changed = await pictureOf(ofResult('run.D'));
    await rm(ofResult('run.D'), { recursive: true });
    await world.backup(agent, [tree, '--accept-gone']);
    expect(await results()).toEqual([]);
    expect((await results('--at', before)).map(({ state }) => state)).toEqual(['closed']);
    const gone = await restored('run.D', join(world.folder, 'gone'));
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining('was deleted')]);
    const told = await atPc('versions', ofResult('run.D'));
    expect(told.lines[0]).toMatchObject({ state: 'gone', kept: 3 });
    const at = told.lines.at(-1)?.['time'];
    expect(told.lines.at(-1)).toMatchObject({ kind: 'gone' });
    const then = new Date(Date.parse(String(at)) - 1).toISOString();
    for (const [time, picture] of [
      [before, was],
      [then, changed],
    ] as const) {
      const to = join(world.folder, `at-${time}`);
      expect((await restored('run.D', to, '--at', time)).code).toBe(0);
      expect(differences(picture, await pictureOf(join(to, ofResult('run.D'))))).toEqual([]);
    }
  });

  it(`of ${MANY} members over several commits comes back whole, and carried by hand too`, async () => {
    for (let number = 0; number < MANY; number += 1)
      await world.write(`data/large.D/scan-${number}`, `scan ${number}\n`);
    await world.backup(agent, [tree], ['--offline']);
    const [queue, receipts] = ['queue', 'receipts'].map((name) => join(world.folder, name)) as [
      string,
      string,
    ];
    await mustRun('aliquot-agent', ['queue', 'export', queue, '--data', agent.data]);
    await world.aliquot(['queue', 'import', queue, '--out', receipts]);
    expect(await statusAt('large.D')).toMatchObject({ state: 'queued', complete: true });
    await mustRun('aliquot-agent', ['queue', 'import', receipts, '--data', agent.data]);
    expect(await statusAt('large.D')).toMatchObject({ state: 'safe', members: MANY + 1 });
    expect(await results()).toMatchObject([{ state: 'closed', members: MANY + 1 }]);
    const to = join(world.folder, 'large');
    expect((await restored('large.D', to)).code).toBe(0);
    const was = await pictureOf(ofResult('large.D'));
    expect(differences(was, await pictureOf(join(to, ofResult('large.D'))))).toEqual([]);
    await world.aliquot(['check', ...kit()]);
    await world.aliquot(['fsck', '--data', world.collectorData]);
  });
});
