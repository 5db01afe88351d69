import { join } from 'node:path';
import type { CrashScenario } from '@aliquot/shared/testing/enumerate';
import type { RunRow } from '../../src/store/catalog/retention-runs.ts';
import { initCollector } from '../../src/store/collector.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { policySet, rulesOf, runApproval } from '../retention/signed.ts';
import { CollectorLife, expectThat } from './collector-life.ts';
import { StoreWorld, WorldAgent } from './world.ts';

const DAY_MS = 86_400_000;

/** Which versions of a file a run has expired, as it is told. */
async function expiredOf(vault: VaultStore, agent: WorldAgent, nowMs: number): Promise<number> {
  const subject = { branchId: agent.lineageId, id: agent.fileId('/a'), isResult: false };
  const judged = await vault.retention.explain(subject, nowMs);
  const versions = judged?.facts === undefined ? [] : judged.versions;
  return versions.filter(({ expiredBy }) => expiredBy !== undefined).length;
}

/**
 * Versions that go, a run that waits for a person, and one that is undone: each stands whole in the
 * history, or not at all.
 */
export const collectorExpire: CrashScenario = {
  name: 'collector-expire',
  about:
    'every file and LevelDB call of a collector whose runs of retention expire versions, wait, are approved and undone fails, is cut short or is the last; what a run expired is all of it or nothing, and stays as it was answered',
  proves: ['P1', 'P6'],
  begin: async (root) => {
    const world = new StoreWorld('expire', { blind: true });
    const dir = join(root, 'collector');
    const agent = new WorldAgent(world, 'hplc-1');
    const store = await initCollector(dir, { name: 'freezer' }, world.ports({ packBytes: 9000 }));
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
    await vault.events.append(policySet(world, 1, rulesOf('{keep: {within: 7d}}')));
    for (let day = 0; day < 4; day += 1) {
      await agent.back(vault, [agent.file('/a', [])]);
      world.clock.now += DAY_MS;
    }
    const many = Array.from({ length: 110 }, (_, at) => agent.file(`/many/${at}`, []));
    await agent.back(vault, many);
    await agent.back(vault, many);
    await store.close();
    world.clock.now += 8 * DAY_MS;

    const life = new CollectorLife(dir, world, { made: true });
    const lastRun = (now: VaultStore): RunRow | undefined => now.retention.runs().at(-1);
    life.step('a run that waits', async (now) => {
      const { type } = await now.retention.run(world.clock.now);
      expectThat(type === 'waits', `I-C19: ${type}, and it is too large`);
    });
    life.event('approve', (now) => runApproval(world, lastRun(now)), {
      holds: (now) => now.retention.runs()[0]?.approvedAtMs !== undefined,
    });
    life.back(agent, 'meanwhile', () => [agent.file('/a', [])]);
    life.step('the run', async (now) => {
      const { type } = await now.retention.run(world.clock.now);
      expectThat(type !== 'waits', 'I-C19: it waits, and was approved');
    });
    life.event('what it expired', () => undefined, {
      holds: async (now) => {
        const [, run] = now.retention.runs();
        if (run?.versions !== 113) return false;
        const expired = await expiredOf(now, agent, world.clock.now);
        return expired === (run.undone === undefined ? 3 : 0);
      },
    });
    life.event('undo', () => ({ type: 'retentionUndone', timeMs: world.clock.now, run: 2 }), {
      holds: (now) => now.retention.runs()[1]?.undone !== undefined,
    });
    return life.step('again', async (now) => {
      const { type } = await now.retention.run(world.clock.now);
      expectThat(type === 'nothing', `I-C19: ${type}, and all of it was undone`);
    });
  },
};
