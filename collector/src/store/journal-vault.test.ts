import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { onTestFinished } from 'vitest';
import { vaultStoreConformance } from '../../testing/store/conformance.ts';
import { JournalVault } from './journal-vault.ts';
import type { VaultStore } from './vault-store.ts';

for (const packBytes of [undefined, 4096]) {
  vaultStoreConformance(
    packBytes === undefined ? 'journal of 64 MiB packs' : `journal of packs of ${packBytes} bytes`,
    () => {
      const dir = temporaryFolder();
      const open = new Set<VaultStore>();
      return {
        async open(world) {
          const ports = packBytes === undefined ? world.ports() : world.ports({ packBytes });
          const store = await JournalVault.open(dir, world.identity, ports);
          open.add(store);
          onTestFinished(() => store.close());
          return store;
        },
        async close(store) {
          if (store instanceof JournalVault) await store.close();
          open.delete(store);
        },
      };
    },
  );
}
