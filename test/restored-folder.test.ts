import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mustRun, run } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

describe('a restore at the PC without a target', () => {
  let world: World;
  let pc: AgentPlace;
  let source: string;
  const restored = () => join(dirname(source), 'Restored from backup');

  beforeAll(async () => {
    world = await World.open();
    pc = await world.agent('pc');
    source = await world.place('lab/data');
    for (const [name, text] of [
      ['run.D/signal.ch', 'first'],
      ['run.D/method.m', 'method'],
      ['notes [1].txt', 'notes'],
      ['notes 1.txt', 'other'],
      ['old/a', 'a'],
      ['old/b', 'b'],
    ] as const) {
      await world.write(`lab/data/${name}`, text);
    }
    await writeFile(join(pc.data, 'agent.yaml'), `sources: [{path: ${source}}]\n`);
    await world.backup(pc, [source]);
  });

  afterAll(() => world.close());

  /** Restores, and gives back what lies in the newest restored folder, by its path there. */
  async function restore(...args: string[]) {
    await rm(restored(), { recursive: true, force: true });
    const done = await run('aliquot-agent', ['restore', ...args, '--data', pc.data, '--json']);
    const [time = ''] = existsSync(restored()) ? await readdir(restored()) : [];
    const there = existsSync(restored())
      ? await readdir(join(restored(), time), { recursive: true, withFileTypes: true })
      : [];
    const files = there
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name).slice(join(restored(), time).length + 1));
    return { done, time, files: files.toSorted() };
  }

  it('P2: goes beside the source, never into a result, and the originals stay as they are', async () => {
    await writeFile(join(source, 'run.D/signal.ch'), 'changed since');
    const { done, time, files } = await restore(
      join(source, 'run.D/signal.ch'),
      join(source, 'notes [1].txt'),
    );
    expect(done.code).toBe(0);
    expect(files).toEqual(['data/notes [1].txt', 'data/run.D/signal.ch']);
    expect(time).toMatch(/^\d{4}-\d{2}-\d{2} \d{2}\.\d{2}\.\d{2}$/);
    expect(await readFile(join(restored(), time, 'data/run.D/signal.ch'), 'utf8')).toBe('first');
    expect(await readFile(join(source, 'run.D/signal.ch'), 'utf8')).toBe('changed since');
    expect((await readdir(join(source, 'run.D'))).toSorted()).toEqual(['method.m', 'signal.ch']);
    expect(done.lines).toContainEqual(
      expect.objectContaining({
        event: 'restored',
        to: join(restored(), time, 'data/notes [1].txt'),
      }),
    );
  });

  it('is never captured, also where the parent is backed up; a person who names it means it', async () => {
    await restore(join(source, 'notes [1].txt'));
    const parent = await run('aliquot-agent', [
      'backup',
      dirname(source),
      '--data',
      pc.data,
      '--json',
    ]);
    expect([parent.code, parent.lines.filter((line) => line['event'] === 'problem')]).toEqual([
      0,
      [],
    ]);
    const dry = await mustRun('aliquot-agent', [
      'backup',
      dirname(source),
      '--dry-run',
      '--data',
      pc.data,
      '--json',
    ]);
    expect(dry.lines).toContainEqual(
      expect.objectContaining({ event: 'excluded', pattern: 'Restored from backup' }),
    );
    const ls = await world.aliquot(['ls', '--agent', 'pc', '--json']);
    expect(
      ls.lines.filter((line) => String(line['path']).includes('Restored from backup')),
    ).toEqual([]);
    await mustRun('aliquot-agent', ['backup', restored(), '--data', pc.data, '--json']);
    const named = await world.aliquot(['ls', '--agent', 'pc', '--path', restored(), '--json']);
    expect(named.lines).toHaveLength(1);
  });

  it('gives back what was deleted, a file or a folder, and says when it was', async () => {
    await rm(join(source, 'old'), { recursive: true });
    await rm(join(source, 'notes 1.txt'));
    await world.backup(pc, [source]);
    const file = await restore(join(source, 'notes 1.txt'));
    expect([file.done.code, file.files]).toEqual([0, ['data/notes 1.txt']]);
    const restoredLine = file.done.lines.find((line) => line['event'] === 'restored');
    expect(Number(new Date(String(restoredLine?.['deletedAt'])))).toBeGreaterThan(1e12);
    const folder = await restore(join(source, 'old'));
    expect([folder.done.code, folder.files]).toEqual([0, ['data/old/a', 'data/old/b']]);
  });

  it('takes exact names from a file, and tells what was never there from what is', async () => {
    const names = join(world.folder, 'names');
    await writeFile(names, `${join(source, 'notes [1].txt')}\0${join(source, 'never')}\0`);
    const { done, files } = await restore('--path-file', names, '-0');
    expect([done.code, files]).toEqual([3, ['data/notes [1].txt']]);
    const problem = done.lines.find((line) => line['event'] === 'problem');
    expect(problem).toMatchObject({
      path: join(source, 'never'),
      message: expect.stringContaining('check the spelling'),
    });
    expect((await restore()).done.code).toBe(2);
  });

  it('says of nothing that it was restored where something is in the way', async () => {
    await rm(restored(), { recursive: true, force: true });
    await writeFile(restored(), 'a file of that name');
    const paths = [join(source, 'notes [1].txt'), join(source, 'run.D')];
    const done = await run('aliquot-agent', ['restore', ...paths, '--data', pc.data, '--json']);
    await rm(restored());
    expect([done.code, done.lines.filter((line) => line['event'] === 'restored')]).toEqual([3, []]);
    expect(
      done.lines.some((line) => line['event'] === 'problem' && line['path'] === paths[0]),
    ).toBe(true);
  });

  it('of what only a replaced PC had says how to ask for it, and its own files come back', async () => {
    const next = await world.agent('pc-2', ['--replaces', 'pc']);
    const mine = await world.write('second/mine.txt', 'mine');
    await world.backup(next, [dirname(mine)]);
    const target = join(world.folder, 'replaced');
    await mkdir(target);
    const own = await run('aliquot-agent', [
      'restore',
      mine,
      '--to',
      target,
      '--data',
      next.data,
      '--json',
    ]);
    expect(own.code).toBe(0);
    const theirs = await run('aliquot-agent', [
      'restore',
      join(source, 'notes [1].txt'),
      '--to',
      target,
      '--data',
      next.data,
    ]);
    expect([theirs.code, theirs.stderr]).toEqual([
      1,
      expect.stringMatching(/by the PC that this one replaces: .*aliquot restore .*--agent pc-2/s),
    ]);
    expect(theirs.stderr).not.toContain('spelling');
  });
});
