import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { run } from '../demo/programs.ts';
import { makeTree } from './trees.ts';
import { statusOf, World } from './world.ts';

describe('who is who', () => {
  let world: World;

  beforeEach(async () => {
    world = await World.open();
  });

  afterEach(() => world.close());

  it('P5: a collector that came back with an older disk is noticed, named, and healed by the authority', async () => {
    const agent = await world.agent('witness');
    const tree = await world.place('data');
    await makeTree(tree, 1);
    await world.backup(agent, [tree]);
    await world.unserve();
    await cp(world.collectorData, `${world.collectorData}.old`, {
      recursive: true,
      preserveTimestamps: true,
    });
    await world.serve();
    await world.write('data/after the copy.txt', 'written after the copy was made');
    await makeTree(join(tree, 'more'), 2);
    await world.backup(agent, [tree]);

    await world.unserve();
    await rm(world.collectorData, { recursive: true });
    await cp(`${world.collectorData}.old`, world.collectorData, {
      recursive: true,
      preserveTimestamps: true,
    });
    await world.serve();

    await world.write('data/third.txt', 'third');
    const noticed = await run('aliquot-agent', ['backup', tree, '--data', agent.data, '--json']);
    expect(noticed.code).not.toBe(0);
    expect(await statusOf(agent)).toMatchObject({
      rolledBack: true,
      connectionProblem: { code: 'UPLINK_ROLLED_BACK' },
    });
    const [named] = (await world.aliquot(['agents', '--json'])).lines;
    expect(named?.['problems']).toMatchObject([{ code: 'log-rolled-back' }]);

    await world.aliquot(['log', 'reopen', '--kit', world.kit]);
    const healed = await world.backup(agent, [tree]);
    expect(healed).toMatchObject({ failed: 0, queued: 0 });
    const after = await statusOf(agent);
    expect(after).toMatchObject({ rolledBack: false, problems: 0, lost: 0, queue: { entries: 0 } });
    expect(after).not.toHaveProperty('connectionProblem');
    const [mended] = (await world.aliquot(['agents', '--json'])).lines;
    expect(mended?.['problems']).toEqual([]);
    await world.aliquot(['fsck', '--data', world.collectorData]);
    const target = join(world.folder, 'healed');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', 'witness', '--to', target]);
    expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
  });

  it('a replaced PC hands history and chunk set to its successor', async () => {
    const old = await world.agent('old-pc');
    const tree = await world.place('data');
    await makeTree(tree, 3);
    await world.backup(old, [tree]);
    const successor = await world.agent('new-pc', ['--replaces', 'old-pc']);
    const before = (await world.aliquot(['stats', '--json'])).lines[0];
    const summary = await world.backup(successor, [tree]);
    expect(Number(summary['sentBytes'])).toBeLessThan(Number(summary['bytes']) / 10);
    const after = (await world.aliquot(['stats', '--json'])).lines[0];
    expect(after?.['chunks']).toBe(before?.['chunks']);
    const refused = await run('aliquot-agent', ['backup', tree, '--data', old.data]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/replaced/i);
  });
});
