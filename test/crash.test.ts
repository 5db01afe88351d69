import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { generator, waveform } from '../demo/instruments.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { mustRun, Service } from '../demo/programs.ts';
import { copyTree, makeTree, realData } from './trees.ts';
import { statusOf, World } from './world.ts';

const seed = Number(process.env['ALIQUOT_TEST_SEED'] ?? 20261121);
const rounds = Number(process.env['ALIQUOT_TEST_CRASHES'] ?? 20);

describe('kill -9', () => {
  it(`P1 I-A2 I-C1: ${rounds} crashes of agent and collector at random moments of a backup lose nothing (seed ${seed})`, async () => {
    const next = generator(seed);
    const world = await World.open();
    try {
      const agent = await world.agent('crashing');
      const tree = await world.place('data');
      await makeTree(join(tree, 'made'), seed);
      if (realData) await copyTree(realData, join(tree, 'real'));
      for (let round = 0; round < rounds; round += 1) {
        // New data for every round, so that there is always something under way when the process dies.
        await world.write(`data/round-${round}.bin`, waveform(3_000_000, seed + round));
        const victim = (['agent', 'collector', 'both'] as const)[next() % 3] ?? 'both';
        const backup = new Service('aliquot-agent', ['backup', tree, '--data', agent.data, '--json']);
        const ended = once(backup.child, 'close');
        // The moment is the random input of this test: no result depends on how long it is.
        await Promise.race([delay(next() % 1800), ended]);
        if (victim !== 'agent') {
          await world.unserve('SIGKILL');
          if (victim === 'collector') await delay(next() % 300);
        }
        await backup.stop('SIGKILL');
        if (victim !== 'agent') await world.serve();
        // What the agent has a receipt for, the collector has, however either of them died.
        const receipt = (await statusOf(agent))['lastReceipt'] as { commit: number } | null;
        const [stats] = (await world.aliquot(['stats', '--json'])).lines;
        expect(Number(stats?.['commits'])).toBeGreaterThanOrEqual(receipt?.commit ?? 0);
      }
      const summary = await world.backup(agent, [tree]);
      expect(summary).toMatchObject({ failed: 0, queued: 0 });
      const status = await statusOf(agent);
      expect(status).toMatchObject({ rolledBack: false, problems: 0, lost: 0 });
      expect(status).not.toHaveProperty('connectionProblem');
      await mustRun('aliquot-agent', ['fsck', '--data', agent.data]);
      await world.aliquot(['fsck', '--data', world.collectorData]);
      const target = join(world.folder, 'back');
      await world.aliquot(['restore', '--kit', world.kit, '--agent', 'crashing', '--to', target]);
      expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
    } finally {
      await world.close();
    }
  }, 600_000);
});
