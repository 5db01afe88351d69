import type { VaultStats } from '../vault-records.ts';
import type { VaultCore } from './core.ts';

/** The figures of a vault, from sums that the catalog keeps as it grows. */
export function statsOf(core: VaultCore): VaultStats {
  const { commits, versions, files } = core.sums;
  const { chunks, pages, slabs } = core.items.sums;
  // Exact up to 2^53, which nobody's real files come to.
  const [rawBytes, uniqueBytes, storedBytes] = [
    Number(core.sums.rawBytes),
    Number(core.sums.uniqueBytes),
    Number(core.items.sums.storedBytes),
  ];
  const ratio = (a: number, b: number): number => (a === 0 || b === 0 ? 1 : a / b);
  return {
    rawBytes,
    uniqueBytes,
    storedBytes,
    packBytes: core.bytes,
    chunks,
    pages,
    slabs,
    packs: core.packs.packs().length,
    commits,
    versions,
    files,
    liveBytes: Number(core.sums.liveBytes),
    dedupRatio: ratio(rawBytes, uniqueBytes),
    compressionRatio: ratio(uniqueBytes, storedBytes),
    damaged: core.items.damagedCount,
  };
}
