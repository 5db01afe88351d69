import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultHolds } from '../vault-store.ts';

export function holdsOf({ keeper }: VaultParts): VaultHolds {
  return {
    all: () => keeper.live().registry.holds.all(),
  };
}
