import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeBlock, decodeSignedCommit, type StateRecord } from '@aliquot/proto';
import { openNames } from '@aliquot/shared/commit/open-names';
import { readCommit } from '@aliquot/shared/commit/rows';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  concernedBy,
  operatorCalled,
  purgeApproval,
  purgeCancel,
  purgeOrder,
  sealedAnew,
  type TestOperator,
} from '../../testing/retention/purges.ts';
import { holdOn } from '../../testing/retention/signed.ts';
import { catalogRows } from '../../testing/store/copies.ts';
import { content, StoreWorld, type WorldAgent, type WorldFile } from '../../testing/store/world.ts';
import { PURGE_DELAY_MS } from '../retention/brakes.ts';
import { StoredVault } from './stored-vault.ts';

/* Purges that were approved: what is left, who may approve, and that a replay says the same. */

let world: StoreWorld;
let dir: string;
let store: StoredVault;
let agent: WorldAgent;
let maria: TestOperator;
let ines: TestOperator;
let first: Awaited<ReturnType<WorldAgent['back']>>;
let later: typeof first;

const open = async (): Promise<StoredVault> => {
  const identity = { ...world.identity, catalogSecretKey: world.kit.catalogSecretKey };
  return StoredVault.inFolder(dir, identity, world.ports());
};

const small = (...names: readonly string[]) =>
  agent.small(Object.fromEntries(names.map((name) => [name, utf8(`content of ${name}`)])), {
    whole: true,
  });

const every = [
  ...['/data/big', '/data/p-0815/a', '/data/p-0815/b', '/data/p-0815/c', '/data/x', '/data/y'],
] as const;

async function begin(): Promise<void> {
  world = new StoreWorld('purged');
  dir = temporaryFolder();
  store = await open();
  await store.events.append(world.vaultAdded());
  agent = await world.agent(store, 'hplc-1');
  maria = operatorCalled(world, 'maria');
  ines = operatorCalled(world, 'ines');
  const slab = small('/data/p-0815/a', '/data/p-0815/b', '/data/x', '/data/y');
  first = await agent.back(store, [...slab, agent.file('/data/big', [content('big', 70_000)])]);
  // Another block that names the same slab: it has the key of all of its pieces.
  world.clock.now += 1000;
  const [whole, , x, y] = slab as [WorldFile, WorldFile, WorldFile, WorldFile];
  const { slabKey } = whole.draft;
  const again = { ...x, draft: { ...x.draft, slabKey } };
  later = await agent.back(store, [again, y, agent.file('/data/p-0815/c', [content('c', 5)])]);
  world.clock.now += 1000;
}

beforeEach(begin);
afterEach(() => store.close());

async function ordered(...paths: readonly string[]) {
  const files = paths.map((path) => agent.fileId(path));
  const { lineageId } = agent;
  const event = purgeOrder(world, maria, { lineageId, files, head: store.log.treeHead() });
  await store.purges.order(event);
  return event;
}

async function approved(...paths: readonly string[]) {
  const { purgeId } = await ordered(...paths);
  world.clock.now += PURGE_DELAY_MS;
  const forms = sealedAnew(world, purgeId, await concernedBy(store, purgeId));
  const event = purgeApproval(world, ines, purgeId, forms);
  const { leafIndex } = await store.purges.approve(event, forms);
  return { purgeId, forms, event, leafIndex };
}

const bad = (why: RegExp) =>
  expect.objectContaining({ code: 'STORE_BAD_EVENT', message: expect.stringMatching(why) });

/** Every name that opens with the kit, of what the store answers. */
async function namesNow(): Promise<string[]> {
  const names = new Set<string>();
  for await (const record of store.reading.everyVersion(agent.lineageId))
    for (const name of namesIn(record)) names.add(name);
  return [...names].sort();
}

function namesIn({ commit, live }: StateRecord): string[] {
  const key = { key: boxKeyFromSecret(world.kit.vaultSecretKey), recipient: 'vault' } as const;
  const wrong: unknown[] = [];
  const slots = live.map((slot) => ({ slot }));
  const names = [...openNames(readCommit(commit), slots, key, ({ error }) => wrong.push(error))];
  expect(wrong).toEqual([]);
  return names.map(({ list }) => Buffer.from(list.path).toString());
}

describe('I-C31 a purge that is approved', () => {
  test('leaves every other version, and nothing of what went in any answer', async () => {
    await approved('/data/p-0815/a', '/data/p-0815/b', '/data/p-0815/c');
    expect(await namesNow()).toEqual(['/data/big', '/data/x', '/data/y']);
    const { record } = await store.log.leafAt(first.leafIndex);
    if (record.type !== 'commit') throw new Error('no commit');
    const { rows } = readCommit(record.commit);
    expect([rows.count, rows.lacking]).toEqual([5, 2]);
    // No block that is served has the key of the slab any more.
    for await (const { commit } of store.reading.everyVersion(agent.lineageId))
      for (const { rows: block } of readCommit(commit).rows.blocks)
        expect(block.slabs.every(({ keyedSingly }) => keyedSingly)).toBe(true);
    expect(store.purges.all()).toMatchObject([{ approved: { by: 'ines' } }]);
    expect(store.figures.stats()).toMatchObject({ files: 3 });
  });

  test('is what a start says again, and a catalog that is made anew from the history', async () => {
    await approved('/data/p-0815/a', '/data/p-0815/c');
    const names = await namesNow();
    await store.flush();
    await store.close();
    const live = await catalogRows(dir);
    rmSync(join(dir, 'catalog'), { recursive: true });
    store = await open();
    expect(await namesNow()).toEqual(names);
    await store.close();
    expect(await catalogRows(dir)).toEqual(live);
    store = await open();
  });

  test('is not undone by its PC, which sends the commit again', async () => {
    await approved('/data/p-0815/a', '/data/p-0815/b', '/data/p-0815/c');
    const again = await store.intake.commit(agent.agentId, first.bytes, world.clock.now);
    expect(again).toMatchObject({ type: 'accepted', repeated: true, leafIndex: first.leafIndex });
    expect(await namesNow()).toEqual(['/data/big', '/data/x', '/data/y']);
  });

  test('of more of the same block goes on from what the first has left', async () => {
    await approved('/data/p-0815/a');
    await approved('/data/p-0815/b', '/data/x');
    expect(await namesNow()).toEqual(['/data/big', '/data/p-0815/c', '/data/y']);
  });

  test('is another operator’s, a day later, with no hold, and of what was not cancelled', async () => {
    const { purgeId } = await ordered('/data/p-0815/a');
    const forms = sealedAnew(world, purgeId, await concernedBy(store, purgeId));
    const approve = (by: TestOperator, of = forms) =>
      store.purges.approve(purgeApproval(world, by, purgeId, of), of);
    await expect(approve(ines)).rejects.toEqual(bad(/may be approved from .* a day after/));
    world.clock.now += PURGE_DELAY_MS - 5000;
    await expect(approve(ines)).rejects.toEqual(bad(/may be approved from/));
    world.clock.now += 5000;
    await expect(approve(maria)).rejects.toEqual(bad(/another operator approves it/));
    await expect(approve(operatorCalled(world, 'otto', ['settings']))).rejects.toEqual(
      bad(/not for retention/),
    );
    const hold = holdOn(world, ['/data/p-0815/**']);
    await store.events.append(hold.set);
    await expect(approve(ines)).rejects.toEqual(bad(/hold trial-7 covers/));
    await store.events.append(hold.over());
    const { leafIndex } = await approve(ines);
    expect(await approve(ines)).toEqual({ leafIndex });
    await expect(store.events.append(purgeCancel(world, purgeId))).rejects.toEqual(
      bad(/was approved on .* cannot be taken back/),
    );

    const second = await ordered('/data/p-0815/b');
    await store.events.append(purgeCancel(world, second.purgeId));
    world.clock.now += PURGE_DELAY_MS;
    const late = sealedAnew(world, second.purgeId, await concernedBy(store, second.purgeId));
    await expect(
      store.purges.approve(purgeApproval(world, ines, second.purgeId, late), late),
    ).rejects.toEqual(bad(/was cancelled on/));
  });

  test('comes with just the commits that it is about, without just what was ordered', async () => {
    const { purgeId } = await ordered('/data/p-0815/a');
    const other = await ordered('/data/p-0815/a', '/data/x');
    world.clock.now += PURGE_DELAY_MS;
    const records = await concernedBy(store, purgeId);
    const forms = sealedAnew(world, purgeId, records);
    const more = sealedAnew(world, purgeId, await concernedBy(store, other.purgeId));
    const refused = async (wrong: typeof forms, why: RegExp) =>
      expect(
        store.purges.approve(purgeApproval(world, ines, purgeId, wrong), wrong),
      ).rejects.toEqual(bad(why));
    // The second commit has nothing to go, but the key of the slab.
    expect(records.map(({ live }) => live.length)).toEqual([1, 0]);
    await refused(forms.slice(0, 1), /not those that the purge is about/);
    await refused(more, /not those that the purge is about/);
    const lying = more.map((form, at) => ({ ...form, slots: forms[at]?.slots ?? form.slots }));
    await refused(lying, /lacks other rows than those that were ordered/);
    const lazy = forms.map((form, at) => ({ ...form, commit: records[at]?.commit ?? form.commit }));
    await refused(lazy, /still has what was to be purged/);
    const unsaid = purgeApproval(world, ines, purgeId, forms.slice(1));
    await expect(store.purges.approve(unsaid, forms)).rejects.toEqual(bad(/for other commits/));
    expect(await namesNow()).toContain('/data/p-0815/a');
  });
});

/** Every byte of the vault's folder. */
function everyByte(): Buffer {
  const all: Buffer[] = [];
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) all.push(readFileSync(join(entry.parentPath, entry.name)));
  return Buffer.concat(all);
}

/** What opens rows of a commit: its sealed segments, and the boxes of their keys. */
function opening(commit: Uint8Array): Buffer[] {
  return decodeSignedCommit(commit).blocks.flatMap(({ block, listBox, readBox }) => {
    const { list, read } = decodeBlock(block);
    return [list, read, listBox, readBox].map((bytes) => Buffer.from(bytes));
  });
}

describe('I-C33 what was purged', () => {
  const isOnDisk = (commit: Uint8Array): boolean[] => {
    const disk = everyByte();
    return opening(commit).map((bytes) => disk.includes(bytes));
  };

  test('is nowhere on the disk, and a replay of what is left says the same', async () => {
    expect(isOnDisk(first.bytes)).toEqual(opening(first.bytes).map(() => true));
    const second = await approved('/data/p-0815/a');
    await store.flush();
    expect(isOnDisk(first.bytes)).toEqual(opening(first.bytes).map(() => false));
    // Nor is what the first purge has left, once a second one has taken more of it.
    const [left] = second.forms;
    await approved('/data/p-0815/b', '/data/x');
    await store.flush();
    expect(isOnDisk(left?.commit ?? first.bytes)).toEqual(opening(first.bytes).map(() => false));
    const names = await namesNow();
    expect(names).toEqual(['/data/big', '/data/p-0815/c', '/data/y']);
    await store.close();
    const live = await catalogRows(dir);
    rmSync(join(dir, 'catalog'), { recursive: true });
    store = await open();
    expect(await namesNow()).toEqual(names);
    await store.close();
    expect(await catalogRows(dir)).toEqual(live);
    store = await open();
  });

  test('property: of any rows is gone, and every other row opens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.subarray([...every], { minLength: 1 }), async (paths) => {
        await store.close();
        await begin();
        await approved(...paths);
        await store.flush();
        const left = every.filter((path) => !paths.includes(path));
        expect(await namesNow()).toEqual([...left].sort());
        const disk = everyByte();
        for (const { commit, isHit } of [
          { commit: first.bytes, isHit: paths.some((path) => path !== '/data/p-0815/c') },
          {
            commit: later.bytes,
            isHit: paths.some(
              (path) =>
                path !== '/data/p-0815/a' && path !== '/data/p-0815/b' && path !== '/data/big',
            ),
          },
        ])
          if (isHit) for (const bytes of opening(commit)) expect(disk.includes(bytes)).toBe(false);
        expect(disk.includes('p-0815')).toBe(false);
      }),
      { numRuns: 8 },
    );
  });
});
