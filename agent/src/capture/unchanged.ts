import type { KnownStat } from '../queue/log/facts.ts';
import type { SourceStat } from '../source/source-port.ts';
import { isRested, isUnproved } from './growth.ts';
import { isFresh } from './times.ts';

/** What of a known file is compared with what is found. */
export type KnownStamps = Pick<
  KnownStat,
  'kind' | 'mode' | 'size' | 'mtimeNs' | 'ctimeNs' | 'ino' | 'contentTag' | 'capturedAtMs'
>;

/**
 * Whether the stamps of an item are those that were captured, and old enough then to have shown any
 * later change.
 */
export function isUnchanged(stat: SourceStat, known: KnownStamps, nowMs: number): boolean {
  if (stat.kind !== known.kind || stat.mode !== known.mode || stat.mtimeNs !== known.mtimeNs)
    return false;
  if (stat.kind === 'directory') return true;
  if (stat.size !== known.size && stat.kind === 'file') return false;
  if (stat.ctimeNs !== known.ctimeNs || stat.ino !== known.ino) return false;
  // Captured while it grew, and at rest now: it is read whole, and compared.
  if (isUnproved(known) && isRested(known, nowMs)) return false;
  // A file read within one tick of its last change may have changed again unseen, so it is read
  // once more (as git does).
  return stat.kind !== 'file' || !isFresh(known, known.capturedAtMs);
}

/**
 * Whether a placeholder stands for what was captured while its content was here: to put it away
 * changes the other stamps.
 */
export function isSameAway(stat: SourceStat, known: KnownStamps): boolean {
  return (
    known.kind === 'file' &&
    stat.size === known.size &&
    stat.mtimeNs === known.mtimeNs &&
    !isUnproved(known)
  );
}
