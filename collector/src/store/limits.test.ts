import { asChainId } from '@aliquot/proto';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test } from 'vitest';
import { content, StoreWorld } from '../../testing/store/world.ts';
import { storeLimits } from '../limits.ts';
import { StoredVault } from './stored-vault.ts';

async function limited(chains: number, mergedVersions: number) {
  const world = new StoreWorld();
  const dir = temporaryFolder();
  const store = await StoredVault.inFolder(
    dir,
    world.identity,
    world.ports({ limits: { ...storeLimits, chains, mergedVersions } }),
  );
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  await agent.back(store, [agent.directory('/d')]);
  const copy = agent.copy();
  await agent.back(store, [agent.directory('/trunk')]);
  return { world, store, agent, copy };
}

test('P6 I-C12 whoever holds an agent key cannot make the collector remember chains without end', async () => {
  const { world, store, agent, copy } = await limited(3, 10);
  for (let turn = 0; turn < 2; turn += 1) {
    copy.fork();
    await copy.back(store, [copy.directory(`/${turn}`)]);
  }
  const size = store.log.treeHead().size;
  const { chainId, forkedFrom } = copy;
  copy.fork();
  const more = copy.build([copy.directory('/more')]);
  expect(await store.intake.commit(agent.agentId, more.bytes, world.clock.now)).toMatchObject({
    type: 'refused',
    code: 'chain-forked',
    message: expect.stringContaining('--replaces'),
  });
  expect(store.log.treeHead().size).toBe(size);
  // The chains that are known go on.
  Object.assign(copy, { chainId, forkedFrom });
  await copy.back(store, [copy.directory('/goes on')]);
  await agent.back(store, [agent.directory('/goes on too')]);
});

test('I-C11 an answer under a chain that is no line leaves nothing behind', async () => {
  const { world, store, agent } = await limited(3, 10);
  const epoch = await store.sweep.announceGcEpoch(agent.lineageId, world.clock.now);
  const invented = asChainId(content('invented', 16));
  store.sweep.gcLearned(agent.agentId, invented, epoch);
  const last = agent.head;
  agent.chainId = invented;
  agent.forkedFrom = last;
  await agent.back(store, [agent.directory('/under it')]);
  // Had the answer been kept, this line would have answered already.
  expect(
    store.sweep.sweepWaitsFor(agent.lineageId, epoch).map(({ history }) => history),
  ).toHaveLength(2);
});

test('I-C2 a history of too many versions is not merged: nothing is appended that every start would fail at', async () => {
  const { world, store, agent, copy } = await limited(9, 2);
  const decide = () => {
    const branchId = store.register.agentById(agent.agentId)?.histories[0]?.branchId;
    if (branchId === undefined) throw new Error('nothing is held');
    const event = {
      type: 'forkDecided',
      timeMs: world.clock.now,
      agentId: agent.agentId,
      branchId,
      decision: 'restored',
      name: '',
    } as const;
    return store.events.append(event);
  };
  await copy.back(
    store,
    ['/1', '/2', '/3'].map((path) => copy.directory(path)),
  );
  const size = store.log.treeHead().size;
  await expect(decide()).rejects.toMatchObject({
    code: 'STORE_BAD_EVENT',
    message: expect.stringContaining('--replaces'),
  });
  expect(store.log.treeHead().size).toBe(size);
});

test('I-C12 a history of as many versions as may be is merged', async () => {
  const { world, store, agent, copy } = await limited(9, 2);
  await copy.back(store, [copy.directory('/1'), copy.directory('/2')]);
  const branchId = store.register.agentById(agent.agentId)?.histories[0]?.branchId;
  if (branchId === undefined) throw new Error('nothing is held');
  await store.events.append({
    type: 'forkDecided',
    timeMs: world.clock.now,
    agentId: agent.agentId,
    branchId,
    decision: 'restored',
    name: '',
  });
  expect(store.register.agentById(agent.agentId)?.histories).toEqual([]);
});
