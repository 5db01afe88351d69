import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { DemoService, type JsonLine, run } from '../demo/programs.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

/**
 * A month in which the network is up: both programs, the operator's commands, and one identity in
 * two places.
 */
describe('two histories under one identity', () => {
  let world: World;
  let agent: AgentPlace;

  beforeEach(async () => {
    world = await World.open();
    agent = await world.agent('hplc-1');
  });

  afterEach(() => world.close());

  const copied = (from: string, to: string) =>
    cp(from, to, { recursive: true, preserveTimestamps: true });
  const forks = async (): Promise<JsonLine[]> => [
    ...(await world.aliquot(['fork', 'list', '--json'])).lines,
  ];
  const pathsOf = async (name: string): Promise<string[]> =>
    (await world.aliquot(['ls', '--kit', world.kit, '--agent', name, '--json'])).lines.map(
      ({ path }) => String(path),
    );
  const restored = async (name: string, to: string): Promise<string> => {
    const target = join(world.folder, to);
    await world.aliquot(['restore', '--kit', world.kit, '--agent', name, '--to', target]);
    return target;
  };

  it('I-A8: a PC that was put back to last month’s image keeps backing up; `restored` makes one history of both again', async () => {
    const tree = await world.place('data');
    await world.write('data/old.txt', 'from before the image');
    await world.write('data/both.txt', 'first state');
    await world.backup(agent, [tree]);
    await copied(agent.data, `${agent.data}.image`);
    await copied(tree, `${tree}.image`);
    await world.write('data/both.txt', 'second state, from after the image');
    await world.write('data/lost with the disk.txt', 'only the backup has this now');
    await world.backup(agent, [tree]);
    const lost = await pictureOf(tree);

    for (const folder of [agent.data, tree]) {
      await rm(folder, { recursive: true });
      await copied(`${folder}.image`, folder);
    }
    await world.write('data/both.txt', 'third state, from after the disk was put back');
    await world.write('data/new.txt', 'new');
    expect(await world.backup(agent, [tree])).toMatchObject({ failed: 0, queued: 0 });
    await world.write('data/newer.txt', 'newer');
    expect(await world.backup(agent, [tree])).toMatchObject({ failed: 0, queued: 0 });
    expect(await statusOf(agent)).toMatchObject({
      connectionProblem: { code: 'chain-held' },
      problems: 0,
      lost: 0,
    });

    const [held, ...more] = await forks();
    expect(more).toEqual([]);
    expect(held).toMatchObject({ of: 'hplc-1', state: 'held' });
    const name = String(held?.['name']);
    expect(name).toMatch(/^hplc-1~[0-9a-f]{8}$/);
    const [problem] = (await world.aliquot(['agents', '--json'])).lines;
    expect(problem?.['problems']).toMatchObject([{ code: 'chain-forked' }]);
    // Nothing is mixed while nobody has decided.
    expect(
      await readFile(join(await restored('hplc-1', 'trunk'), tree, 'both.txt'), 'utf8'),
    ).toContain('second');
    expect(await readFile(join(await restored(name, 'apart'), tree, 'both.txt'), 'utf8')).toContain(
      'third',
    );

    await world.aliquot(['fork', 'decide', name, '--restored']);
    expect(await forks()).toEqual([]);
    const after = await restored('hplc-1', 'after');
    const expected = await pictureOf(tree);
    for (const [path, what] of lost) if (!expected.has(path)) expected.set(path, what);
    expect(differences(expected, await pictureOf(join(after, tree)))).toEqual([]);
    const versions = (
      await world.aliquot([
        'versions',
        '--kit',
        world.kit,
        '--agent',
        'hplc-1',
        '--path',
        join(tree, 'both.txt'),
        '--json',
      ])
    ).lines;
    expect(versions).toHaveLength(3);

    // It goes on as the agent.
    await world.write('data/last.txt', 'last');
    expect(await world.backup(agent, [tree])).toMatchObject({ failed: 0, queued: 0 });
    expect(await statusOf(agent)).not.toHaveProperty('connectionProblem');
    expect(await pathsOf('hplc-1')).toContain(join(tree, 'last.txt'));
    expect((await world.aliquot(['agents', '--json'])).lines[0]?.['problems']).toEqual([]);
    await world.aliquot(['fsck', '--data', world.collectorData]);
    await world.aliquot(['check', '--kit', world.kit]);
  });

  it('I-A8: two PCs that run at once from one copied folder both keep backing up, apart; `clone` gives the second a name', async () => {
    const first = { ...agent, tree: await world.place('first') };
    const second = {
      ...agent,
      data: join(world.folder, 'agent-copy'),
      tree: await world.place('second'),
    };
    await world.write('first/shared.txt', 'backed up before the disk was copied');
    await world.backup(first, [first.tree]);
    await copied(first.data, second.data);
    const services: DemoService[] = [];
    const safe = async (place: AgentPlace, results: number): Promise<JsonLine> => {
      for (;;) {
        const status = await statusOf(place);
        const { total, safe } = status['results'] as { total: number; safe: number };
        if (total >= results && safe === total) return status;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    };
    try {
      for (const { data, tree } of [first, second]) {
        await world.write(
          join(data.slice(world.folder.length + 1), 'agent.yaml'),
          `sources:\n  - path: ${tree}\n    quietPeriodSeconds: 1\n`,
        );
        const service = new DemoService('aliquot-agent', ['run', '--data', data]);
        services.push(service);
        await service.event('running');
      }
      await world.write('first/one.txt', 'of the first');
      await world.write('second/two.txt', 'of the second');
      await safe(first, 2);
      await safe(second, 1);
      await world.write('first/three.txt', 'of the first again');
      await world.write('second/four.txt', 'of the second again');
      await safe(first, 3);
      await safe(second, 2);

      const held = await forks();
      expect(held).toHaveLength(1);
      const name = String(held[0]?.['name']);
      const isSecond = (await pathsOf(name)).every((path) => path.startsWith(second.tree));
      const [original, clone] = isSecond ? [first, second] : [second, first];
      await world.aliquot(['fork', 'decide', name, '--clone', 'hplc-7']);
      const twice = await world.tryAliquot(['fork', 'decide', name, '--restored']);
      expect(twice.code).not.toBe(0);

      await world.write('first/five.txt', 'of the first, after the decision');
      await world.write('second/six.txt', 'of the second, after the decision');
      await safe(first, 4);
      await safe(second, 3);
      const expected = async ({ tree }: { tree: string }) =>
        differences(await pictureOf(tree), await pictureOf(join(target, tree)));
      let target = await restored('hplc-7', 'clone');
      // What was backed up before the copy was made stays in the agent's own history, whichever of
      // the two came second.
      expect(await expected(clone)).toEqual(
        isSecond ? [] : [expect.stringMatching(/^\/shared\.txt: .* got nothing$/)],
      );
      const others = await pathsOf('hplc-7');
      expect(others.filter((path) => !path.startsWith(clone.tree))).toEqual([]);
      target = await restored('hplc-1', 'original');
      // What was backed up before the copy was made belongs to the agent's own history.
      expect((await expected(original)).filter((line) => !line.includes('shared.txt'))).toEqual([]);
      expect(
        (await pathsOf('hplc-1')).filter(
          (path) => path.startsWith(clone.tree) && !path.endsWith('shared.txt'),
        ),
      ).toEqual([]);
    } finally {
      for (const service of services) await service.stop('SIGTERM');
    }
    expect(await statusOf(first)).toMatchObject({ problems: 0, lost: 0, queue: { entries: 0 } });
    const clone = await run('aliquot-agent', ['fsck', '--data', second.data]);
    expect(clone.code).toBe(0);
    await world.aliquot(['fsck', '--data', world.collectorData]);
  });
});
