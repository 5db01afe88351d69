import { asFileId, decodeCollectorAddressesBody } from '@aliquot/proto';
import { issueAddresses } from '@aliquot/shared/keys/certificates';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test } from 'vitest';
import { content, StoreWorld, WorldAgent } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';
import type { VaultStore } from './vault-store.ts';

/* What follows another: addresses after addresses, an agent after the one that it replaces. */

async function opened(world = new StoreWorld()) {
  const dir = temporaryFolder();
  let store = await StoredVault.inFolder(dir, world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  return {
    world,
    store: () => store,
    again: async () => {
      await store.close();
      store = await StoredVault.inFolder(dir, world.identity, world.ports());
      return store;
    },
  };
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: { code?: string }) => error.code,
  );

const addressesOf = (
  world: StoreWorld,
  revision: number,
  authority = world.authority,
  vaultId = world.descriptor.vaultId,
) =>
  issueAddresses(authority, {
    version: 1,
    vaultId,
    revision,
    addresses: [{ url: `https://c${revision}.lab`, tlsCa: '', tlsPins: [] }],
  });

const liveFiles = async (store: VaultStore, agent: WorldAgent, atMs?: number): Promise<number> => {
  let files = 0;
  for await (const { live } of store.reading.state(agent.lineageId, atMs)) files += live.length;
  return files;
};

test('P5: addresses are recorded only as the authority signed them for this vault, and only newer ones; a catalog made anew knows them', async () => {
  const { world, store, again } = await opened();
  const set = (addresses: ReturnType<typeof addressesOf>) =>
    codeOf(store().events.append({ type: 'addressesSet', timeMs: 1, addresses }));
  expect(store().register.addresses()).toBeUndefined();
  const foreign = new StoreWorld('elsewhere');
  const good = addressesOf(world, 5);
  expect(await set(addressesOf(world, 9, foreign.authority))).toBe('STORE_BAD_EVENT');
  expect(await set(addressesOf(world, 9, world.authority, foreign.descriptor.vaultId))).toBe(
    'STORE_BAD_EVENT',
  );
  expect(await set({ ...good, body: good.body.with(good.body.length - 1, 0x7a) })).toBe(
    'STORE_BAD_EVENT',
  );
  expect(store().register.addresses()).toBeUndefined();
  expect(await set(good)).toBe('accepted');
  const size = store().log.treeHead().size;
  for (const revision of [5, 4, 1])
    expect(await set(addressesOf(world, revision))).toBe('STORE_BAD_EVENT');
  expect(store().log.treeHead().size).toBe(size);
  expect(await set(addressesOf(world, 6))).toBe('accepted');
  const known = (await again()).register.addresses();
  expect(known && decodeCollectorAddressesBody(known.body).revision).toBe(6);
});

test('P1: a successor that took its folder over goes on from its predecessor’s newest commit, in one history', async () => {
  const { world, store, again } = await opened();
  const old = await world.agent(store(), 'pc');
  await old.back(store(), [old.file('/d/a', [content('a')])]);
  const fresh = await world.agent(store(), 'pc-b', { replaces: old });
  Object.assign(fresh, { sequence: old.sequence, headHash: old.headHash, forkedFrom: old.head });
  await fresh.back(store(), [fresh.file('/d/b', [content('b')])]);
  // What it found unchanged it has not sent again, so nobody may say that the rest is gone.
  const fileIds = [fresh.fileId('/d/a')];
  const gone = { type: 'filesGone' as const, timeMs: 1, agentId: fresh.agentId, fileIds };
  expect(await codeOf(store().events.append(gone))).toBe('STORE_BAD_EVENT');
  await fresh.back(store(), [fresh.gone('/d/a')]);
  expect(store().register.agentById(fresh.agentId)).toMatchObject({ files: 1, histories: [] });
  expect((await again()).register.agentById(fresh.agentId)).toMatchObject({
    files: 1,
    histories: [],
  });
});

test('P5: who claims to go on from a commit that its predecessor never made, or from that of an agent it does not replace, is held apart', async () => {
  const { world, store } = await opened();
  const [old, other] = [await world.agent(store(), 'pc'), await world.agent(store(), 'other')];
  await old.back(store(), [old.directory('/d')]);
  await other.back(store(), [other.directory('/o')]);
  for (const [name, from] of [
    ['pc-b', { ...old.head, hash: other.head.hash }],
    ['pc-c', other.head],
  ] as const) {
    const fresh = await world.agent(store(), name, { replaces: old });
    Object.assign(fresh, { sequence: from.sequence, headHash: from.hash, forkedFrom: from });
    await fresh.back(store(), [fresh.directory('/e')]);
    expect(store().register.agentById(fresh.agentId), name).toMatchObject({
      histories: [{ state: 'held' }],
    });
  }
});

test('I-C11: nothing is swept before a successor has committed, for it may have taken a queue over', async () => {
  const { world, store } = await opened();
  const old = await world.agent(store(), 'pc');
  await old.back(store(), [old.directory('/d')]);
  const fresh = await world.agent(store(), 'pc-b', { replaces: old });
  const epoch = await store().sweep.announceGcEpoch(old.lineageId, world.clock.now);
  expect(store().sweep.sweepWaitsFor(old.lineageId, epoch)).toMatchObject([{ agent: 'pc-b' }]);
  await fresh.back(store(), [fresh.directory('/e')]);
  store().sweep.gcLearned(fresh.agentId, fresh.chainId, epoch);
  expect(store().sweep.sweepWaitsFor(old.lineageId, epoch)).toEqual([]);
});

test('P6: an operator says of what a replaced agent had that it is gone, of nothing else, and never of what the successor has found', async () => {
  const { world, store, again } = await opened();
  const old = await world.agent(store(), 'pc');
  await old.back(store(), [
    old.file('/d/found', [content('1')]),
    old.file('/d/went', [content('22')]),
    old.directory('/d'),
  ]);
  const say = (agent: WorldAgent, ...paths: string[]) =>
    codeOf(
      store().events.append({
        type: 'filesGone',
        timeMs: world.clock.now,
        agentId: agent.agentId,
        fileIds: paths.map((path) => agent.fileId(path)),
      }),
    );
  expect(await say(old, '/d/went')).toBe('STORE_BAD_EVENT');
  const fresh = await world.agent(store(), 'pc-b', { replaces: old });
  expect(await say(fresh, '/d/went')).toBe('STORE_BAD_EVENT');
  world.clock.now += 1000;
  const before = world.clock.now;
  await fresh.back(store(), [fresh.file('/d/found', [content('1')])]);
  world.clock.now += 1000;
  expect(await say(fresh, '/d/went', '/d/found')).toBe('STORE_BAD_EVENT');
  expect(await say(fresh, '/d/never')).toBe('STORE_BAD_EVENT');
  const stranger = new WorldAgent(world, 'stranger');
  expect(await say(stranger, '/d/went')).toBe('STORE_UNKNOWN_AGENT');
  expect(await liveFiles(store(), fresh)).toBe(3);
  expect(await say(fresh, '/d/went')).toBe('accepted');
  expect(await say(fresh, '/d/went')).toBe('STORE_BAD_EVENT');
  for (const reopen of [false, true]) {
    const now = reopen ? await again() : store();
    expect(now.register.agentById(fresh.agentId)).toMatchObject({ files: 1 });
    expect(now.figures.stats()).toMatchObject({ files: 1 });
    expect(await liveFiles(now, fresh)).toBe(2);
    expect(await liveFiles(now, fresh, before)).toBe(3);
    let kept = 0;
    for await (const { live } of now.reading.versions(
      fresh.lineageId,
      asFileId(fresh.fileId('/d/went')),
    ))
      kept += live.length;
    expect(kept).toBe(1);
  }
  await fresh.back(store(), [fresh.file('/d/went', [content('22')])]);
  expect(store().register.agentById(fresh.agentId)).toMatchObject({ files: 2 });
  await store().events.append({
    type: 'agentRevoked',
    timeMs: 1,
    agentId: fresh.agentId,
    reason: 'over',
  });
  expect(await say(fresh, '/d')).toBe('STORE_BAD_EVENT');
});

test('a name stays with the lineage that bore it, also after revocation', async () => {
  const { world, store } = await opened();
  const old = await world.agent(store(), 'pc');
  await store().events.append({
    type: 'agentRevoked',
    timeMs: 1,
    agentId: old.agentId,
    reason: 'over',
  });
  const expected = (agent: WorldAgent) =>
    codeOf(store().events.append({ type: 'agentExpected', timeMs: 1, enrolment: agent.enrolment }));
  expect(await expected(new WorldAgent(world, 'pc'))).toBe('STORE_NAME_TAKEN');
  const fresh = await world.agent(store(), 'pc', { replaces: old });
  expect(store().register.agentByName('pc')?.agentId).toEqual(fresh.agentId);
  // A bundle that was never used bore nothing.
  const unused = await world.agent(store(), 'unused', { enrol: false });
  await store().events.append({
    type: 'agentRevoked',
    timeMs: 1,
    agentId: unused.agentId,
    reason: 'not used',
  });
  expect(await expected(new WorldAgent(world, 'unused'))).toBe('accepted');
});
