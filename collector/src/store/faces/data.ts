import { Serial } from '@aliquot/shared/serial';
import { spaceOf } from '../vault/pack-space.ts';
import { newCounts, rewritePacks } from '../vault/rewrite.ts';
import { newHistoryCounts, thinHistory } from '../vault/thin-history.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultData } from '../vault-collection.ts';

export function dataOf(parts: VaultParts): VaultData {
  const { keeper, reserve } = parts;
  const rewriting = new Serial();
  return {
    space: async () => {
      return { ...(await keeper.ask(spaceOf)), reserveBytes: reserve.bytes };
    },

    rewrite: (options = {}) =>
      rewriting.run(async () => {
        const counts = newCounts();
        const packs = await reserve.withRoom(() => rewritePacks(parts, options, counts));
        const { budgetBytes = Number.POSITIVE_INFINITY } = options;
        const left = { ...options, budgetBytes: budgetBytes - packs.copiedBytes };
        const done = newHistoryCounts();
        const history = await reserve.withRoom(() => thinHistory(parts, left, done));
        await reserve.restore();
        return { ...packs, history, isDone: packs.isDone && history.isDone };
      }),

    withRoom: (work) => reserve.withRoom(work),
  };
}
