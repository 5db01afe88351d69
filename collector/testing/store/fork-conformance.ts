import { asChainId, asCommitHash, type EventBody, type LineageId } from '@aliquot/proto';
import { expect, test } from 'vitest';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { all, type Begin, codeOf, type VaultPlace } from './conformance-place.ts';
import { content, type StoreWorld, type WorldAgent } from './world.ts';

/** Which of these paths a history has live, and how many versions of each. */
async function picture(
  store: VaultStore,
  agent: WorldAgent,
  branchId: LineageId,
  paths: readonly string[],
) {
  const counts: Record<string, number> = {};
  for (const path of paths) {
    const records = await all(store.reading.versions(branchId, agent.fileId(path)));
    counts[path] = records.reduce((sum, record) => sum + record.live.length, 0);
  }
  const live = (await all(store.reading.state(branchId, undefined))).reduce(
    (sum, record) => sum + record.live.length,
    0,
  );
  return { ...counts, live };
}

function decided(world: StoreWorld, agent: WorldAgent, branchId: LineageId, name = ''): EventBody {
  const decision = name === '' ? 'restored' : 'clone';
  return {
    type: 'forkDecided',
    timeMs: world.clock.now,
    agentId: agent.agentId,
    branchId,
    decision,
    name,
  };
}

/**
 * What every vault store must do with two histories under one identity (I-C12), and with epochs of
 * the sweep (I-C11).
 */
export function forkConformance(begin: Begin): void {
  /** An agent with one commit, and a copy of it that has gone on to a second. */
  const forked = async (place: VaultPlace) => {
    const { world, store } = place;
    const agent = await world.agent(store, 'hplc-1');
    await agent.back(store, [agent.file('/d/a', [content('a')])]);
    const copy = agent.copy();
    world.clock.now += 1000;
    await agent.back(store, [agent.file('/d/trunk', [content('trunk')])]);
    world.clock.now += 1000;
    return { agent, copy };
  };
  const only = (store: VaultStore, agent: WorldAgent) => {
    const [history, ...more] = store.register.agentById(agent.agentId)?.histories ?? [];
    if (history === undefined || more.length > 0) throw new Error(`${more.length} more histories`);
    return history;
  };
  const paths = ['/d/a', '/d/trunk', '/d/copy', '/d/later'];

  test('P5 P6 I-C12 a copied folder is accepted, held apart from the first commit on, and shown with the command to run', async () => {
    const place = await begin();
    const { agent, copy } = await forked(place);
    const { store, world } = place;
    const size = store.log.treeHead().size;
    const before = await picture(store, agent, agent.lineageId, paths);
    const opened = await copy.back(store, [copy.file('/d/copy', [content('copy')])]);
    // The event, then the commit; and the very commit again gets the very receipt.
    expect(store.log.treeHead().size).toBe(size + 2);
    expect(
      await store.intake.commit(copy.agentId, opened.bytes, world.clock.now + 5),
    ).toMatchObject({
      receipt: opened.receipt,
      repeated: true,
    });
    copy.fork();
    await copy.back(store, [copy.file('/d/later', [content('later')])]);
    await agent.back(store, [agent.file('/d/trunk', [content('trunk 2')])]);
    const history = only(store, agent);
    expect(history).toMatchObject({
      state: 'held',
      files: 2,
      bytes: 600,
      head: copy.head,
      name: expect.stringMatching(/^hplc-1~[0-9a-f]{8}$/),
    });
    expect(await picture(store, agent, agent.lineageId, paths)).toEqual({
      ...before,
      '/d/trunk': 2,
    });
    expect(await picture(store, agent, history.branchId, paths)).toEqual({
      '/d/a': 0,
      '/d/trunk': 0,
      '/d/copy': 1,
      '/d/later': 1,
      live: 2,
    });
    expect(store.register.agentById(agent.agentId)).toMatchObject({
      files: 2,
      chainHead: agent.head,
    });
    const [problem] = store.register.agentById(agent.agentId)?.problems ?? [];
    expect(problem).toMatchObject({
      code: 'chain-forked',
      message: expect.stringContaining(`aliquot fork decide ${history.name}`),
    });
    expect(store.intake.branchOf(agent.agentId, copy.chainId)).toMatchObject({
      branchId: history.branchId,
    });
    expect(store.intake.branchOf(agent.agentId, agent.chainId)).toBeUndefined();
    // Announced chains hear of their own newest commit; the old id, which both used, of the
    // trunk's.
    expect(await store.intake.chainHead(agent.agentId, agent.chainId)).toEqual(agent.head);
    expect(await store.intake.chainHead(agent.agentId, copy.chainId)).toEqual(copy.head);
  });

  test('I-C12 every way to come second opens a history; what follows nothing known is asked for again', async () => {
    const place = await begin();
    const { agent, copy } = await forked(place);
    const { store, world } = place;
    const commit = async (built: { bytes: Uint8Array }) =>
      store.intake.commit(agent.agentId, built.bytes, world.clock.now);
    const count = () => store.register.agentById(agent.agentId)?.histories.length;
    const root = { sequence: 1, predecessor: asCommitHash(new Uint8Array(32)) };
    const chain = (word: string) => asChainId(content(word, 16));
    expect(
      await commit(copy.build([copy.directory('/1')], { ...root, chainId: chain('fresh') })),
    ).toMatchObject({ type: 'accepted' });
    expect(count()).toBe(1);
    // It names the head that it was told, without a commit of its own.
    expect(
      await commit(
        copy.build([copy.directory('/2')], {
          ...root,
          chainId: chain('named'),
          forkedFrom: agent.head,
        }),
      ),
    ).toMatchObject({
      type: 'accepted',
    });
    expect(count()).toBe(2);
    // It says that it forked from the trunk's very head: nothing that claims to be another history
    // goes on with the trunk.
    const leaves = {
      chainId: chain('leaves'),
      sequence: agent.sequence + 1,
      predecessor: agent.headHash,
      forkedFrom: agent.head,
    };
    expect(await commit(copy.build([copy.directory('/3')], leaves))).toMatchObject({
      type: 'accepted',
    });
    expect(count()).toBe(3);
    const lost = { chainId: chain('gone'), sequence: 9, hash: asCommitHash(content('lost', 32)) };
    const unknown = { chainId: chain('lost'), sequence: 10, predecessor: lost.hash };
    expect(await commit(copy.build([copy.directory('/4')], unknown))).toMatchObject({
      type: 'refused',
      code: 'bad-predecessor',
    });
    expect(
      await commit(copy.build([copy.directory('/4')], { ...unknown, forkedFrom: lost })),
    ).toMatchObject({ type: 'accepted' });
    expect(count()).toBe(4);
    expect((await agent.back(store, [agent.directory('/goes on')])).type).toBe('accepted');
    expect(count()).toBe(4);
  });

  test('I-C12 P6 an agent cannot fill the vault with histories that nobody has decided about', async () => {
    const place = await begin();
    const { agent, copy } = await forked(place);
    const { store, world } = place;
    const open = (word: string) => {
      const built = copy.build([copy.directory(`/${word}`)]);
      return store.intake.commit(agent.agentId, built.bytes, world.clock.now);
    };
    for (let turn = 0; turn < 16; turn += 1)
      expect(await open(`${turn}`)).toMatchObject({ type: 'accepted' });
    const size = store.log.treeHead().size;
    expect(await open('one more')).toMatchObject({
      type: 'refused',
      code: 'chain-forked',
      message: expect.stringContaining('fork list'),
    });
    expect(store.log.treeHead().size).toBe(size);
    const [first] = store.register.agentById(agent.agentId)?.histories ?? [];
    if (first === undefined) throw new Error('no history');
    await store.events.append(decided(world, agent, first.branchId, 'clone-1'));
    expect(await open('one more')).toMatchObject({ type: 'accepted' });
  });

  test('I-C12 restored: the history becomes part of the trunk at its own times, and its line the trunk', async () => {
    const place = await begin();
    const { agent, copy } = await forked(place);
    const { store, world, places } = place;
    const t0 = world.clock.now;
    await copy.back(store, [
      copy.file('/d/copy', [content('copy')]),
      copy.file('/d/a', [content('a of the copy')]),
    ]);
    copy.fork();
    world.clock.now += 1000;
    await copy.back(store, [
      copy.gone('/d/copy'),
      copy.file('/d/later', [content('later'), content('more')]),
    ]);
    const history = only(store, agent);
    const figures = { commits: 4, versions: 6, files: 5 };
    expect(store.figures.stats()).toMatchObject({
      ...figures,
      files: 4,
      liveBytes: 300 + 300 + 300 + 600,
    });
    const event = decided(world, agent, history.branchId);
    const { leafIndex } = await store.events.append(event);
    expect(await store.events.append(event)).toEqual({ leafIndex });
    expect(
      await codeOf(store.events.append(decided(world, agent, history.branchId, 'other'))),
    ).toBe('STORE_DECIDED');
    const merged = { '/d/a': 2, '/d/trunk': 1, '/d/copy': 2, '/d/later': 1, live: 3 };
    expect(await picture(store, agent, agent.lineageId, paths)).toEqual(merged);
    expect(
      (await all(store.reading.state(agent.lineageId, t0))).flatMap(({ live }) => live),
    ).toHaveLength(3);
    expect(await all(store.reading.state(history.branchId, undefined))).toEqual([]);
    expect(store.register.agentById(agent.agentId)).toMatchObject({
      files: 3,
      bytes: 1200,
      histories: [],
      problems: [],
      chainHead: copy.head,
    });
    expect(store.figures.stats()).toMatchObject({ ...figures, files: 3, liveBytes: 1200 });
    // The PC that was put back goes on as the agent; whoever still has the old head is the second
    // one now.
    await copy.back(store, [copy.file('/d/a', [content('newest')])]);
    expect(store.register.agentById(agent.agentId)?.histories).toEqual([]);
    await agent.back(store, [agent.directory('/old line')]);
    expect(only(store, agent)).toMatchObject({ state: 'held', head: agent.head });
    await places.close(store);
    const again = await places.open(world);
    expect(await picture(again, agent, agent.lineageId, paths)).toEqual({ ...merged, '/d/a': 3 });
    expect(again.register.agentById(agent.agentId)).toMatchObject({
      files: 3,
      bytes: 1200,
      chainHead: copy.head,
    });
    expect(await again.intake.chainHead(agent.agentId, copy.chainId)).toEqual(copy.head);
    expect(await again.intake.chainHead(agent.agentId, agent.chainId)).toEqual(agent.head);
  });

  test('I-C12 clone: the history stays apart for good under its own name, goes on, and is a milder problem', async () => {
    const place = await begin();
    const { agent, copy } = await forked(place);
    const { store, world, places } = place;
    await world.agent(store, 'hplc-2');
    await copy.back(store, [copy.file('/d/copy', [content('copy')])]);
    const { branchId } = only(store, agent);
    const revoked = await world.agent(store, 'was-here');
    await store.events.append({
      type: 'agentRevoked',
      timeMs: world.clock.now,
      agentId: revoked.agentId,
      reason: 'scrapped',
    });
    for (const name of ['hplc-2', 'hplc-1', 'was-here'])
      expect(await codeOf(store.events.append(decided(world, agent, branchId, name)))).toBe(
        'STORE_NAME_TAKEN',
      );
    expect(
      await codeOf(store.events.append(decided(world, agent, agent.lineageId, 'hplc-9'))),
    ).toBe('STORE_UNKNOWN_HISTORY');
    await store.events.append(decided(world, agent, branchId, 'hplc-9'));
    expect(await codeOf(store.events.append(decided(world, agent, branchId)))).toBe(
      'STORE_DECIDED',
    );
    expect(await codeOf(world.agent(store, 'hplc-9'))).toBe('STORE_NAME_TAKEN');
    copy.fork();
    await copy.back(store, [copy.file('/d/later', [content('later')])]);
    await places.close(store);
    const again = await places.open(world);
    expect(only(again, agent)).toMatchObject({
      state: 'clone',
      name: 'hplc-9',
      files: 2,
      head: copy.head,
    });
    expect(again.register.agentById(agent.agentId)?.problems).toMatchObject([
      { code: 'chain-clone', message: expect.stringContaining('hplc-9') },
    ]);
    expect(again.register.agentById(agent.agentId)).toMatchObject({
      files: 2,
      chainHead: agent.head,
    });
    // Once it is known, it is a problem again only when that PC goes on under the old identity.
    await again.events.append({
      type: 'problemsAcknowledged',
      timeMs: world.clock.now,
      agentId: agent.agentId,
    });
    expect(again.register.agentById(agent.agentId)?.problems).toEqual([]);
    await copy.back(again, [copy.directory('/goes on')]);
    expect(again.register.agentById(agent.agentId)?.problems).toMatchObject([
      { code: 'chain-clone' },
    ]);
  });

  test('I-C12 P2 what a held history inherits from the trunk is what it has no version of', async () => {
    const place = await begin();
    const { agent, copy } = await forked(place);
    const { store } = place;
    await copy.back(store, [copy.gone('/d/a'), copy.file('/d/copy', [content('copy')])]);
    const { branchId } = only(store, agent);
    const rest = await all(store.reading.stateWithout(agent.lineageId, branchId, undefined));
    const trunk = await all(store.reading.versions(agent.lineageId, agent.fileId('/d/trunk')));
    expect(rest.map(({ live, versionTimesMs }) => ({ live, versionTimesMs }))).toEqual(
      trunk.map(({ live, versionTimesMs }) => ({ live, versionTimesMs })),
    );
  });

  test('I-C12 P5 a version of a held history cannot be dated before the commit that it follows', async () => {
    const place = await begin();
    const { agent, copy } = await forked(place);
    const { store, world } = place;
    const firstReceipt = world.clock.now - 2000;
    await copy.back(store, [copy.file('/d/copy', [content('copy')], { capturedAtMs: 1000 })]);
    const [record] = await all(store.reading.state(only(store, agent).branchId, undefined));
    expect(record?.versionTimesMs).toEqual([firstReceipt + 1]);
  });

  test('I-C11 nothing is swept before every line has answered the epoch; answers do not outlive a reopened log', async () => {
    const place = await begin();
    const { agent, copy } = await forked(place);
    const { store, world, places } = place;
    const revoked = await world.agent(store, 'gone');
    await revoked.back(store, [revoked.directory('/d')]);
    const quiet = await world.agent(store, 'never-committed');
    await copy.back(store, [copy.file('/d/copy', [content('copy')])]);
    const heard: number[] = [];
    const { lineageId } = agent;
    store.sweep.onGcEpoch(lineageId, (epoch) => heard.push(epoch));
    expect(store.sweep.gcEpoch(lineageId)).toBe(0);
    // Another lineage's epochs are its own.
    await store.sweep.announceGcEpoch(revoked.lineageId, world.clock.now + 9000);
    const first = await store.sweep.announceGcEpoch(lineageId, world.clock.now);
    const second = await store.sweep.announceGcEpoch(lineageId, world.clock.now - 5000);
    expect([heard, store.sweep.gcEpoch(lineageId)]).toEqual([[first, second], second]);
    expect(second).toBeGreaterThan(first);
    const waits = (from = store, epoch = second) =>
      from.sweep.sweepWaitsFor(lineageId, epoch).map(({ history }) => history);
    const held = only(store, agent).name;
    expect(waits()).toEqual(['hplc-1', held]);
    const ofOther = () => {
      const epoch = store.sweep.gcEpoch(revoked.lineageId);
      return store.sweep.sweepWaitsFor(revoked.lineageId, epoch).map(({ history }) => history);
    };
    expect(ofOther()).toEqual(['gone']);
    await store.events.append({
      type: 'agentRevoked',
      timeMs: world.clock.now,
      agentId: revoked.agentId,
      reason: 'lost',
    });
    expect(ofOther()).toEqual([]);
    // The copy still has the old chain id for its line: an answer under it is the trunk's, and the
    // copy's line waits.
    store.sweep.gcLearned(agent.agentId, agent.chainId, first);
    expect(waits()).toEqual(['hplc-1', held]);
    expect(waits(store, first)).toEqual([held]);
    copy.fork();
    await copy.back(store, [copy.file('/d/later', [content('later')])]);
    expect(waits(store, first)).toEqual([held]);
    store.sweep.gcLearned(agent.agentId, agent.chainId, second + 1); // never announced
    expect(waits()).toEqual(['hplc-1', held]);
    const answered = (at: VaultStore): void => {
      at.sweep.gcLearned(agent.agentId, agent.chainId, second);
      at.sweep.gcLearned(agent.agentId, copy.chainId, second);
    };
    answered(store);
    expect(waits()).toEqual([]);
    await places.close(store);
    const again = await places.open(world);
    // The folder may have been put back meanwhile: so what was answered before is asked again.
    expect([again.sweep.gcEpoch(lineageId), waits(again)]).toEqual([second, ['hplc-1', held]]);
    answered(again);
    expect(waits(again)).toEqual([]);
    const lost = { logEpoch: 1, size: 90, root: content('lost root', 32) };
    await again.events.append(world.opening(2, again.log.treeHead(), [lost]));
    // One that has no commit may have had some that went with the tail; one that is known only
    // since had none.
    const since = await world.agent(again, 'known-since');
    expect(waits(again)).toEqual(['hplc-1', held]);
    const ofQuiet = [quiet, since].map(({ lineageId: of }) =>
      again.sweep.sweepWaitsFor(of, second),
    );
    expect(ofQuiet).toMatchObject([[{ agent: 'never-committed' }], []]);
  });
}
