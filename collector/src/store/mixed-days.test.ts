import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { holdOn } from '../../testing/retention/signed.ts';
import { catalogRows, fileOf, filesIn } from '../../testing/store/copies.ts';
import { check, codes, type FsckLab, lab, openWhole } from '../../testing/store/fsck-lab.ts';
import { content, type WorldFile } from '../../testing/store/world.ts';
import type { UnfitRecord } from './errors.ts';
import type { VaultStore } from './vault-store.ts';

/*
 * A vault before a collection and after it, of which somebody mixes the files by hand: understood,
 * or named; and when the right file is back, all is as it was.
 */

const PACK_BYTES = 4096;
let place: FsckLab;
/** The vault's folder as it was before its collection, and after it. */
let before: string;
let after: string;
/** What versions need that nobody may let go: from before, and since. */
let kept: readonly WorldFile[];
let since: readonly WorldFile[];
let swept: WorldFile;

const parts = (word: string, count: number) =>
  Array.from({ length: count }, (_, at) => content(`${word} ${at}`, 200));

async function withVault<T>(
  run: (vault: VaultStore, told: UnfitRecord[]) => Promise<T>,
): Promise<T> {
  const { world, dir } = place;
  const told: UnfitRecord[] = [];
  const sizes = { packBytes: PACK_BYTES, historyFileBytes: PACK_BYTES };
  const ports = world.ports({ ...sizes, onUnfit: (record) => void told.push(record) });
  const store = await openWhole(dir, ports);
  try {
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    return await run(vault, told);
  } finally {
    await store.close();
  }
}

async function collect(vault: VaultStore): Promise<void> {
  const { lineageId, agentId, chainId } = place.agent;
  const { announced, swept: done } = vault.sweep.progress(lineageId);
  if (announced === done) await vault.sweep.announceGcEpoch(lineageId, place.world.clock.now);
  vault.sweep.gcLearned(agentId, chainId, vault.sweep.gcEpoch(lineageId));
  const { type } = await vault.sweep.sweep(lineageId);
  const { isDone } = await vault.data.rewrite({ all: true });
  expect([type, isDone]).toEqual(['swept', true]);
}

/** What is not there of these files, by kind. */
async function missing(vault: VaultStore, files: readonly WorldFile[]): Promise<string[]> {
  const ids = files.flatMap(({ items }) => items.map(({ id }) => id));
  const found: string[] = [];
  for await (const item of vault.reading.readItems(ids))
    if (item.type !== 'item') found.push(item.type);
  return found;
}

/** What fsck finds; the reserve of these small packs is none by the size of large ones. */
async function found(): Promise<string[]> {
  return codes((await check(place)).findings).filter((code) => code !== 'reserve-lent');
}

beforeEach(async () => {
  place = await lab(PACK_BYTES);
  const { agent, dir, vaultDir, world } = place;
  const big = agent.file('/d/big', [...parts('part', 5), ...parts('new', 10)]);
  await withVault((vault) => agent.back(vault, [big]));
  before = `${dir}.before`;
  cpSync(vaultDir, before, { recursive: true });
  const { draft, items } = agent.file('/old', parts('part', 40).slice(5));
  swept = { draft, items: items.filter(({ kind }) => kind === 'chunk') };
  kept = [big, agent.file('/d/c', [content('b'), content('c')])];
  since = [agent.file('/d/today', parts('today', 12))];
  await withVault(async (vault) => {
    const branchId = agent.lineageId;
    const leaves = [3, 4].map((leafIndex) => ({ leafIndex, slots: new Uint8Array([1]) }));
    expect(await vault.sweep.drop({ run: 1, branchId, leaves })).toBe(2);
    await collect(vault);
    await vault.events.append(holdOn(world, ['**']).set);
    await agent.back(vault, since);
  });
  after = `${dir}.after`;
  cpSync(vaultDir, after, { recursive: true });
  expect(await found()).toEqual([]);
  expect(filesIn(before, 'packs')[0]).not.toBe(filesIn(after, 'packs')[0]);
});

/** The vault's folder becomes one of the two days. */
function putAll(from: string): void {
  rmSync(place.vaultDir, { recursive: true });
  cpSync(from, place.vaultDir, { recursive: true });
}

/** One name in it becomes what it is in another folder. */
function put(name: string, from: string): void {
  const [to, source] = [join(place.vaultDir, name), join(from, name)];
  rmSync(to, { recursive: true, force: true });
  if (existsSync(source)) cpSync(source, to, { recursive: true });
}

/** The live catalog is what a replay gives, and fsck has nothing to say. */
async function mustBeSound(): Promise<void> {
  expect(await found()).toEqual([]);
  const live = await catalogRows(place.vaultDir);
  rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
  await withVault(async () => undefined);
  expect(await catalogRows(place.vaultDir)).toEqual(live);
}

describe('P1 P6 files of before and after a collection, mixed', () => {
  test('packs that were removed are dead again, whatever lies in them, and go again', async () => {
    for (const number of filesIn(before, 'packs'))
      if (!filesIn(after, 'packs').includes(number))
        cpSync(fileOf(before, 'packs', number), fileOf(place.vaultDir, 'packs', number));
    await withVault(async (vault, told) => {
      expect(told).toEqual([]);
      expect(await missing(vault, [...kept, ...since])).toEqual([]);
      // Nobody owns what was swept, however often its pack comes back.
      const ids = swept.items.map(({ id }) => id);
      expect(await vault.intake.has(place.agent.lineageId, ids)).not.toContain(true);
      const { isDone } = await vault.data.rewrite({ all: true });
      expect([isDone, (await vault.data.space()).deadBytes]).toEqual([true, 0]);
      expect(await missing(vault, [...kept, ...since])).toEqual([]);
    });
    await mustBeSound();
  });

  test('the catalog of before reads on to the present', async () => {
    put('catalog', before);
    await withVault(async (vault) => {
      expect(await missing(vault, [...kept, ...since])).toEqual([]);
      expect(vault.holds.all()).toHaveLength(1);
    });
    await mustBeSound();
  });

  test('I-C20: holds.bin of before is named, ends no hold, and is made again', async () => {
    put('holds.bin', before);
    expect(await found()).toEqual(['holds-differ']);
    await withVault(async (vault) => expect(vault.holds.all()).toHaveLength(1));
    await mustBeSound();
  });

  test('the history of before, behind what the collector knows, is refused by name, and by fsck', async () => {
    const last = fileOf(place.vaultDir, 'history', filesIn(before, 'history').length + 1);
    for (const mix of [
      () => put('history', before),
      () => {
        put('history', before);
        put('packs', before);
      },
      () => {
        putAll(before);
        put('catalog', after);
      },
    ]) {
      putAll(after);
      mix();
      expect(await found()).toContain('history-missing');
      await expect(withVault(async () => undefined)).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        message: `${last} is missing; put it back from a copy of the collector`,
      });
    }
    for (const name of ['history', 'packs', 'catalog', 'durable.json', 'holds.bin'])
      put(name, after);
    await mustBeSound();
  });

  test('one history file of before is named in the place of another, and in its own', async () => {
    const [old, newest] = [filesIn(before, 'history').at(-1), filesIn(after, 'history').at(-1)];
    const from = fileOf(before, 'history', old ?? 0);
    cpSync(from, fileOf(place.vaultDir, 'history', newest ?? 0));
    expect(await found()).toEqual(['file-foreign']);
    await expect(withVault(async () => undefined)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    putAll(after);
    cpSync(from, fileOf(place.vaultDir, 'history', old ?? 0));
    expect(await found()).toEqual(['history-end']);
    await withVault(async (vault, told) => {
      expect(told).toMatchObject([{ type: 'record' }]);
      expect(await missing(vault, [...kept, ...since])).toEqual([]);
    });
    put('history', after);
    await mustBeSound();
  });

  test('packs of before are named, what came since is asked for again, and is there when they are back', async () => {
    put('packs', before);
    const { agent } = place;
    await withVault(async (vault, told) => {
      expect(told.map(({ type }) => type)).toContain('pack');
      expect(await missing(vault, kept)).toEqual([]);
      expect(await missing(vault, since)).not.toEqual([]);
      const ids = since.flatMap(({ items }) => items.map(({ id }) => id));
      expect(await vault.intake.has(agent.lineageId, ids)).toContain(false);
    });
    expect(await found()).toContain('item-missing');
    put('packs', after);
    await withVault(async (vault) => expect(await missing(vault, [...kept, ...since])).toEqual([]));
    // The newest of them was open: it has no end, and another was begun meanwhile.
    expect(await found()).toEqual(['pack-index']);
  });

  test('a folder that was put back to before, beside packs of after, has all that is kept', async () => {
    putAll(before);
    put('packs', after);
    await withVault(async (vault, told) => {
      expect(told.map(({ type }) => type)).toContain('pack');
      expect(await missing(vault, kept)).toEqual([]);
      // Had it stayed in force, it would have been collected; so it is named, not passed over.
      expect(await missing(vault, [swept])).not.toEqual([]);
    });
    expect(await found()).toContain('item-missing');
    putAll(before);
    await withVault(async (vault) => expect(await missing(vault, [...kept, swept])).toEqual([]));
    await mustBeSound();
  });
});
