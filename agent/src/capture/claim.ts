import { MAX_TIME_MS } from '@aliquot/proto';

/**
 * A time of this PC as records hold it: a clock that shows a year before 1970 or beyond all sense
 * must not keep anything from being recorded. The collector puts it right with its own times.
 */
export function claimedMs(nowMs: number): number {
  return Math.min(Math.max(0, Math.floor(nowMs)), MAX_TIME_MS);
}
