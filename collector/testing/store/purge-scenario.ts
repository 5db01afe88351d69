import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type FileId, ID_BYTES } from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { CrashScenario } from '@aliquot/shared/testing/enumerate';
import { PURGE_DELAY_MS } from '../../src/retention/brakes.ts';
import { initCollector, openCollector } from '../../src/store/collector.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import {
  concernedBy,
  operatorCalled,
  purgeApproval,
  purgeOrder,
  sealedAnew,
} from '../retention/purges.ts';
import { CollectorLife, expectThat } from './collector-life.ts';
import { StoreWorld, WorldAgent } from './world.ts';

/** A commit or two each. */
const sizes = { historyFileBytes: 5000 };

/** The files of which any commit that is served has a row. */
async function served(vault: VaultStore, agent: WorldAgent): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const { commit } of vault.reading.everyVersion(agent.lineageId))
    for (const { rows } of readCommit(commit).rows.blocks)
      for (let at = 0; at < rows.ids.length; at += ID_BYTES)
        ids.add(hex(rows.ids.subarray(at, at + ID_BYTES)));
  return ids;
}

/** Orders a purge, and a day later has it approved; both again where a fault came between. */
function purging(world: StoreWorld, agent: WorldAgent, files: readonly FileId[]) {
  const [maria, ines] = [operatorCalled(world, 'maria'), operatorCalled(world, 'ines')];
  let order: ReturnType<typeof purgeOrder> | undefined;
  return {
    order: async (vault: VaultStore): Promise<void> => {
      const head = vault.log.treeHead();
      order ??= purgeOrder(world, maria, { lineageId: agent.lineageId, files, head });
      await vault.purges.order(order);
    },
    approve: async (vault: VaultStore): Promise<void> => {
      world.clock.now += PURGE_DELAY_MS;
      if (order === undefined) throw new Error('nothing was ordered');
      const { purgeId } = order;
      const forms = sealedAnew(world, purgeId, await concernedBy(vault, purgeId));
      await vault.purges.approve(purgeApproval(world, ines, purgeId, forms), forms);
    },
  };
}

/** A history that was put back to before a purge, and to before one of the commits it was about. */
export const collectorPurge: CrashScenario = {
  name: 'collector-purge',
  about:
    'every file and LevelDB call of a collector whose history was put back to before a purge, which does it again, takes a commit again of which some was purged, and purges more, fails, is cut short or is the last; no answer ever has what went, and everything else is there',
  proves: ['P1', 'P6'],
  begin: async (root) => {
    const world = new StoreWorld('purge', { blind: true });
    const [dir, old] = [join(root, 'collector'), join(root, 'old')];
    const agent = new WorldAgent(world, 'hplc-1');
    let store = await initCollector(dir, { name: 'freezer' }, world.ports(sizes));
    const vault = await store.addVault({
      descriptor: world.kit.descriptor,
      certificate: world.certificateFor(store.identity),
      catalogSecretKey: undefined,
    });
    const { enrolment } = agent;
    await vault.events.append({ type: 'agentExpected', timeMs: world.clock.now, enrolment });
    await agent.enrolAt(vault);
    const small = (...names: readonly string[]) =>
      agent.small(Object.fromEntries(names.map((name) => [name, Buffer.from(`of ${name}`)])));
    await agent.back(vault, small('/p/a', '/p/b', '/x'));
    await store.close();
    cpSync(dir, old, { recursive: true });
    store = await openCollector(dir, world.ports(sizes));
    const [now] = store.vaults();
    if (now === undefined) throw new Error('no vault');
    const files = small('/p/c', '/y');
    const { bytes } = await agent.back(now, files);
    const ids = (...names: readonly string[]) => names.map((name) => agent.fileId(name));
    const first = purging(world, agent, ids('/p/a', '/p/c'));
    await first.order(now);
    await first.approve(now);
    await store.close();

    const life = new CollectorLife(dir, world, { made: true, ...sizes });
    renameSync(join(life.vaultDir, 'purges'), join(root, 'purges'));
    rmSync(dir, { recursive: true });
    renameSync(old, dir);
    renameSync(join(root, 'purges'), join(life.vaultDir, 'purges'));
    const gone = async (of: VaultStore, ...names: readonly string[]): Promise<boolean> => {
      const there = await served(of, agent);
      return ids(...names).every((id) => !there.has(hex(id)));
    };
    life.event('is gone', () => undefined, { holds: (of) => gone(of, '/p/a', '/p/c') });
    life.step('comes again', async (of) => {
      world.clock.now += 1000;
      for (let round = 0; round < 6; round += 1) {
        const items = files.flatMap((file) => file.items);
        await of.intake.putChunks(agent.lineageId, items);
        const outcome = await of.intake.commit(agent.agentId, bytes, world.clock.now);
        if (outcome.type === 'missing') continue;
        expectThat(outcome.type === 'accepted', `I-C34: a commit is not taken: ${outcome.type}`);
        expectThat(await gone(of, '/p/a', '/p/c'), 'I-C34: it has come as it was');
        return;
      }
      throw new Error('six uploads were not enough');
    });
    const more = purging(world, agent, ids('/x'));
    life.step('more is ordered', more.order).step('and approved', more.approve);
    life.event('is gone, too', () => undefined, { holds: (of) => gone(of, '/p/a', '/p/c', '/x') });
    return life.step('the rest is there', async (of) => {
      const there = await served(of, agent);
      expectThat(
        there.size === 2 && ids('/p/b', '/y').every((id) => there.has(hex(id))),
        `P1: ${there.size} files are left of two`,
      );
    });
  },
};
