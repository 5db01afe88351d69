import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CrashScenario } from '@aliquot/shared/testing/enumerate';
import { initCollector } from '../../src/store/collector.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { CollectorLife, expectThat } from './collector-life.ts';
import { content, StoreWorld, WorldAgent } from './world.ts';

const PACK_BYTES = 4000;
const chunks = (word: string, count: number) =>
  Array.from({ length: count }, (_, index) => content(`${word} ${index}`, 90));

/**
 * A collection from its beginning to its end: versions are dropped, an epoch is announced and
 * answered, what nobody reaches is swept and removed, while agents go on.
 */
export const collectorKeep: CrashScenario = {
  name: 'collector-keep',
  about:
    'every file and LevelDB call of a collector that drops a version, announces an epoch, sweeps what nothing reaches any more and removes it fails, is cut short or is the last; what is kept is all there afterwards, the catalog is what the history says, and the next run ends the work',
  proves: ['P1', 'P6'],
  begin: async (root) => {
    const world = new StoreWorld('keep', { blind: true });
    const [dir, alive] = [join(root, 'collector'), join(root, 'alive')];
    const [agent, other] = [new WorldAgent(world, 'hplc-1'), new WorldAgent(world, 'ms-2')];
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
    for (const { enrolment } of [agent, other])
      await vault.events.append({ type: 'agentExpected', timeMs: world.clock.now, enrolment });
    for (const one of [agent, other]) await one.enrolAt(vault);
    await store.close();
    cpSync(alive, dir, { recursive: true });
    rmSync(alive, { recursive: true });
    const life = new CollectorLife(dir, world, { made: true, packBytes: PACK_BYTES });
    life.back(agent, 'first', () => [agent.file('/d/a', chunks('a', 40))]);
    life.back(other, 'shares some', () => [other.file('/d/x', chunks('a', 3))]);
    life.back(agent, 'second', () => [agent.file('/d/a', [...chunks('b', 3), content('a 5', 90)])]);
    life.letGo(agent, 'first');
    life.step('announce', async (now) => {
      const { announced, swept } = now.sweep.progress(agent.lineageId);
      if (announced === swept) await now.sweep.announceGcEpoch(agent.lineageId, world.clock.now);
    });
    life.back(agent, 'relies on it again', () => [agent.file('/d/b', chunks('a', 8))]);
    const collect = async (now: VaultStore): Promise<void> => {
      now.sweep.gcLearned(agent.agentId, agent.chainId, now.sweep.gcEpoch(agent.lineageId));
      const outcome = await now.sweep.sweep(agent.lineageId);
      const isDone = outcome.type === 'swept' || outcome.type === 'nothing-announced';
      expectThat(isDone, `I-C22: the sweep ended with ${outcome.type}`);
      await now.data.rewrite({ all: true });
    };
    life.step('collect', collect);
    life.back(agent, 'sends what went', () => [agent.file('/d/c', chunks('a', 30))]);
    return life.step('again', async (now) => {
      const { announced, swept } = now.sweep.progress(agent.lineageId);
      expectThat(announced > 0 && announced === swept, 'I-C22: the sweep has not ended');
      const { isDone } = await now.data.rewrite({ all: true });
      const { deadBytes } = await now.data.space();
      expectThat(isDone && deadBytes === 0, `I-C25: ${deadBytes} dead bytes are left`);
      let versions = 0;
      for await (const { live } of now.reading.versions(agent.lineageId, agent.fileId('/d/a')))
        versions += live.length;
      expectThat(versions === 1, `I-C21: ${versions} versions are left of two`);
    });
  },
};
