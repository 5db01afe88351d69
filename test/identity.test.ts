import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { mustRun, run } from '../demo/programs.ts';
import { makeTree } from './trees.ts';
import { World } from './world.ts';

describe('who is who', () => {
  let world: World;

  beforeEach(async () => {
    world = await World.open();
  }, 60_000);

  afterEach(() => world.close());

  it('a bundle used twice with the same keys gets the same answer, with other keys it fails and says so', async () => {
    const agent = await world.agent('twice');
    const again = await run('aliquot-agent', ['enroll', agent.bundle, '--data', agent.data]);
    expect(again.code).toBe(0);
    const other = await run('aliquot-agent', ['enroll', agent.bundle, '--data', join(world.folder, 'second-pc')]);
    expect(other.code).not.toBe(0);
    expect(other.stderr.trim().split('\n')).toHaveLength(1);
    expect(other.stderr).toMatch(/already|used/i);
  }, 60_000);

  it('an expired bundle, a damaged bundle and a bundle of another collector are each refused in one line', async () => {
    const expired = await world.bundle('late', ['--expires', '0s']);
    const damaged = await world.bundle('damaged');
    const text = await readFile(damaged, 'utf8');
    const middle = Math.floor(text.length / 2);
    await writeFile(damaged, text.slice(0, middle) + (text[middle] === 'A' ? 'B' : 'A') + text.slice(middle + 1));
    const elsewhere = await World.open();
    try {
      const foreign = await elsewhere.bundle('foreign');
      // The foreign lab's collector is gone and this one answers at its address.
      const port = new URL(elsewhere.url).port;
      await elsewhere.unserve();
      await world.unserve();
      const { Service } = await import('../demo/programs.ts');
      const impostor = new Service('aliquot', ['serve', '--data', world.collectorData, '--listen', `127.0.0.1:${port}`]);
      await impostor.event('listening');
      for (const [bundle, expected] of [
        [damaged, /damaged|corrupt|checksum/i],
        [foreign, /vault|foreign|unknown|not known/i],
      ] as const) {
        const refused = await run('aliquot-agent', ['enroll', bundle, '--data', join(world.folder, `never-${port}`)]);
        expect(refused.code).not.toBe(0);
        expect(refused.stderr.trim().split('\n')).toHaveLength(1);
        expect(refused.stderr).toMatch(expected);
      }
      await impostor.stop();
      await world.serve();
      const refused = await run('aliquot-agent', ['enroll', expired, '--data', join(world.folder, 'never-late')]);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/expired/i);
    } finally {
      await elsewhere.close();
    }
  }, 120_000);

  it('P5: a collector that came back with an older disk is noticed, named, and healed by the authority', async () => {
    const agent = await world.agent('witness');
    const tree = await world.place('data');
    await makeTree(tree, 1);
    await world.backup(agent, [tree]);
    await world.unserve();
    await cp(world.collectorData, `${world.collectorData}.old`, { recursive: true, preserveTimestamps: true });
    await world.serve();
    await world.write('data/after the copy.txt', 'written after the copy was made');
    await makeTree(join(tree, 'more'), 2);
    await world.backup(agent, [tree]);

    await world.unserve();
    await rm(world.collectorData, { recursive: true });
    await cp(`${world.collectorData}.old`, world.collectorData, { recursive: true, preserveTimestamps: true });
    await world.serve();

    await world.write('data/third.txt', 'third');
    const noticed = await run('aliquot-agent', ['backup', tree, '--data', agent.data, '--json']);
    expect(noticed.code).not.toBe(0);
    const status = await mustRun('aliquot-agent', ['status', '--data', agent.data, '--json']);
    expect(status.stdout).toMatch(/rolled.?back/i);
    const agents = await world.aliquot(['agents', '--json']);
    expect(agents.stdout).toMatch(/rolled.?back/i);

    await world.aliquot(['log', 'reopen', '--kit', world.kit]);
    const healed = await world.backup(agent, [tree]);
    expect(healed).toMatchObject({ failed: 0, queued: 0 });
    const after = await mustRun('aliquot-agent', ['status', '--data', agent.data, '--json']);
    expect(after.stdout).not.toMatch(/"(problem|code)":"[^"]*rolled/i);
    await world.aliquot(['fsck', '--data', world.collectorData]);
    const target = join(world.folder, 'healed');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', 'witness', '--to', target]);
    expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
  }, 180_000);

  it('P5: an agent folder copied to a second PC is held apart and named on both sides', async () => {
    const agent = await world.agent('cloned');
    const tree = await world.place('data');
    await world.write('data/one.txt', 'one');
    await world.backup(agent, [tree]);
    const clone = join(world.folder, 'agent-clone');
    await cp(agent.data, clone, { recursive: true, preserveTimestamps: true });
    await world.write('data/two.txt', 'two');
    await world.backup(agent, [tree]);
    await world.write('data/three.txt', 'three');
    const second = await run('aliquot-agent', ['backup', tree, '--data', clone, '--json']);
    expect(second.code).not.toBe(0);
    expect(second.stderr).toMatch(/fork|copied|two PCs|second/i);
    expect((await world.aliquot(['agents', '--json'])).stdout).toMatch(/fork/i);
    // The original goes on.
    expect(await world.backup(agent, [tree])).toMatchObject({ failed: 0, queued: 0 });
  }, 120_000);

  it('a revoked agent is refused in one line', async () => {
    const agent = await world.agent('revoked');
    const tree = await world.place('data');
    await world.write('data/one.txt', 'one');
    await world.backup(agent, [tree]);
    await world.aliquot(['agent', 'revoke', 'revoked']);
    await world.write('data/two.txt', 'two');
    const refused = await run('aliquot-agent', ['backup', tree, '--data', agent.data]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/revoked/i);
  }, 60_000);

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
  }, 60_000);
});
