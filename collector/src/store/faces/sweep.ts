import type { VaultCore } from '../vault/core.ts';
import { nextGcEpoch, noteLearned, sweepWaitsFor } from '../vault/gc-epochs.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultSweep } from '../vault-store.ts';

export function sweepOf({ keeper }: VaultParts): VaultSweep {
  const listeners = new Set<(epoch: number) => void>();
  return {
    gcEpoch: () => keeper.live().registry.gcEpoch,

    async announceGcEpoch(nowMs) {
      const announce = async (core: VaultCore): Promise<{ gcEpoch: number; leafIndex: number }> => {
        const gcEpoch = nextGcEpoch(core, nowMs);
        const event = { type: 'gcEpochAnnounced', timeMs: nowMs, gcEpoch } as const;
        return { gcEpoch, leafIndex: await core.appendEvent(event, nowMs) };
      };
      const { gcEpoch } = await keeper.doDurably(announce, ({ leafIndex }) => leafIndex);
      for (const listener of listeners) listener(gcEpoch);
      return gcEpoch;
    },

    onGcEpoch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },

    gcLearned: (agentId, chainId, epoch) => noteLearned(keeper.live(), agentId, chainId, epoch),

    sweepWaitsFor: (epoch) => sweepWaitsFor(keeper.live(), epoch),
  };
}
