import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { DemoService, type Finished, mustRun, run } from '../demo/programs.ts';
import { makeTree } from './trees.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

describe('a queue that is carried by hand', () => {
  let world: World;
  let agent: AgentPlace;
  let tree: string;
  const file = (name: string) => join(world.folder, name);

  beforeEach(async () => {
    world = await World.open();
    agent = await world.agent('cellar');
    tree = await world.place('data');
  });

  afterEach(() => world.close());

  const exported = (name: string, place = agent) =>
    mustRun('aliquot-agent', ['queue', 'export', file(name), '--data', place.data, '--json']);
  const imported = (name: string, place = agent) =>
    mustRun('aliquot-agent', ['queue', 'import', file(name), '--data', place.data, '--json']);
  const brought = (queue: string, receipts: string) =>
    world.aliquot(['queue', 'import', file(queue), '--out', file(receipts), '--json']);
  const round = async (name: string): Promise<Finished> => {
    await exported(`${name}.queue`);
    await brought(`${name}.queue`, `${name}.receipts`);
    return imported(`${name}.receipts`);
  };

  it('P1: arrives whole, is restored and compared, and its receipts empty the queue; the sources may be gone meanwhile', async () => {
    await makeTree(tree, 1);
    await world.backup(agent, [tree], ['--offline']);
    const first = await pictureOf(tree);
    expect((await exported('first.queue')).lines).toMatchObject([{ event: 'exported', left: 0 }]);
    expect((await statusOf(agent))['queue']).not.toMatchObject({ entries: 0 });
    await rename(tree, file('kept'));

    const [said] = (await brought('first.queue', 'first.receipts')).lines;
    expect(said).toMatchObject({ event: 'brought', agent: 'cellar', stopped: null, repeated: 0 });
    // The same file again changes nothing, and its receipts are as good.
    expect((await brought('first.queue', 'again.receipts')).lines[0]).toMatchObject({
      accepted: said?.['accepted'],
      repeated: said?.['accepted'],
    });
    expect((await imported('first.receipts')).lines).toMatchObject([
      { event: 'imported', queued: 0, receipts: said?.['accepted'] },
    ]);
    expect(await statusOf(agent)).toMatchObject({ queue: { entries: 0 }, problems: 0, lost: 0 });
    expect((await imported('first.receipts')).lines).toMatchObject([
      { event: 'imported', receipts: 0, queued: 0 },
    ]);

    const target = file('restored');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', 'cellar', '--to', target]);
    expect(differences(first, await pictureOf(join(target, tree)))).toEqual([]);
    await world.aliquot(['fsck', '--data', world.collectorData]);
    expect(
      (await mustRun('aliquot-agent', ['fsck', '--data', agent.data, '--json'])).lines.at(-1),
    ).toMatchObject({ ok: true });

    // The next round carries only what is new, and the network may take over at any time.
    await rename(file('kept'), tree);
    await world.write('data/second.txt', 'the second round');
    await world.backup(agent, [tree], ['--offline']);
    await round('second');
    expect((await stat(file('second.queue'))).size).toBeLessThan(100_000);
    await world.write('data/third.txt', 'by the network again');
    expect(await world.backup(agent, [tree])).toMatchObject({ failed: 0, queued: 0 });
  });

  it('P6: bad files are each one clear line, and nothing is taken from them', async () => {
    await world.write('data/a.txt', 'a result');
    await world.backup(agent, [tree], ['--offline']);
    await exported('good.queue');
    const bytes = await readFile(file('good.queue'));
    const refused = async (command: Promise<Finished>, code: string): Promise<void> => {
      const finished = await command;
      expect(finished.stderr.trim().split('\n')).toHaveLength(1);
      expect(finished.stderr).toContain(`[${code}]`);
      expect(finished.code).toBe(1);
    };
    const bring = (name: string) =>
      world.tryAliquot(['queue', 'import', file(name), '--out', file('none.receipts')]);
    const take = (name: string, place = agent) =>
      run('aliquot-agent', ['queue', 'import', file(name), '--data', place.data]);

    await writeFile(file('cut.queue'), bytes.subarray(0, -1));
    await refused(bring('cut.queue'), 'CARRY_CUT');
    await writeFile(
      file('altered.queue'),
      bytes.with(Math.floor(bytes.length / 2), (bytes.at(Math.floor(bytes.length / 2)) ?? 0) ^ 1),
    );
    await refused(bring('altered.queue'), 'CARRY_ALTERED');
    await writeFile(file('foreign.queue'), 'a somewhat longer letter to somebody else');
    await refused(bring('foreign.queue'), 'CARRY_NOT_ONE');
    await refused(take('good.queue'), 'CARRY_WRONG_KIND');
    expect((await world.aliquot(['stats', '--json'])).lines[0]).toMatchObject({
      commits: 0,
      chunks: 0,
    });

    await brought('good.queue', 'good.receipts');
    const receipts = await readFile(file('good.receipts'));
    await writeFile(file('cut.receipts'), receipts.subarray(0, 40));
    await refused(take('cut.receipts'), 'CARRY_CUT');
    await writeFile(file('altered.receipts'), receipts.with(-1, (receipts.at(-1) ?? 0) ^ 1));
    await refused(take('altered.receipts'), 'CARRY_ALTERED');
    const other = await world.agent('attic');
    await refused(take('good.receipts', other), 'CARRY_OTHER_AGENT');
    expect((await statusOf(agent))['queue']).toMatchObject({ entries: 2 });

    // An older answer after a newer one.
    await world.write('data/b.txt', 'another result');
    await world.backup(agent, [tree], ['--offline']);
    await round('newer');
    await refused(take('good.receipts'), 'CARRY_OUTDATED');
    expect((await statusOf(agent))['queue']).toMatchObject({ entries: 0 });
  });

  it('goes through the running service, which writes neither into what it watches nor into its own folder', async () => {
    await world.unserve();
    await world.write('data/a.txt', 'captured by the service');
    await writeFile(
      join(agent.data, 'agent.yaml'),
      `sources:\n  - path: ${tree}\n    quietPeriodSeconds: 1\n`,
    );
    const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
    try {
      await service.event('running');
      // A settled result is queued within its quiet second; asked for again until then, as a person
      // would.
      while (((await statusOf(agent))['queue'] as { entries: number }).entries < 2)
        await new Promise((resolve) => setTimeout(resolve, 200));
      for (const place of [join(tree, 'q'), join(agent.data, 'q')]) {
        const finished = await run('aliquot-agent', [
          'queue',
          'export',
          place,
          '--data',
          agent.data,
        ]);
        expect(finished.stderr).toContain('[USAGE_INVALID]');
      }
      await exported('live.queue');
      await world.serve();
      await brought('live.queue', 'live.receipts');
      expect((await imported('live.receipts')).lines.at(-1)).toMatchObject({
        event: 'imported',
        queued: 0,
      });
      expect(await statusOf(agent)).toMatchObject({ service: 'running', queue: { entries: 0 } });
    } finally {
      await service.stop('SIGTERM');
    }
  });
});
