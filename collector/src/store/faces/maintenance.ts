import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultMaintenance } from '../vault-collection.ts';

export function maintenanceOf({ keeper }: VaultParts): VaultMaintenance {
  return {
    failed: (work) => keeper.live().registry.failedWorks.of(work),

    ended(work, failure) {
      const { registry, catalog } = keeper.live();
      registry.failedWorks.note(catalog, work, failure);
    },
  };
}
