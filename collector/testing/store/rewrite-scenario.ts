import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CrashScenario } from '@aliquot/shared/testing/enumerate';
import { initCollector } from '../../src/store/collector.ts';
import { CollectorLife, expectThat } from './collector-life.ts';
import { content, StoreWorld, WorldAgent } from './world.ts';

const PACK_BYTES = 4000;
const chunks = (word: string, count: number) =>
  Array.from({ length: count }, (_, index) => content(`${word} ${index}`, 300));

/**
 * A collector that died while it was sent something: what no record names is dead, in packs of its
 * own and beside what an agent has receipts for. Rewriting removes it, between uploads.
 */
export const collectorRewrite: CrashScenario = {
  name: 'collector-rewrite',
  about:
    'every file and LevelDB call of a collector that removes dead packs, and copies what lives out of those that are partly dead, fails, is cut short or is the last; every receipt is honoured afterwards, an item in two packs is no fault, and the next run ends the work',
  proves: ['P1', 'P6'],
  begin: async (root) => {
    const world = new StoreWorld('rewrite', { blind: true });
    const [dir, alive] = [join(root, 'collector'), join(root, 'alive')];
    const agent = new WorldAgent(world, 'hplc-1');
    const store = await initCollector(
      alive,
      { name: 'freezer' },
      world.ports({ packBytes: PACK_BYTES }),
    );
    const vault = await store.addVault({
      descriptor: world.kit.descriptor,
      certificate: world.certificateFor(store.identity),
      catalogSecretKey: undefined,
    });
    await vault.events.append({
      type: 'agentExpected',
      timeMs: world.clock.now,
      enrolment: agent.enrolment,
    });
    await agent.enrolAt(vault);
    const small = agent.small({ '/s/a': content('s', 80), '/s/b': content('t', 500) });
    await agent.back(vault, [agent.file('/d/a', chunks('a', 5)), ...small]);
    await vault.flush();
    await vault.intake.putChunks(agent.lineageId, agent.file('/dead', chunks('dead', 18)).items);
    cpSync(alive, dir, { recursive: true });
    await store.close();
    rmSync(alive, { recursive: true });
    const life = new CollectorLife(dir, world, { made: true, packBytes: PACK_BYTES });
    life.back(agent, 'goes on', () => [agent.file('/d/b', [...chunks('b', 2), content('dead 3')])]);
    life.step('rewrite', async (now) => {
      await now.data.rewrite({ all: true });
    });
    life.back(agent, 'sends what went', () => [agent.file('/d/c', chunks('dead', 4))]);
    return life.step('again', async (now) => {
      const { isDone, kept } = await now.data.rewrite({ all: true });
      expectThat(isDone && kept.length === 0, 'I-C25: rewriting has not come to its end');
      const { deadBytes } = await now.data.space();
      expectThat(deadBytes === 0, `I-C25: ${deadBytes} dead bytes are left`);
    });
  },
};
