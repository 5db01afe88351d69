/** A life of one vault, and what it was promised. Nothing outside tests imports this file. */
import type { Signed } from '@aliquot/proto';
import { expect } from 'vitest';
import type { StoredVault } from '../../src/store/stored-vault.ts';
import type { VaultIntake } from '../../src/store/vault-store.ts';
import { type Ends, endsOnDisk } from './copies.ts';
import { content, type StoreWorld, type WorldAgent } from './world.ts';

/** What a receipt was given for. */
export interface Promised {
  readonly agent: WorldAgent;
  readonly commit: Uint8Array;
  readonly receipt: Signed;
  readonly ids: Parameters<VaultIntake['has']>[1];
  /** Where history and packs ended when the receipt was given. */
  readonly at: Ends;
}

/** A small life of a vault over several packs; `step` is called after each receipt. */
export async function life(
  store: StoredVault,
  world: StoreWorld,
  dir: string,
  step: (promised: Promised) => Promise<void> | void = () => undefined,
): Promise<Promised[]> {
  await store.events.append(world.vaultAdded());
  const agents = [await world.agent(store, 'hplc-1'), await world.agent(store, 'ms-2')];
  const promised: Promised[] = [];
  const back = async (
    agent: WorldAgent,
    files: Parameters<WorldAgent['back']>[1],
  ): Promise<void> => {
    world.clock.now += 1000;
    const done = await agent.back(store, files);
    const ids = files.flatMap((file) => ('items' in file ? file.items.map((item) => item.id) : []));
    const one = { agent, commit: done.bytes, receipt: done.receipt, ids, at: endsOnDisk(dir) };
    promised.push(one);
    await step(one);
  };
  for (let round = 0; round < 3; round += 1) {
    for (const agent of agents) {
      const chunks = Array.from({ length: round === 1 ? 36 : 2 }, (_, index) =>
        content(`${agent.name} ${round} ${index}`, 100),
      );
      await back(agent, [
        agent.file(`/d/${round}`, chunks),
        agent.file('/d/same', [content('same'), content(`grown ${round}`)]),
        agent.gone(`/d/${round - 1}`),
        ...agent.small({
          '/s/a': content(`small ${round}`, 50),
          '/s/b': content('same small', 70),
        }),
      ]);
    }
  }
  await twoOfOne(store, agents[0] ?? fail(), back);
  await store.sweep.announceGcEpoch((agents[0] ?? fail()).lineageId, world.clock.now);
  return promised;
}

/**
 * A PC that is put back to an older state beside its own newest one: held apart, merged; then the
 * other one is a clone (I-C12).
 */
async function twoOfOne(
  store: StoredVault,
  agent: WorldAgent,
  back: (agent: WorldAgent, files: Parameters<WorldAgent['back']>[1]) => Promise<void>,
) {
  const copy = agent.copy();
  await back(agent, [agent.file('/d/original', [content('original')])]);
  await back(copy, [
    copy.file('/d/copy', [content('copy')]),
    copy.file('/d/same', [content('same')]),
  ]);
  copy.fork();
  await back(copy, [copy.gone('/d/copy')]);
  const { agentId } = agent;
  const decide = async (decision: 'restored' | 'clone', name: string) => {
    const [history] = store.register.agentById(agentId)?.histories ?? [];
    if (history === undefined) throw new Error('nothing is held apart');
    await store.events.append({
      type: 'forkDecided',
      timeMs: 1,
      agentId,
      branchId: history.branchId,
      decision,
      name,
    });
  };
  await decide('restored', '');
  await back(copy, [copy.directory('/goes on')]);
  await back(agent, [agent.file('/d/0', [content('of the clone')])]);
  await decide('clone', 'hplc-9');
}

function fail(): never {
  throw new Error('no agent');
}

/** Whatever was promised is still so. */
export async function expectKept(
  store: StoredVault,
  world: StoreWorld,
  promised: readonly Promised[],
): Promise<void> {
  for (const { agent, commit, receipt, ids } of promised) {
    const outcome = await store.intake.commit(agent.agentId, commit, world.clock.now);
    expect(outcome).toMatchObject({ type: 'accepted', repeated: true, receipt });
    for await (const item of store.reading.readItems(ids)) expect(item.type).toBe('item');
    expect(await store.intake.has(agent.lineageId, ids)).not.toContain(false);
  }
}

/** Packs and files of the history that are soon full. */
export const smallFiles = { packBytes: 9000, historyFileBytes: 9000 };

/** Folders of their own do not disturb each other, and each waits for the disk most of its time. */
export async function severalAtOnce<Item>(
  items: readonly Item[],
  what: (item: Item) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < items.length; at += 6) await Promise.all(items.slice(at, at + 6).map(what));
}
