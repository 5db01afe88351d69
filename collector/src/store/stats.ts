import type { VaultCore } from './core.ts';
import type { VaultStats } from './vault-store.ts';

/** The figures of a vault, from sums that the catalog keeps as it grows. */
export function statsOf(core: VaultCore): VaultStats {
  const { rawBytes, uniqueBytes, storedBytes, chunks, pages, commits, versions, files, liveBytes } = core.sums;
  const ratio = (a: number, b: number): number => (a === 0 || b === 0 ? 1 : a / b);
  return {
    rawBytes,
    uniqueBytes,
    storedBytes,
    packBytes: core.journal.bytes,
    chunks,
    pages,
    packs: core.journal.packs,
    commits,
    versions,
    files,
    liveBytes,
    dedupRatio: ratio(rawBytes, uniqueBytes),
    compressionRatio: ratio(uniqueBytes, storedBytes),
    damaged: core.damagedCount,
  };
}
