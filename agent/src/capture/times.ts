import { MAX_TIME_MS } from '@aliquot/proto';
import type { SourceStat } from '../source/source-port.ts';

/**
 * A time of this PC as records hold it: a clock that shows a year before 1970 or beyond all sense
 * must not keep anything from being recorded. The collector puts it right with its own times.
 */
export function claimedMs(nowMs: number): number {
  return Math.min(Math.max(0, Math.floor(nowMs)), MAX_TIME_MS);
}

/**
 * File systems stamp changes in ticks: within this time a second change can leave the same stamps
 * (kernel tick, NTFS clock).
 */
const TICK_MS = 20;
/** Where stamps are whole seconds (FAT, some network shares), a tick is up to two of them. */
const COARSE_TICK_MS = 2000;

/**
 * For how long after its last change a file may change again without showing it, and how long ago
 * that change was.
 */
function freshness(
  { mtimeNs, ctimeNs }: Pick<SourceStat, 'mtimeNs' | 'ctimeNs'>,
  nowMs: number,
): { tick: number; age: number } {
  const newest = mtimeNs > ctimeNs ? mtimeNs : ctimeNs;
  const tick = ctimeNs % 1_000_000_000n === 0n ? COARSE_TICK_MS : TICK_MS;
  return { tick, age: Math.abs(nowMs - Number(newest / 1_000_000n)) };
}

/**
 * Whether a file read at `nowMs` may have changed again unseen, because it was read within one tick
 * of its last change.
 */
export function isFresh(stat: Pick<SourceStat, 'mtimeNs' | 'ctimeNs'>, nowMs: number): boolean {
  const { tick, age } = freshness(stat, nowMs);
  return age <= tick;
}

/** How long to wait until every further change will show in the stamps; 0 when it would now. */
export function restMs(stat: Pick<SourceStat, 'mtimeNs' | 'ctimeNs'>, nowMs: number): number {
  return isFresh(stat, nowMs) ? freshness(stat, nowMs).tick + 1 : 0;
}
