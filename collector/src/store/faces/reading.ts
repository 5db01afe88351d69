import {
  everyVersion,
  liveAt,
  liveNow,
  resultsAt,
  resultVersionsOf,
  versionsOf,
  withoutFilesOf,
} from '../vault/history.ts';
import { readItems, readRuns } from '../vault/read-back.ts';
import { statsOf } from '../vault/stats.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultFigures, VaultReading } from '../vault-store.ts';

export function readingOf({ keeper }: VaultParts): VaultReading {
  const ready = () => keeper.ready();
  const settled = () => keeper.settled();
  const reading: VaultReading = {
    readItems: (ids) => keeper.askMany(() => readItems(ready, ids)),

    readRuns: (ids) => keeper.askMany(() => readRuns(ready, ids)),

    state: (branchId, atMs) =>
      keeper.askMany(
        (core) => (atMs === undefined ? liveNow(core, branchId) : liveAt(core, branchId, atMs)),
        settled,
      ),

    stateWithout: (branchId, beside, atMs) =>
      keeper.askMany(
        (core) => withoutFilesOf(core, beside, reading.state(branchId, atMs)),
        settled,
      ),

    versions: (branchId, fileId) =>
      keeper.askMany((core) => versionsOf(core, branchId, fileId), settled),

    results: (branchId, atMs) => keeper.askMany((core) => resultsAt(core, branchId, atMs), settled),

    resultVersions: (branchId, resultId) =>
      keeper.askMany((core) => resultVersionsOf(core, branchId, resultId), settled),

    everyVersion: (branchId) => keeper.askMany((core) => everyVersion(core, branchId), settled),
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
