import { SignedHeads } from '../signed-heads.ts';
import { judgeHead } from '../vault/judge-head.ts';
import { leafAt } from '../vault/read-back.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultLog } from '../vault-store.ts';

export function logOf({ vault, keeper }: VaultParts): VaultLog {
  const heads = new SignedHeads(vault.identity, {
    vaultId: vault.descriptor.vaultId,
    collectorId: vault.certificate.collectorId,
  });
  return {
    head: (nowMs) => heads.sign(keeper.durableHead, nowMs),
    treeHead: () => keeper.durableHead,
    inclusion: (leafIndex, size) => keeper.ask(({ log }) => log.inclusionProof(leafIndex, size)),
    consistency: (fromSize, toSize) =>
      keeper.ask(({ log }) => log.consistencyProof(fromSize, toSize)),
    leafAt: (leafIndex) => keeper.ask((core) => leafAt(core, leafIndex)),
    judgeHead: (head) => keeper.ask((core) => judgeHead(core, head)),

    openings(afterEpoch) {
      const durable = keeper.durableHead.size;
      return keeper
        .live()
        .openings.filter(({ logEpoch, leafIndex }) => logEpoch > afterEpoch && leafIndex < durable)
        .map(({ opening, leafIndex, leaf }) => ({ opening, leafIndex, leaf }));
    },

    reportedHeads: () =>
      keeper
        .live()
        .registry.reported()
        .map(([, head]) => head),
  };
}
