import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { onTestFinished } from 'vitest';
import { vaultStoreConformance } from '../../testing/store/conformance.ts';
import { HistoryMedium, MemoryHistory } from '../../testing/store/memory-history.ts';
import { MemoryPacks, PackMedium } from '../../testing/store/memory-packs.ts';
import { ObjectPacks, objectsOnly } from '../../testing/store/object-packs.ts';
import type { StoreWorld } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';
import { diskMedia, type VaultMedia } from './vault/media.ts';

/** What a vault is opened on, again and again. */
const tenants: Readonly<Record<string, () => (world: StoreWorld) => VaultMedia>> = {
  'on disk': () => onDisk({}),
  'on disk, in small packs and files': () => onDisk({ packBytes: 4096, historyFileBytes: 8192 }),
  'in memory': inMemory,
  'with packs as objects in a folder': onObjects,
};

function onDisk(sizes: { readonly packBytes?: number; readonly historyFileBytes?: number }) {
  const dir = temporaryFolder();
  return (world: StoreWorld) =>
    diskMedia(dir, world.descriptor.vaultId, { ...world.ports(), ...sizes });
}

/** History and packs in memory; the catalog follows from both, and lies in a folder. */
function inMemory() {
  const onFolder = onDisk({});
  const [history, packs] = [new HistoryMedium(), new PackMedium()];
  return (world: StoreWorld): VaultMedia => ({
    ...onFolder(world),
    openHistory: async (opening) => new MemoryHistory(history, opening),
    openPacks: async (opening) => new MemoryPacks(packs, opening, { packBytes: 4096 }),
  });
}

/** As over an object store: packs are put whole, and neither grow nor are renamed. */
function onObjects() {
  const onFolder = onDisk({});
  const dir = temporaryFolder();
  return (world: StoreWorld): VaultMedia => ({
    ...onFolder(world),
    openPacks: (opening) =>
      ObjectPacks.open(
        dir,
        world.descriptor.vaultId,
        { ...world.ports(), files: objectsOnly, packBytes: 4096 },
        opening,
      ),
  });
}

for (const [name, tenant] of Object.entries(tenants)) {
  vaultStoreConformance(name, () => {
    const mediaOf = tenant();
    return {
      async open(world) {
        const store = await StoredVault.open(mediaOf(world), world.identity, world.ports());
        onTestFinished(() => store.close());
        return store;
      },
      async close(store) {
        if (store instanceof StoredVault) await store.close();
      },
    };
  });
}
