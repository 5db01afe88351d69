import { Serial } from '@aliquot/shared/serial';
import { spaceOf } from '../vault/pack-space.ts';
import { newCounts, rewritePacks } from '../vault/rewrite.ts';
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
        const report = await reserve.withRoom(() => rewritePacks(parts, options, counts));
        await reserve.restore();
        return report;
      }),

    withRoom: (work) => reserve.withRoom(work),
  };
}
