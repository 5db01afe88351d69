import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChunkId, LineageId, StoredDropped } from '@aliquot/proto';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { content, StoreWorld, type WorldAgent, type WorldFile } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';

let world: StoreWorld;
let dir: string;
let store: StoredVault;
let agent: WorldAgent;

beforeEach(async () => {
  world = new StoreWorld('swept', { blind: true });
  dir = temporaryFolder();
  store = await open();
  await store.events.append(world.vaultAdded());
  agent = await world.agent(store, 'hplc-1');
});
afterEach(() => store.close());

const open = () => StoredVault.inFolder(dir, world.identity, world.ports());

/** A file with pages: more chunks than stand in a row. */
const paged = (path: string, word: string, by = agent): WorldFile =>
  by.file(
    path,
    Array.from({ length: 40 }, (_, at) => content(`${word} ${at}`, 80)),
  );
const idsOf = (file: WorldFile): ChunkId[] => file.items.map(({ id }) => id);

async function back(by: WorldAgent, ...files: Parameters<WorldAgent['back']>[1]) {
  world.clock.now += 1000;
  return by.back(store, files);
}

/** Drops the version at a slot of the commit at a leaf. */
function drop(leafIndex: number, slot = 0, branchId: LineageId = agent.lineageId): Promise<number> {
  const slots = new Uint8Array(1).fill(1 << slot);
  const letGo: StoredDropped = { run: 1, branchId, leaves: [{ leafIndex, slots }] };
  return store.sweep.drop(letGo);
}

/** Announces an epoch, and answers it for every line. */
async function announce(of = agent): Promise<number> {
  const epoch = await store.sweep.announceGcEpoch(of.lineageId, world.clock.now);
  store.sweep.gcLearned(of.agentId, of.chainId, epoch);
  return epoch;
}

async function sweep(of = agent) {
  await announce(of);
  return store.sweep.sweep(of.lineageId);
}

const has = (ids: readonly ChunkId[], of = agent) => store.intake.has(of.lineageId, ids);

/** Spoils an item where it lies. */
function flipIn(bytes: Uint8Array): void {
  for (const name of readdirSync(join(dir, 'packs'))) {
    const path = join(dir, 'packs', name);
    const pack = readFileSync(path);
    const at = pack.indexOf(bytes);
    if (at === -1) continue;
    for (let by = 0; by < 8; by += 1) pack[at + by] = (pack[at + by] ?? 0) ^ 0xff;
    writeFileSync(path, pack);
  }
}

async function expectSameAgain(): Promise<void> {
  await store.close();
  const live = await catalogRows(dir);
  rmSync(join(dir, 'catalog'), { recursive: true });
  store = await open();
  await store.close();
  expect(await catalogRows(dir)).toEqual(live);
  store = await open();
}

describe('I-C22 a sweep of a lineage’s set', () => {
  test('takes what no version reaches, pages and chunks, and the history alone gives the same catalog', async () => {
    const first = paged('/a', 'one');
    const second = paged('/a', 'two');
    const { leafIndex } = await back(agent, first);
    await back(agent, second);
    expect(await store.sweep.sweep(agent.lineageId)).toEqual({ type: 'nothing-announced' });
    expect(await drop(leafIndex)).toBe(1);
    expect(await store.sweep.sweep(agent.lineageId, { letGo: new Map() })).toMatchObject({
      type: 'swept',
      items: first.items.length,
      bytes: first.items.reduce((sum, { bytes }) => sum + bytes.length, 0),
    });
    expect(await has(idsOf(first))).not.toContain(false);
    expect(await sweep()).toMatchObject({ type: 'swept', items: first.items.length });
    expect(await has(idsOf(first))).not.toContain(true);
    expect(await has(idsOf(second))).not.toContain(false);
    expect(store.figures.stats().uniqueBytes).toBe(40 * 80);
    await expectSameAgain();
    expect((await store.data.rewrite({ all: true })).freedBytes).toBeGreaterThan(0);
    for await (const item of store.reading.readItems(idsOf(second))) expect(item.type).toBe('item');
    await expectSameAgain();
  });

  test('takes the pieces of a slab that nobody needs out of the sums', async () => {
    const files = agent.small({ '/d/a': content('a'), '/d/b': content('b', 70) });
    const first = await back(agent, ...files);
    const unique = store.figures.stats().uniqueBytes;
    expect(unique).toBeGreaterThan(70);
    const later = agent.small({ '/d/a': content('a2'), '/d/b': content('b2', 71) });
    await back(agent, ...later);
    expect(await drop(first.leafIndex)).toBe(1);
    expect(await drop(first.leafIndex, 1)).toBe(1);
    expect(await sweep()).toMatchObject({ type: 'swept', items: 1 });
    expect(store.figures.stats().uniqueBytes).toBe(unique + 1);
    await expectSameAgain();
    // What is sent and named again counts again.
    await back(agent, ...files);
    expect(store.figures.stats().uniqueBytes).toBe(2 * unique + 1);
    await expectSameAgain();
  });

  test('waits for every line, but not for a PC that is said to be lost; one that comes back is waited for', async () => {
    const { leafIndex } = await back(agent, agent.file('/a', [content('one')]));
    await back(agent, agent.file('/a', [content('two')]));
    const other = await world.agent(store, 'ms-2');
    await back(other, other.file('/a', [content('other')]));
    await drop(leafIndex);
    const epoch = await store.sweep.announceGcEpoch(agent.lineageId, world.clock.now);
    // The other lineage has heard nothing, and waits for nobody.
    expect(store.sweep.gcEpoch(other.lineageId)).toBe(0);
    const waits = { type: 'waits', waits: [{ agent: 'hplc-1' }] };
    expect(await store.sweep.sweep(agent.lineageId)).toMatchObject(waits);
    // Between announcement and sweep nothing is dropped.
    expect(await drop(leafIndex)).toBe(0);
    const { agentId } = agent;
    const lost = { type: 'agentLost', timeMs: 1, agentId, reason: 'cupboard' } as const;
    const said = await store.events.append(lost);
    expect(await store.events.append(lost)).toEqual(said);
    expect(store.register.agentById(agentId)?.problems).toMatchObject([{ code: 'queue-at-risk' }]);
    await back(agent, agent.file('/b', [content('back again')]));
    expect(store.register.agentById(agentId)?.problems).toEqual([]);
    expect(await store.sweep.sweep(agent.lineageId)).toMatchObject(waits);
    await store.events.append({ ...lost, reason: 'cupboard again' });
    await expectSameAgain();
    expect(await store.sweep.sweep(agent.lineageId)).toMatchObject({ type: 'swept', items: 1 });
    expect(store.sweep.progress(agent.lineageId)).toMatchObject({ announced: epoch, swept: epoch });
  });

  test('trap: what left the set is missing for it though another lineage keeps it, and dies with its last owner', async () => {
    const shared = paged('/shared', 'shared');
    const { leafIndex } = await back(agent, shared);
    await back(agent, agent.gone('/shared'));
    const other = await world.agent(store, 'ms-2');
    const theirs = paged('/shared', 'shared', other);
    const { leafIndex: otherLeaf } = await back(other, theirs);
    await back(other, other.gone('/shared'));
    await drop(leafIndex);
    // Nobody has it last.
    expect(await sweep()).toMatchObject({ items: shared.items.length, bytes: 0 });
    expect(await has(idsOf(shared))).not.toContain(true);
    expect(await has(idsOf(theirs), other)).not.toContain(false);
    await store.data.rewrite({ all: true });
    for await (const item of store.reading.readItems(idsOf(shared))) expect(item.type).toBe('item');
    // A commit that relies on it is told what is missing, and passes when that was sent again.
    const built = agent.build([shared.draft]);
    const commit = () => store.intake.commit(agent.agentId, built.bytes, world.clock.now);
    expect(await commit()).toMatchObject({ type: 'missing' });
    await expectSameAgain();
    await drop(otherLeaf, 0, other.lineageId);
    const bytes = shared.items.reduce((sum, item) => sum + item.bytes.length, 0);
    expect(await sweep(other)).toMatchObject({ items: shared.items.length, bytes });
    await store.data.rewrite({ all: true });
    for await (const item of store.reading.readItems(idsOf(shared)))
      expect(item.type).toBe('missing');
    await expectSameAgain();
    await store.intake.putChunks(agent.lineageId, shared.items);
    expect(await commit()).toMatchObject({ type: 'accepted' });
    for await (const item of store.reading.readItems(idsOf(shared))) expect(item.type).toBe('item');
    await expectSameAgain();
  });

  test('trap: a page that stays though nothing reaches it counts as walked no more', async () => {
    const file = paged('/a', 'one');
    const { leafIndex } = await back(agent, file);
    await back(agent, agent.gone('/a'));
    await drop(leafIndex);
    await announce();
    // A session has just sent the page again, and will send its commit.
    const pages = file.items.filter(({ kind }) => kind === 'page');
    const chunks = file.items.filter(({ kind }) => kind === 'chunk');
    expect(pages.length).toBeGreaterThan(0);
    await store.intake.putChunks(agent.lineageId, pages);
    expect(await store.sweep.sweep(agent.lineageId)).toMatchObject({ items: chunks.length });
    expect(await has(pages.map(({ id }) => id))).not.toContain(false);
    const built = agent.build([file.draft]);
    const outcome = await store.intake.commit(agent.agentId, built.bytes, world.clock.now);
    if (outcome.type !== 'missing') throw new Error('a commit passed with a hole');
    expect(outcome.ids).toHaveLength(chunks.length);
    await expectSameAgain();
  });

  test('trap: what was dropped and swept is no loss: chains stand, and a repeated commit gets its receipt', async () => {
    const first = agent.file('/a', [content('one')]);
    const done = await back(agent, first);
    const second = agent.file('/a', [content('two')]);
    const later = await back(agent, second);
    await drop(done.leafIndex);
    await sweep();
    await store.data.rewrite({ all: true });
    // Something else has really rotted meanwhile, so everything is looked at.
    const [spoiled] = second.items;
    if (spoiled === undefined) throw new Error('no chunk');
    await store.close();
    flipIn(spoiled.bytes);
    store = await open();
    for await (const item of store.reading.readItems([spoiled.id]))
      expect(item.type).toBe('damaged');
    const { agentId, chainId } = agent;
    expect(await store.intake.chainHead(agentId, chainId)).toMatchObject({ sequence: 1 });
    const again = (bytes: Uint8Array) => store.intake.commit(agentId, bytes, world.clock.now);
    expect(await again(done.bytes)).toMatchObject({ repeated: true, receipt: done.receipt });
    expect(await again(later.bytes)).toMatchObject({ type: 'missing', ids: [spoiled.id] });
  });

  test('trap: what a living session has sent, or heard to be here, survives; what was committed since the mark too', async () => {
    const old = agent.file('/a', [content('one')]);
    const { leafIndex } = await back(agent, old);
    await back(agent, agent.gone('/a'));
    await drop(leafIndex);
    await announce();
    // An upload of what the set has already leaves no other trace.
    await store.intake.putChunks(agent.lineageId, old.items);
    const sent = agent.file('/b', [content('sent ahead')]);
    await store.intake.putChunks(agent.lineageId, sent.items);
    await store.intake.sync();
    expect(await store.sweep.sweep(agent.lineageId)).toMatchObject({ items: 0 });
    await back(agent, agent.file('/a', [content('one')]));
    expect(await has([...idsOf(old), ...idsOf(sent)])).not.toContain(false);
    // The next sweep takes what nobody has committed.
    expect(await sweep()).toMatchObject({ items: sent.items.length });
    expect(await has(idsOf(old))).toEqual([true]);
    await expectSameAgain();
  });

  test('stops where it is told, and goes on from the beginning', async () => {
    const first = paged('/a', 'one');
    const { leafIndex } = await back(agent, first);
    await back(agent, agent.gone('/a'));
    await drop(leafIndex);
    await announce();
    let steps = 0;
    const isStopped = () => ++steps > 1;
    const stopped = await store.sweep.sweep(agent.lineageId, { isStopped });
    expect(stopped).toEqual({ type: 'stopped' });
    await expectSameAgain();
    // Its answer was a note, and went with the catalog.
    const epoch = store.sweep.gcEpoch(agent.lineageId);
    store.sweep.gcLearned(agent.agentId, agent.chainId, epoch);
    const rest = await store.sweep.sweep(agent.lineageId);
    expect(rest).toMatchObject({ type: 'swept' });
    expect(await has(idsOf(first))).not.toContain(true);
    await expectSameAgain();
  });
});
