import { everyVersion, liveAt, liveNow, versionsOf, withoutFilesOf } from '../vault/history.ts';
import { readItems, readRuns } from '../vault/read-back.ts';
import { statsOf } from '../vault/stats.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultFigures, VaultReading } from '../vault-store.ts';

export function readingOf({ keeper }: VaultParts): VaultReading {
  const reading: VaultReading = {
    readItems: (ids) => readItems(() => keeper.ready(), ids),

    readRuns: (ids) => readRuns(() => keeper.ready(), ids),

    async *state(branchId, atMs) {
      const core = await keeper.settled();
      yield* atMs === undefined ? liveNow(core, branchId) : liveAt(core, branchId, atMs);
    },

    async *stateWithout(branchId, beside, atMs) {
      yield* withoutFilesOf(await keeper.settled(), beside, reading.state(branchId, atMs));
    },

    async *versions(branchId, fileId) {
      yield* versionsOf(await keeper.settled(), branchId, fileId);
    },

    async *everyVersion(branchId) {
      yield* everyVersion(await keeper.settled(), branchId);
    },
  };
  return reading;
}

export function figuresOf({ keeper }: VaultParts): VaultFigures {
  return {
    stats: () => statsOf(keeper.live()),

    growthPerDay(nowMs) {
      const { registry, bytes } = keeper.live();
      return registry.growth.perDay(nowMs, bytes);
    },
  };
}
