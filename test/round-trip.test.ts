import { appendFile, mkdir, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { mustRun } from '../demo/programs.ts';
import { copyTree, makeTree, realData } from './trees.ts';
import { type AgentPlace, summaryOf, World } from './world.ts';

describe('a lab PC and a collector', () => {
  let world: World;
  let hplc: AgentPlace;
  let tree: string;
  let rawBytes: number;

  beforeAll(async () => {
    world = await World.open();
    hplc = await world.agent('hplc-1');
    tree = await world.place('data');
    await makeTree(join(tree, 'made'));
    if (realData) await copyTree(realData, join(tree, 'real'));
  });

  afterAll(() => world.close());

  it('P1 P2: what was backed up comes back byte for byte, restored by the operator with the kit', async () => {
    const summary = await world.backup(hplc, [tree]);
    expect(summary).toMatchObject({ failed: 0, queued: 0 });
    rawBytes = Number(summary['bytes']);
    const target = join(world.folder, 'by-operator');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', 'hplc-1', '--to', target]);
    expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
  });

  it('P2: the agent restores its own files elsewhere', async () => {
    const target = join(world.folder, 'by-agent');
    await mustRun('aliquot-agent', ['restore', tree, '--data', hplc.data, '--to', target]);
    expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
  });

  it('sends no content and makes no commit when nothing changed', async () => {
    const before = await stats(world);
    const summary = await world.backup(hplc, [tree]);
    expect(summary).toMatchObject({ newFiles: 0, failed: 0 });
    expect(Number(summary['sentBytes'])).toBeLessThan(rawBytes / 100);
    expect((await stats(world))['commits']).toBe(before['commits']);
  });

  it('sends no content when only a time was touched', async () => {
    const file = join(tree, 'made', 'run.D', 'AcqData', 'MSScan.bin');
    await utimes(file, 1_500_000_000, 1_500_000_000);
    const before = await stats(world);
    const summary = await world.backup(hplc, [tree]);
    expect(Number(summary['sentBytes'])).toBeLessThan(20_000);
    const after = await stats(world);
    expect(after['chunks']).toBe(before['chunks']);
    expect(after['commits']).toBe(Number(before['commits']) + 1);
  });

  it('a second PC with the same data adds almost nothing', async () => {
    const before = await stats(world);
    const other = await world.agent('hplc-2');
    const summary = await world.backup(other, [tree]);
    expect(summary).toMatchObject({ failed: 0 });
    const after = await stats(world);
    // Names, times and keys are sealed for each PC; the content is stored once.
    expect(after['chunks']).toBe(before['chunks']);
    if (realData)
      expect(Number(after['storedBytes'])).toBeLessThan(Number(before['storedBytes']) * 1.03);
  });

  it('P4: without self-restore an agent is told that the policy forbids it', async () => {
    const locked = await world.agent('locked', ['--no-self-restore']);
    const folder = await world.place('locked-data');
    await world.write('locked-data/a.txt', 'a');
    await world.backup(locked, [folder]);
    await expect(
      mustRun('aliquot-agent', [
        'restore',
        folder,
        '--data',
        locked.data,
        '--to',
        join(world.folder, 'never'),
      ]),
    ).rejects.toThrow(/ended with 1/);
  });

  it('every successive state of a file is restorable at its time', async () => {
    const agent = await world.agent('versions');
    const folder = await world.place('states');
    const file = join(folder, 'growing.csv');
    const times: string[] = [];
    const states: Map<string, string>[] = [];
    for (let state = 0; state < 4; state += 1) {
      await appendFile(file, `state ${state}\n`.repeat(1000));
      await world.backup(agent, [folder]);
      times.push(new Date().toISOString());
      states.push(await pictureOf(folder));
    }
    const versions = await world.aliquot([
      'versions',
      '--agent',
      'versions',
      '--path',
      file,
      '--json',
    ]);
    expect(versions.lines).toHaveLength(4);
    for (const [index, at] of times.entries()) {
      const target = join(world.folder, `state-${index}`);
      await world.aliquot([
        'restore',
        '--kit',
        world.kit,
        '--agent',
        'versions',
        '--at',
        at,
        '--to',
        target,
      ]);
      expect(
        differences(states[index] ?? new Map(), await pictureOf(join(target, folder))),
      ).toEqual([]);
    }
  });

  it('a deleted file is gone from now on and still there before', async () => {
    const agent = await world.agent('deleting');
    const folder = await world.place('deleting');
    await world.write('deleting/kept.txt', 'kept');
    const doomed = await world.write('deleting/doomed.txt', 'doomed');
    await world.backup(agent, [folder]);
    const before = new Date().toISOString();
    await rm(doomed);
    await world.backup(agent, [folder]);
    const now = await world.aliquot(['ls', '--agent', 'deleting', '--json']);
    const paths = now.lines.map((line) => line['path']);
    expect(paths).toContain(join(folder, 'kept.txt'));
    expect(paths).not.toContain(doomed);
    expect(paths).not.toContain(folder);
    const withFolders = await world.aliquot(['ls', '--agent', 'deleting', '--folders', '--json']);
    expect(withFolders.lines.map((line) => line['path'])).toContain(folder);
    const then = await world.aliquot(['ls', '--agent', 'deleting', '--at', before, '--json']);
    expect(then.lines.map((line) => line['path'])).toContain(doomed);
  });

  it('captures offline, keeps what was deleted meanwhile, and sends it later', async () => {
    const agent = await world.agent('offline');
    const folder = await world.place('offline');
    const file = await world.write('offline/only-copy.txt', 'the only copy');
    const queued = summaryOf(
      await mustRun('aliquot-agent', [
        'backup',
        folder,
        '--data',
        agent.data,
        '--offline',
        '--json',
      ]),
    );
    expect(Number(queued['queued'])).toBeGreaterThan(0);
    const at = new Date().toISOString();
    await rm(file);
    await mustRun('aliquot-agent', ['flush', '--data', agent.data, '--json']);
    const target = join(world.folder, 'offline-back');
    await mkdir(target);
    await world.aliquot([
      'restore',
      '--kit',
      world.kit,
      '--agent',
      'offline',
      '--at',
      at,
      '--to',
      target,
    ]);
    expect((await pictureOf(join(target, folder))).get('/only-copy.txt')).toMatch(/^file 13 /);
  });

  it('the store and every queue are sound at the end', async () => {
    await world.aliquot(['fsck', '--data', world.collectorData]);
    await mustRun('aliquot-agent', ['fsck', '--data', hplc.data]);
  });
});

async function stats(world: World): Promise<Record<string, unknown>> {
  const [line] = (await world.aliquot(['stats', '--json'])).lines;
  if (!line) throw new Error('stats printed nothing');
  return line;
}
