import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeReceiptBody, type LineageId, type StateRecord } from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { content, StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';

const ROOT = '/data/run.D';

async function begin() {
  const world = new StoreWorld('results', { blind: true });
  const dir = temporaryFolder();
  const store = await StoredVault.inFolder(dir, world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  return { world, dir, store, agent };
}

const membersOf = (agent: WorldAgent, ...names: readonly string[]) =>
  agent.membersOf(
    ROOT,
    names.map((name) => agent.directory(`${ROOT}/${name}`)),
  );

/** Of each result that is told: its members, and when it is from. */
async function told(records: AsyncIterable<StateRecord>) {
  const found: { members: number | undefined; progress: string | undefined; timeMs: number }[] = [];
  for await (const { commit, live, versionTimesMs } of records)
    for (const [at, slot] of live.entries()) {
      const row = readCommit(commit).rows.result(slot);
      const timeMs = versionTimesMs[at] ?? -1;
      found.push({ members: row?.members, progress: row?.progress, timeMs });
    }
  return found;
}

const idOf = (agent: WorldAgent) => resultIdFor(agent.pathKey, utf8(ROOT));

describe('I-C2 I-C16 a result', () => {
  test('has one newest version and a chain of those before, at every time, and no listing of files shows it', async () => {
    const { world, dir, store, agent } = await begin();
    const first = membersOf(agent, 'a', 'b');
    const open = agent.result(ROOT, first, { progress: 'open' });
    await agent.back(store, first, { results: [open] });
    const openMs = world.clock.now;
    world.clock.now += 60_000;
    const more = membersOf(agent, 'c');
    const all = [...first, ...more];
    await agent.back(store, more);
    world.clock.now += 60_000;
    await agent.back(store, [agent.directory('/else')], { results: [agent.result(ROOT, all)] });
    const { reading } = store;
    const closed = { members: 3, progress: 'closed', timeMs: world.clock.now };
    const before = { members: 2, progress: 'open', timeMs: openMs };
    expect(await told(reading.results(agent.lineageId, undefined))).toEqual([closed]);
    expect(await told(reading.results(agent.lineageId, openMs))).toEqual([before]);
    expect(await told(reading.results(agent.lineageId, closed.timeMs - 1))).toEqual([before]);
    expect(await told(reading.results(agent.lineageId, openMs - 1))).toEqual([]);
    expect(await told(reading.resultVersions(agent.lineageId, idOf(agent)))).toEqual([
      before,
      closed,
    ]);
    for (const state of [undefined, world.clock.now])
      for await (const record of reading.state(agent.lineageId, state))
        for (const slot of record.live)
          expect(readCommit(record.commit).rows.result(slot)).toBeUndefined();
    let versions = 0;
    for await (const { live } of reading.everyVersion(agent.lineageId)) versions += live.length;
    expect(versions).toBe(4);
    expect(store.figures.stats().versions).toBe(4);
    await store.close();
    const live = await catalogRows(dir);
    rmSync(join(dir, 'catalog'), { recursive: true });
    const again = await StoredVault.inFolder(dir, world.identity, world.ports());
    await again.flush();
    expect(await told(again.reading.results(agent.lineageId, undefined))).toEqual([closed]);
    await again.close();
    expect(await catalogRows(dir)).toEqual(live);
  });

  test('is never older than the members that it follows', async () => {
    const { world, store, agent } = await begin();
    const late = membersOf(agent, 'a').map((draft) => ({
      ...draft,
      capturedAtMs: world.clock.now + 5000,
    }));
    world.clock.now += 10_000;
    const row = agent.result(ROOT, late, { capturedAtMs: world.clock.now - 9000 });
    await agent.back(store, late, { results: [row] });
    const [result] = await told(store.reading.results(agent.lineageId, undefined));
    expect(result?.timeMs).toBe(world.clock.now - 5000);
  });

  test('of a branch and of the trunk are one chain after they were joined', async () => {
    const { world, dir, store, agent } = await begin();
    const start = membersOf(agent, 'a');
    await agent.back(store, start, { results: [agent.result(ROOT, start)] });
    const copy = agent.copy();
    const back = async (who: WorldAgent, ...names: string[]) => {
      world.clock.now += 1000;
      const members = membersOf(who, ...names);
      await who.back(store, members, { results: [who.result(ROOT, members)] });
    };
    await back(agent, 'a', 'b');
    await back(copy, 'a', 'b', 'c');
    await back(agent, 'a', 'b', 'c', 'd');
    const branchId = store.register.branchIds(agent.agentId)[0] as LineageId;
    const counts = async (branch: LineageId) =>
      (await told(store.reading.resultVersions(branch, idOf(agent)))).map(({ members }) => members);
    expect(await counts(agent.lineageId)).toEqual([1, 2, 4]);
    expect(await counts(branchId)).toEqual([3]);
    await store.events.append({
      type: 'forkDecided',
      timeMs: world.clock.now,
      agentId: agent.agentId,
      branchId,
      decision: 'restored',
      name: '',
    });
    expect(await counts(agent.lineageId)).toEqual([1, 2, 3, 4]);
    expect(await counts(branchId)).toEqual([]);
    expect(await told(store.reading.results(agent.lineageId, undefined))).toMatchObject([
      { members: 4 },
    ]);
    await store.close();
    const live = await catalogRows(dir);
    rmSync(join(dir, 'catalog'), { recursive: true });
    const again = await StoredVault.inFolder(dir, world.identity, world.ports());
    await again.flush();
    await again.close();
    expect(await catalogRows(dir)).toEqual(live);
  });

  test('P6 that contradicts the members before it is refused, and the next commit is taken', async () => {
    const { world, store, agent } = await begin();
    const members = membersOf(agent, 'a', 'b');
    const file = agent.file(`${ROOT}/data.bin`, [content('data', 400)]);
    await store.intake.putChunks(agent.lineageId, file.items);
    const all = [...members, ...agent.membersOf(ROOT, [file.draft])];
    for (const change of [
      { members: 2 },
      { members: 0, size: 0 },
      { size: 399 },
      { size: 401 },
      { membersRoot: content('another root', 32) },
    ]) {
      const built = agent.build(all, { results: [agent.result(ROOT, all, change)] });
      expect(await store.intake.commit(agent.agentId, built.bytes, world.clock.now)).toEqual({
        type: 'refused',
        code: 'bad-commit',
        message: expect.stringMatching(/^a result /),
      });
    }
    const nothing = agent.result(ROOT, [], { members: 0, size: 7 });
    const empty = agent.build(all, { results: [nothing] });
    expect(await store.intake.commit(agent.agentId, empty.bytes, world.clock.now)).toMatchObject({
      type: 'refused',
    });
    const { receipt } = await agent.back(store, all, { results: [agent.result(ROOT, all)] });
    expect(decodeReceiptBody(receipt.body).leafIndex).toBeGreaterThan(0);
    expect(await told(store.reading.results(agent.lineageId, undefined))).toMatchObject([
      { members: 3, progress: 'closed' },
    ]);
  });

  test('is no version that is missed when a commit is counted', async () => {
    const { dir, store, agent } = await begin();
    const members = membersOf(agent, 'a', 'b');
    await agent.back(store, members, { results: [agent.result(ROOT, members)] });
    await store.close();
    const letters = new Set(
      (await catalogRows(dir)).map((row) => Buffer.from(row.slice(0, 2), 'hex').toString()),
    );
    expect(letters).toContain('R');
    // Commits that came without some of their versions.
    expect(letters).not.toContain('w');
  });
});
