import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { asChunkId, type Content, encodePage, type Ref } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test, vi } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { content, StoreWorld } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';
import { HeldItems } from './vault/held-items.ts';
import { PendingUploads } from './vault/pending-uploads.ts';
import type { PutItem } from './vault-records.ts';

const PAGES = 24;
const REFS = 1024;

/** A page over `refs`; the collector cannot tell that nothing opens its keys. */
function pageOf(depth: number, refs: readonly Ref[]): { item: PutItem; ref: Ref } {
  const bytes = encodePage({ depth, refs: [...refs] }, new Uint8Array(refs.length * 32 + 16));
  const id = asChunkId(new Uint8Array(sha256(bytes)));
  const plainSize = refs.reduce((sum, ref) => sum + ref.plainSize, 0);
  return { item: { id, kind: 'page', bytes }, ref: { id, plainSize, epoch: 1 } };
}

/** Distinct chunks of a few bytes, and pages over all of them. */
function hugeContent(): { content: Content; items: PutItem[]; chunks: PutItem[] } {
  const chunks = Array.from({ length: PAGES * REFS }, (_, number): PutItem => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(number);
    return { id: asChunkId(new Uint8Array(sha256(bytes))), kind: 'chunk', bytes };
  });
  const pages = Array.from({ length: PAGES }, (_, page) =>
    pageOf(
      0,
      chunks
        .slice(page * REFS, (page + 1) * REFS)
        .map(({ id }) => ({ id, plainSize: 262_144, epoch: 1 })),
    ),
  );
  const root = { depth: 1, piece: 0, refs: pages.map(({ ref }) => ref) };
  return { content: root, items: pages.map(({ item }) => item), chunks };
}

test('P6 I-C9 a commit whose own entries name more than one turn looks at is accepted', async () => {
  const world = new StoreWorld();
  const store = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  const chunks = Array.from({ length: 30 }, () => content('the same'));
  const { draft, items } = agent.file('/d', chunks);
  await store.intake.putChunks(agent.lineageId, items);
  const many = Array.from({ length: 600 }, (_, at) => {
    return { ...draft, fileId: agent.fileId(`/d/${at}`) };
  });
  const { bytes } = agent.build(many);
  const outcome = await store.intake.commit(agent.agentId, bytes, world.clock.now);
  expect(outcome.type).toBe('accepted');
});

test('P6 I-C2 I-C9 a commit that refers to very much is judged in turns between which others have theirs, and a rebuild reads no page', async () => {
  const world = new StoreWorld();
  const dir = temporaryFolder();
  let store = await StoredVault.inFolder(dir, world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const [agent, other] = [await world.agent(store, 'hplc-1'), await world.agent(store, 'ms-2')];
  const { content: root, items, chunks } = hugeContent();
  await store.intake.putChunks(agent.lineageId, [...chunks, ...items]);
  const size = root.refs.reduce((sum, ref) => sum + ref.plainSize, 0);
  const file = agent.file('/d/huge.raw', [content('huge')]).draft;
  const read = { sha256: content('hash', 32), keys: root.refs.map(() => content('key', 32)) };
  const built = agent.build([{ ...file, size, content: root, read }]);

  const order: string[] = [];
  const proving = vi.spyOn(PendingUploads.prototype, 'prove');
  onTestFinished(() => proving.mockRestore());
  const huge = store.intake
    .commit(agent.agentId, built.bytes, world.clock.now)
    .then(({ type }) => order.push(`huge ${type}`));
  // A sweep that is under way hears of pages that are proved while the commit is still judged.
  proving.mockImplementationOnce((_, pages) => {
    if (pages.length > 0) order.push('proved');
  });
  const small = other.back(store, [other.directory('/d')]).then(() => order.push('small'));
  await Promise.all([huge, small]);
  expect(order.filter((what) => what !== 'proved')).toEqual(['small', 'huge accepted']);
  expect(order.indexOf('proved')).toBeLessThan(order.indexOf('huge accepted'));
  expect(order).toContain('proved');
  const heard = proving.mock.calls.flatMap(([, pages]) => pages);
  for (const { id } of items) expect(heard).toContainEqual(id);
  expect(store.figures.stats()).toMatchObject({
    uniqueBytes: size,
    rawBytes: size,
    chunks: PAGES * REFS,
  });

  // The same again is walked no more: pages that were proved are not opened.
  agent.advance(built);
  await agent.back(store, [{ ...file, size, content: root, read }]);
  expect(store.figures.stats()).toMatchObject({ uniqueBytes: size, rawBytes: 2 * size });

  await store.close();
  const live = await catalogRows(dir);
  rmSync(join(dir, 'catalog'), { recursive: true });
  store = await StoredVault.inFolder(dir, world.identity, world.ports());
  await store.close();
  expect(await catalogRows(dir)).toEqual(live);
  store = await StoredVault.inFolder(dir, world.identity, world.ports());
});

/** A vault with an agent whose file has many pages, and how often a page was opened. */
async function withPages() {
  const world = new StoreWorld();
  const store = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  const { content: root, items, chunks } = hugeContent();
  const size = root.refs.reduce((sum, ref) => sum + ref.plainSize, 0);
  const file = agent.file('/d/huge.raw', [content('huge')]).draft;
  const read = { sha256: content('hash', 32), keys: root.refs.map(() => content('key', 32)) };
  const { bytes } = agent.build([{ ...file, size, content: root, read }]);
  const opened = vi.spyOn(HeldItems.prototype, 'readPage');
  onTestFinished(() => opened.mockRestore());
  const commit = () => store.intake.commit(agent.agentId, bytes, world.clock.now);
  return { store, agent, items, chunks, commit, opened };
}

test('P6 a commit that lacks something and is sent again opens no page again, until what it lacked has come', async () => {
  const { store, agent, items, chunks, commit, opened } = await withPages();
  const lacking = chunks.filter((_, at) => at % REFS === 7);
  const held = chunks.filter((_, at) => at % REFS !== 7);
  await store.intake.putChunks(agent.lineageId, [...held, ...items]);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const outcome = await commit();
    expect(outcome.type === 'missing' && new Set(outcome.ids)).toEqual(
      new Set(lacking.map(({ id }) => id)),
    );
    expect(opened).toHaveBeenCalledTimes(PAGES);
  }
  await store.intake.putChunks(agent.lineageId, lacking.slice(0, PAGES / 2));
  expect((await commit()).type).toBe('missing');
  expect(opened).toHaveBeenCalledTimes(PAGES * 1.5);
  await store.intake.putChunks(agent.lineageId, lacking.slice(PAGES / 2));
  expect((await commit()).type).toBe('accepted');
  expect(opened).toHaveBeenCalledTimes(PAGES * 2);
});

test('I-C9 what is found rotten while a huge commit is walked beside the queue is missing, wherever the walk was', async () => {
  const { store, agent, items, chunks, commit, opened } = await withPages();
  await store.intake.putChunks(agent.lineageId, [...chunks, ...items]);
  const [first] = chunks;
  if (first === undefined) throw new Error('no chunk');
  let count = 0;
  opened.mockImplementation(async function (this: HeldItems, id) {
    count += 1;
    if (count === PAGES - 2) this.setDamaged(first.id);
    return (await this.read(id))?.bytes;
  });
  expect(await commit()).toMatchObject({ type: 'missing', ids: [first.id] });
  await store.intake.putChunks(agent.lineageId, [first]);
  expect((await commit()).type).toBe('accepted');
});

test('P6 a question for very many ids is answered in turns between which others have theirs', async () => {
  const world = new StoreWorld();
  const store = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const [agent, other] = [await world.agent(store, 'hplc-1'), await world.agent(store, 'ms-2')];
  const { items } = agent.file('/d', [content('here')]);
  await store.intake.putChunks(agent.lineageId, items);
  const ids = Array.from({ length: 4096 }, (_, at) => asChunkId(content(`${at}`, 32)));
  const order: string[] = [];
  const asked = store.intake
    .has(agent.lineageId, [...ids.slice(0, 4000), ...items.map(({ id }) => id)])
    .then((held) => {
      order.push('question');
      expect(held).toEqual([...Array(4000).fill(false), ...items.map(() => true)]);
    });
  const small = other.back(store, [other.directory('/d')]).then(() => order.push('small'));
  await Promise.all([asked, small]);
  expect(order).toEqual(['small', 'question']);
});
