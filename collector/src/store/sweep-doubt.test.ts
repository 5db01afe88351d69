import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { StoredDropped } from '@aliquot/proto';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { recordAt, spoil } from '../../testing/store/fsck-lab.ts';
import { content, StoreWorld, type WorldAgent, type WorldFile } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';

/* What a sweep may still take where records of the history have rotted. */

let world: StoreWorld;
let dir: string;
let store: StoredVault;
let agent: WorldAgent;

beforeEach(async () => {
  world = new StoreWorld('doubt', { blind: true });
  dir = temporaryFolder();
  store = await open();
  await store.events.append(world.vaultAdded());
  agent = await world.agent(store, 'hplc-1');
});
afterEach(() => store.close());

const open = () => StoredVault.inFolder(dir, world.identity, world.ports());

async function back(...files: Parameters<WorldAgent['back']>[1]) {
  world.clock.now += 1000;
  return agent.back(store, files);
}

function drop(leafIndex: number): Promise<number> {
  const slots = Uint8Array.of(1);
  const letGo: StoredDropped = {
    ...{ run: 1, branchId: agent.lineageId, leaves: [{ leafIndex, slots }] },
  };
  return store.sweep.drop(letGo);
}

function answer(epoch: number, of = agent): void {
  store.sweep.gcLearned(of.agentId, of.chainId, epoch);
}

async function sweep() {
  answer(await store.sweep.announceGcEpoch(agent.lineageId, world.clock.now));
  return store.sweep.sweep(agent.lineageId);
}

/** A record rots, and the catalog is made again without it. */
async function openWithout(
  kind: 'dropped' | 'swept' | 'event' | 'uploads',
  ordinal: number,
): Promise<void> {
  await store.close();
  const { path, at } = await recordAt(dir, kind, ordinal);
  for (const byte of [60, 70, 80]) await spoil(path, at + byte);
  rmSync(join(dir, 'catalog'), { recursive: true });
  store = await open();
}

describe('I-C22 where a record has rotted', () => {
  test('that took pages out of a set, these have to prove anew what is below them: it may be gone', async () => {
    const chunks = Array.from({ length: 40 }, (_, at) => content(`one ${at}`, 80));
    const file: WorldFile = agent.file('/a', chunks);
    const { leafIndex } = await back(file);
    await back(agent.gone('/a'));
    await drop(leafIndex);
    expect(await sweep()).toMatchObject({ type: 'swept', items: file.items.length });
    // Another one keeps the pages, and nothing below them.
    const pages = file.items.filter(({ kind }) => kind === 'page');
    const other = await world.agent(store, 'ms-2');
    await store.intake.putChunks(other.lineageId, pages);
    await store.intake.sync();
    await store.data.rewrite({ all: true });
    await openWithout('swept', 0);
    const { bytes } = agent.build([file.draft]);
    const outcome = await store.intake.commit(agent.agentId, bytes, world.clock.now);
    expect(outcome).toMatchObject({ type: 'missing' });
  });

  test('that ended a sweep, its epoch says nothing of what was dropped since', async () => {
    const first = await back(agent.file('/a', [content('one')]));
    const second = await back(agent.file('/a', [content('two')]));
    await back(agent.file('/a', [content('three')]));
    await drop(first.leafIndex);
    expect(await sweep()).toMatchObject({ type: 'swept', items: 1 });
    expect(await drop(second.leafIndex)).toBe(1);
    await openWithout('swept', 0);
    // The agent has answered this epoch long ago, and may rely on what was there since.
    answer(store.sweep.gcEpoch(agent.lineageId));
    expect(await store.sweep.sweep(agent.lineageId)).toEqual({ type: 'nothing-announced' });
    expect(await sweep()).toMatchObject({ type: 'swept' });
  });

  test('that may say whose commits there are, nothing leaves any set', async () => {
    const { leafIndex } = await back(agent.file('/a', [content('one')]));
    await back(agent.file('/a', [content('two')]));
    const next = await world.agent(store, 'hplc-2', { replaces: agent });
    const theirs = next.file('/b', [content('of the new PC')]);
    world.clock.now += 1000;
    await next.back(store, [theirs]);
    await drop(leafIndex);
    // By the events that are left only the old PC is of this lineage.
    await openWithout('event', 3);
    const ids = theirs.items.map(({ id }) => id);
    expect(await store.intake.has(agent.lineageId, ids)).toEqual([true]);
    expect(await sweep()).toMatchObject({ type: 'unreadable' });
    expect(await store.intake.has(agent.lineageId, ids)).toEqual([true]);
  });

  test('that dropped versions, these are listed again and keep nothing from being swept: they go once more', async () => {
    const chunks = Array.from({ length: 40 }, (_, at) => content(`one ${at}`, 80));
    const file: WorldFile = agent.file('/a', chunks);
    const { leafIndex } = await back(file);
    const second = await back(agent.file('/a', [content('two')]));
    await back(agent.file('/a', [content('three')]));
    expect(await drop(leafIndex)).toBe(1);
    expect(await sweep()).toMatchObject({ type: 'swept', items: file.items.length });
    await store.data.rewrite({ all: true });
    expect(await drop(second.leafIndex)).toBe(1);
    await openWithout('dropped', 0);
    const listed = async () => {
      let versions = 0;
      for await (const { live } of store.reading.versions(agent.lineageId, agent.fileId('/a')))
        versions += live.length;
      return versions;
    };
    expect(await listed()).toBe(2);
    expect(await sweep()).toMatchObject({ type: 'swept', items: 1 });
    expect(await drop(leafIndex)).toBe(1);
    expect(await listed()).toBe(1);
    expect(await sweep()).toMatchObject({ type: 'swept', items: 0 });
    // Sent again it is one like any other.
    await back(agent.file('/a', chunks));
    expect(await sweep()).toMatchObject({ type: 'swept' });
    expect(
      await store.intake.has(
        agent.lineageId,
        file.items.map(({ id }) => id),
      ),
    ).toEqual(file.items.map(() => true));
  });

  test('that says whose something is, a page that is nowhere still keeps all of it', async () => {
    const file = agent.file(
      '/a',
      Array.from({ length: 40 }, (_, at) => content(`one ${at}`, 80)),
    );
    const { leafIndex } = await back(file);
    await back(agent.file('/a', [content('two')]));
    expect(await drop(leafIndex)).toBe(1);
    expect(await sweep()).toMatchObject({ type: 'swept' });
    await store.data.rewrite({ all: true });
    await store.close();
    for (const kind of ['dropped', 'uploads'] as const) {
      const { path, at } = await recordAt(dir, kind, 0);
      for (const byte of [60, 70, 80]) await spoil(path, at + byte);
    }
    rmSync(join(dir, 'catalog'), { recursive: true });
    store = await open();
    const outcome = await sweep();
    expect(outcome).toEqual({
      type: 'unreadable',
      what: expect.stringMatching(/^page [0-9a-f]{16} cannot be read$/),
    });
  });
});
