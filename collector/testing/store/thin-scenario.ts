import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CrashScenario } from '@aliquot/shared/testing/enumerate';
import { initCollector } from '../../src/store/collector.ts';
import { CollectorLife, expectThat } from './collector-life.ts';
import { content, StoreWorld, WorldAgent } from './world.ts';

/** Two or three commits each. */
const HISTORY_FILE_BYTES = 5000;

/**
 * Versions are dropped, and closed files of the history are written anew without them, while an
 * agent goes on.
 */
export const historyRewrite: CrashScenario = {
  name: 'history-rewrite',
  about:
    'every file and LevelDB call of a collector that writes closed files of its history anew, with less, fails, is cut short or is the last; one of two files is in force afterwards, the catalog is what it says, every receipt is honoured, and the next run ends the work',
  proves: ['P1', 'P6'],
  begin: async (root) => {
    const world = new StoreWorld('thin', { blind: true });
    const [dir, alive] = [join(root, 'collector'), join(root, 'alive')];
    const agent = new WorldAgent(world, 'hplc-1');
    const sizes = { historyFileBytes: HISTORY_FILE_BYTES };
    const store = await initCollector(alive, { name: 'freezer' }, world.ports(sizes));
    const vault = await store.addVault({
      descriptor: world.kit.descriptor,
      certificate: world.certificateFor(store.identity),
      catalogSecretKey: undefined,
    });
    const { enrolment } = agent;
    await vault.events.append({ type: 'agentExpected', timeMs: world.clock.now, enrolment });
    await agent.enrolAt(vault);
    await store.close();
    cpSync(alive, dir, { recursive: true });
    rmSync(alive, { recursive: true });
    const life = new CollectorLife(dir, world, { made: true, ...sizes });
    const names = ['one', 'two', 'three', 'four', 'five'];
    for (const name of names)
      life.back(agent, name, () => [agent.file('/d/a', [content(name), content('in all')])]);
    for (const name of ['one', 'two', 'four']) life.letGo(agent, name);
    life.step('rewrite', async (now) => {
      await now.data.rewrite({ all: true });
    });
    life.back(agent, 'goes on', () => [agent.file('/d/b', [content('b'), content('in all')])]);
    return life.step('again', async (now) => {
      const { history } = await now.data.rewrite({ all: true });
      expectThat(history.isDone && history.kept.length === 0, 'I-C29: rewriting has not ended');
      let versions = 0;
      for await (const { live } of now.reading.versions(agent.lineageId, agent.fileId('/d/a')))
        versions += live.length;
      expectThat(versions === 2, `I-C28: ${versions} versions are left of five`);
      const again = await now.data.rewrite({ all: true });
      expectThat(again.history.rewrittenFiles === 0, 'I-C29: nothing more goes');
    });
  },
};
