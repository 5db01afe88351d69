import {
  everyVersion,
  liveAt,
  liveNow,
  resultsAt,
  resultVersionsOf,
  versionsOf,
  withoutFilesOf,
} from '../vault/history.ts';
import { lostCommit } from '../vault/lost-commits.ts';
import { goneEvents, historyCommits } from '../vault/proof-records.ts';
import { readItems, readRuns } from '../vault/read-back.ts';
import { statsOf } from '../vault/stats.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultReading } from '../vault-reading.ts';
import type { VaultFigures } from '../vault-store.ts';

export function readingOf({ keeper }: VaultParts): VaultReading {
  const ready = () => keeper.ready();
  const settled = () => keeper.settled();
  const reading: VaultReading = {
    readItems: (ids) => keeper.askMany(() => readItems(ready, ids)),

    readRuns: (ids) => keeper.askMany(() => readRuns(ready, ids)),

    lostCommits: () => {
      const core = keeper.live();
      return [...core.broken].map(([leafIndex, row]) =>
        lostCommit(core, leafIndex, row, undefined),
      );
    },

    state: (branchId, atMs, onLost) =>
      keeper.askMany(
        (core) =>
          atMs === undefined
            ? liveNow(core, branchId, onLost)
            : liveAt(core, branchId, atMs, onLost),
        settled,
      ),

    stateWithout: (branchId, beside, atMs, onLost) =>
      keeper.askMany(
        (core) => withoutFilesOf(core, beside, reading.state(branchId, atMs, onLost)),
        settled,
      ),

    versions: (branchId, fileId, onLost) =>
      keeper.askMany((core) => versionsOf(core, branchId, fileId, onLost), settled),

    results: (branchId, atMs, onLost) =>
      keeper.askMany((core) => resultsAt(core, branchId, atMs, onLost), settled),

    resultVersions: (branchId, resultId, onLost) =>
      keeper.askMany((core) => resultVersionsOf(core, branchId, resultId, onLost), settled),

    commits: (lineageId, from, size) =>
      keeper.askMany((core) => historyCommits(core, lineageId, from, size), settled),

    goneEvents: (branchId, size) => keeper.ask((core) => goneEvents(core, branchId, size)),

    everyVersion: (branchId, onLost) =>
      keeper.askMany((core) => everyVersion(core, branchId, onLost), settled),
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
