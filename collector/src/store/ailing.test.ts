import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { check, codes, spoil } from '../../testing/store/fsck-lab.ts';
import { content, StoreWorld } from '../../testing/store/world.ts';
import { initCollector, openCollector } from './collector.ts';
import type { CollectorStore } from './collector-store.ts';
import type { UnfitRecord } from './errors.ts';

/** A collector with a vault that has a catalog key here and a blind one, closed. */
async function two() {
  const [open, blind] = [new StoreWorld('open'), new StoreWorld('blind', { blind: true })];
  const dir = join(temporaryFolder(), 'collector');
  const store = await initCollector(dir, { name: 'freezer' }, open.ports());
  const parts = (world: StoreWorld, key: Uint8Array | undefined) => ({
    descriptor: world.kit.descriptor,
    certificate: world.certificateFor(store.identity),
    catalogSecretKey: key,
  });
  const handed = [parts(open, open.kit.catalogSecretKey), parts(blind, undefined)] as const;
  for (const [at, world] of [open, blind].entries()) {
    const vault = await store.addVault(at === 0 ? handed[0] : handed[1]);
    const agent = await world.agent(vault, 'hplc-1');
    await agent.back(vault, [agent.file('/d/a', [content('a')])]);
  }
  await store.close();
  const idOf = (world: StoreWorld) => hex(world.descriptor.vaultId);
  const fileOf = (world: StoreWorld, ...names: string[]) =>
    join(dir, 'vaults', idOf(world), ...names);
  const told: UnfitRecord[] = [];
  const opened = (): Promise<CollectorStore> =>
    openCollector(dir, open.ports({ onUnfit: (record) => void told.push(record) }));
  return { open, blind, dir, handed, idOf, fileOf, told, opened };
}

describe('a vault that ails', () => {
  test('P6 keeps no other from being served, and is named with the way out', async () => {
    const { open, blind, opened, idOf, fileOf } = await two();
    rmSync(fileOf(open, 'packs'), { recursive: true });
    const store = await opened();
    expect(store.vaults().map(({ descriptor }) => descriptor.name)).toEqual(['Vault blind']);
    expect(store.vault(blind.descriptor.vaultId)).toBeDefined();
    expect(store.ailing()).toMatchObject([
      { id: idOf(open), error: { code: 'STORE_FOLDER', message: /packs is missing.*disk there/ } },
    ]);
    await store.close();
  });

  test.each(['is lost', 'has rotted'])(
    'whose vault.bin %s is known by its history',
    async (how) => {
      const { open, opened, fileOf, told, dir } = await two();
      const path = fileOf(open, 'vault.bin');
      const before = readFileSync(path);
      if (how === 'is lost') rmSync(path);
      else await spoil(path, 100);
      expect(codes((await check({ world: open, dir })).findings)).toEqual(['folder']);
      const store = await opened();
      expect(store.ailing()).toEqual([]);
      expect(store.vaults()).toHaveLength(2);
      expect(told).toMatchObject([{ type: 'file', where: path }]);
      await store.close();
      expect(readFileSync(path)).toHaveLength(before.length);
      expect(await check({ world: open, dir })).toEqual({ findings: [], faults: 0 });
    },
  );

  test('of which nothing says what it is can be handed over while the collector runs', async () => {
    const { open, opened, fileOf, idOf, handed, dir } = await two();
    rmSync(fileOf(open, 'vault.bin'));
    // The first record of the history, where it stands too.
    const history = fileOf(open, 'history', '00000001.history');
    const sound = readFileSync(history);
    await spoil(history, 200);
    expect(codes((await check({ world: open, dir })).findings)).toEqual(['folder']);
    const store = await opened();
    expect(store.ailing()).toMatchObject([{ id: idOf(open), error: { code: 'STORE_VAULT_LOST' } }]);
    writeFileSync(history, sound);
    await store.addVault(handed[0]);
    expect(store.ailing()).toEqual([]);
    expect(store.vault(open.descriptor.vaultId)?.figures.stats().commits).toBe(1);
    await store.close();
    expect(await check({ world: open, dir })).toEqual({ findings: [], faults: 0 });
  });

  test.each(['is lost', 'has rotted', 'is another’s'])(
    'P6 whose catalog key %s serves all but names, and is given it back while it is open',
    async (how) => {
      const { open, opened, fileOf, told, handed, dir } = await two();
      const path = fileOf(open, 'catalog.key');
      const sound = readFileSync(path);
      if (how === 'is lost') rmSync(path);
      else if (how === 'has rotted') await spoil(path, 3);
      else writeFileSync(path, `${'ab'.repeat(32)}\n`);
      expect(codes((await check({ world: open, dir })).findings)).toEqual(['folder']);
      const store = await opened();
      expect(told).toMatchObject([{ type: 'file', where: path, why: /aliquot vault add/ }]);
      const vault = store.vault(open.descriptor.vaultId);
      expect(vault?.catalogSecretKey).toBeUndefined();
      expect(vault?.figures.stats().commits).toBe(1);
      expect(await store.addVault(handed[0])).toBe(vault);
      expect(vault?.catalogSecretKey).toEqual(open.kit.catalogSecretKey);
      await store.close();
      expect(readFileSync(path)).toEqual(sound);
      expect(await check({ world: open, dir })).toEqual({ findings: [], faults: 0 });
    },
  );
});
