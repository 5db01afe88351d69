import { SignedHeads } from '../signed-heads.ts';
import { judgeHead } from '../vault/judge-head.ts';
import { eventsOf, leavesOf, policyEvents, purgeEvents } from '../vault/proof-records.ts';
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
    lastMs: () => keeper.live().sums.lastLeafMs || undefined,
    times: () => keeper.live().registry.times,
    inclusion: (leafIndex, size) => keeper.ask(({ log }) => log.inclusionProof(leafIndex, size)),
    consistency: (fromSize, toSize) =>
      keeper.ask(({ log }) => log.consistencyProof(fromSize, toSize)),
    leaves: (from, size) =>
      keeper.askMany(
        (core) => leavesOf(core, from, size),
        () => keeper.settled(),
      ),
    events: (from, size) =>
      keeper.askMany(
        (core) => eventsOf(core, from, size),
        () => keeper.settled(),
      ),
    policies: (size) =>
      keeper.ask(
        (core) => policyEvents(core, size),
        () => keeper.settled(),
      ),
    purges: (size) =>
      keeper.ask(
        (core) => purgeEvents(core, size),
        () => keeper.settled(),
      ),
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
