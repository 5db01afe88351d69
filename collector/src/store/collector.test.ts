import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { privateMode } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { StoreWorld } from '../../testing/store/world.ts';
import { initCollector, openCollector } from './collector.ts';
import type { UnfitRecord } from './errors.ts';

const place = () => join(temporaryFolder(), 'data');

describe("a collector's folder", () => {
  test('keeps its secrets to its owner and opens again as the same collector', async () => {
    const world = new StoreWorld();
    const dir = place();
    const made = await initCollector(dir, { name: 'freezer' }, world.ports());
    const { collectorId, adminTokenHash } = made;
    await made.close();
    for (const name of ['identity.key', 'admin.token'])
      expect(statSync(join(dir, name)).mode & 0o777).toBe(privateMode);
    const token = readFileSync(join(dir, 'admin.token'), 'utf8').trim();
    expect(sha256(Buffer.from(token))).toEqual(adminTokenHash);
    const again = await openCollector(dir, world.ports());
    expect([again.name, again.collectorId, again.adminTokenHash]).toEqual([
      'freezer',
      collectorId,
      adminTokenHash,
    ]);
    await expect(openCollector(dir, world.ports())).rejects.toMatchObject({
      code: 'FOLDER_IN_USE',
    });
    await again.close();
    await expect(initCollector(dir, { name: 'other' }, world.ports())).rejects.toMatchObject({
      code: 'FOLDER_NOT_EMPTY',
    });
  });

  test('a removed token is replaced by a new one at start', async () => {
    const world = new StoreWorld();
    const dir = place();
    const made = await initCollector(dir, { name: 'freezer' }, world.ports());
    await made.close();
    rmSync(join(dir, 'admin.token'));
    const again = await openCollector(dir, world.ports());
    expect(again.adminTokenHash).not.toEqual(made.adminTokenHash);
    await again.close();
  });

  test.each([0, 19])(
    'P6: a token that was cut to %d characters is replaced too, and named',
    async (length) => {
      const world = new StoreWorld();
      const dir = place();
      const made = await initCollector(dir, { name: 'freezer' }, world.ports());
      await made.close();
      const path = join(dir, 'admin.token');
      writeFileSync(path, readFileSync(path, 'utf8').slice(0, length));
      const told: UnfitRecord[] = [];
      const onUnfit = (record: UnfitRecord) => void told.push(record);
      const again = await openCollector(dir, { ...world.ports(), onUnfit });
      expect(told).toMatchObject([{ type: 'file', where: path }]);
      expect(again.adminTokenHash).not.toEqual(made.adminTokenHash);
      await again.close();
      const settled = await openCollector(dir, world.ports());
      expect(settled.adminTokenHash).toEqual(again.adminTokenHash);
      await settled.close();
    },
  );

  test('a foreign or lost identity key is refused by name', async () => {
    const world = new StoreWorld();
    const dir = place();
    await (await initCollector(dir, { name: 'freezer' }, world.ports())).close();
    writeFileSync(join(dir, 'identity.key'), `${'ab'.repeat(32)}\n`);
    await expect(openCollector(dir, world.ports())).rejects.toMatchObject({
      code: 'STORE_FOLDER',
      message: /identity\.key/,
    });
    rmSync(join(dir, 'identity.key'));
    await expect(openCollector(dir, world.ports())).rejects.toMatchObject({
      code: 'STORE_FOLDER',
      message: /missing/,
    });
  });

  test('P3 a vault is added once, survives, and its catalog key stays out of a blind vault', async () => {
    const open = new StoreWorld('open');
    const blind = new StoreWorld('blind', { blind: true });
    const dir = place();
    const store = await initCollector(dir, { name: 'freezer' }, open.ports());
    const parts = (world: StoreWorld, key: Uint8Array | undefined) => ({
      descriptor: world.kit.descriptor,
      certificate: world.certificateFor(store.identity),
      catalogSecretKey: key,
    });
    const vault = await store.addVault(parts(open, open.kit.catalogSecretKey));
    expect(await store.addVault(parts(open, open.kit.catalogSecretKey))).toBe(vault);
    expect(vault.log.treeHead().size).toBe(1);
    const refusals = [
      parts(open, undefined),
      parts(open, blind.kit.catalogSecretKey),
      parts(blind, blind.kit.catalogSecretKey),
      {
        ...parts(blind, undefined),
        certificate: blind.certificateFor(newSigningKey(blind.random)),
      },
    ];
    for (const refusal of refusals)
      await expect(store.addVault(refusal)).rejects.toMatchObject({ code: 'STORE_VAULT_MISMATCH' });
    await expect(
      store.addVault({
        ...parts(blind, undefined),
        certificate: open.certificateFor(store.identity),
      }),
    ).rejects.toMatchObject({
      code: 'CERT_SIGNATURE',
    });
    await store.addVault(parts(blind, undefined));
    await store.close();
    const again = await openCollector(dir, open.ports());
    expect(
      again
        .vaults()
        .map((one) => [one.descriptor.name, one.catalogSecretKey === undefined])
        .sort(),
    ).toEqual([
      ['Vault blind', true],
      ['Vault open', false],
    ]);
    expect(again.vault(open.descriptor.vaultId)?.log.treeHead().size).toBe(1);
    await again.close();
    expect(
      statSync(join(dir, 'vaults', hex(open.descriptor.vaultId), 'catalog.key')).mode & 0o777,
    ).toBe(privateMode);
  });

  test('a closed store says so', async () => {
    const world = new StoreWorld('closed', { blind: true });
    const store = await initCollector(place(), { name: 'freezer' }, world.ports());
    const vault = await store.addVault({
      descriptor: world.kit.descriptor,
      certificate: world.certificateFor(store.identity),
      catalogSecretKey: undefined,
    });
    await store.close();
    await expect(vault.intake.sync()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    expect(() => vault.figures.stats()).toThrow('closed');
  });
});
