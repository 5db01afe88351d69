/** How far the collection of one lineage has come, by the vault's history alone. */
export interface LineageProgress {
  /** The newest epoch that was announced to its agents; 0 before the first. */
  readonly announced: number;
  /** The newest epoch of which the sweep has come to its end; 0 before the first. */
  readonly swept: number;
  /** Whether any version of it was dropped since `announced`. */
  readonly hasDropped: boolean;
}

/**
 * Whether versions of the lineage may be dropped now. Not between announcement and end of a sweep:
 * its agents have answered that epoch, and rely since on what was kept when it was announced. What
 * would be dropped under them waits for the next one.
 */
export function mayDrop({ announced, swept }: LineageProgress): boolean {
  return announced <= swept;
}

/**
 * Whether a new epoch may be announced to the lineage: nothing of an earlier one is under way, and
 * something was dropped that a sweep could find.
 */
export function mayAnnounce({ announced, swept, hasDropped }: LineageProgress): boolean {
  return announced <= swept && hasDropped;
}

/** What an epoch could free, in plaintext bytes. */
export interface ExpectedGain {
  /** Of the versions that were dropped since the last announcement: so much at most. */
  readonly droppedBytes: bigint;
  /** Of the versions that are left. */
  readonly keptBytes: bigint;
  /** A person, or a disk that is nearly full, wants everything that can be had. */
  readonly isAsked: boolean;
}

const WORTH_PERCENT = 5n;
const WORTH_BYTES = 16n * 1024n ** 3n;

/**
 * Whether an epoch is worth what it costs: it empties the chunk caches of the lineage's agents, and
 * each file that grows is read whole once more.
 */
export function isWorthAnEpoch({ droppedBytes, keptBytes, isAsked }: ExpectedGain): boolean {
  if (droppedBytes === 0n) return isAsked;
  if (isAsked || droppedBytes >= WORTH_BYTES) return true;
  return droppedBytes * 100n >= (droppedBytes + keptBytes) * WORTH_PERCENT;
}

/**
 * What an epoch goes beyond one of a clock that stood ahead: the clock's milliseconds up to this.
 */
const BEYOND = 2 ** 32;

/**
 * The number of the next epoch, above the newest that is known: the clock's milliseconds. No number
 * may be given twice, also after the log has lost its tail: an agent that has learnt it empties its
 * cache no second time. So where the clock stood ahead once, and the newest epoch is of then, the
 * next one is as much above it as the clock says, and not merely the next number.
 */
export function nextSweepEpoch(newest: number, nowMs: number): number {
  const now = Math.floor(nowMs);
  return now > newest ? now : newest + 1 + (now % BEYOND);
}
