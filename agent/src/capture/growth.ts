import type { KnownFile } from '../queue/ledger/ledger.ts';
import type { SourceStat } from '../source/source-port.ts';
import { readGrowthHead } from './growth-state.ts';

/**
 * Below this, reading the whole again costs less than the trouble. Test only: its boundary is
 * tested.
 */
export const LEAST_GROWING_BYTES = 8 << 20;
/** After this long without a change a file captured while growing is read whole, and compared. */
const GROWTH_RESTS_MS = 3_600_000;
/** A file that never rests is read whole this often anyway. */
const LONGEST_UNPROVED_MS = 7 * 24 * 3_600_000;
/**
 * What was captured as it was is read whole at its rest if that comes to no more than so much, on
 * average, since it was last read whole.
 */
const WHOLE_BYTES_PER_MS = 10_000;
/** Whether a file is so large that its growth is remembered, and reading it whole is not free. */
export function mayBeContinued({ size }: Pick<KnownFile, 'size'>): boolean {
  return size >= LEAST_GROWING_BYTES;
}

/**
 * Whether the newest version of a file was captured while it grew: nothing has read all of it
 * since.
 */
export function isUnproved({
  kind,
  size,
  contentTag,
}: Pick<KnownFile, 'kind' | 'size' | 'contentTag'>): boolean {
  return kind === 'file' && size > 0 && contentTag.every((byte) => byte === 0);
}

/**
 * Whether such a file has rested long enough to be read whole, with the stamps that it was captured
 * with. A small one costs nothing.
 */
export function isRested(
  { size, mtimeNs, capturedAtMs }: Pick<KnownFile, 'size' | 'mtimeNs' | 'capturedAtMs'>,
  nowMs: number,
): boolean {
  return (
    !mayBeContinued({ size }) ||
    nowMs - Math.min(capturedAtMs, Number(mtimeNs / 1_000_000n)) >= GROWTH_RESTS_MS
  );
}

/**
 * How to read a file of which a state is known: only what was appended, or all of it, to compare.
 * Undefined when the state is another version's, or nothing is to be learnt from it. A larger size
 * and a newer time on the same inode say that it was appended to. The chunks that are read again to
 * open the state say that nothing else happened, and in the end the comparison of the whole file
 * does. `restsAtLast`: it was captured as it was, and has come to rest: it is read whole as soon as
 * that is cheap.
 */
export function growthFor(
  known: KnownFile,
  now: Pick<SourceStat, 'size' | 'mtimeNs' | 'ino'>,
  state: Uint8Array,
  nowMs: number,
  restsAtLast = false,
): { readonly state: Uint8Array; readonly whole: boolean } | undefined {
  const head = readGrowthHead(state);
  if (head === undefined || head.size !== known.size || head.mtimeNs !== known.mtimeNs)
    return undefined;
  if (head.capturedAtMs !== known.capturedAtMs) return undefined;
  const grew = now.size > known.size && now.ino === known.ino && now.mtimeNs > known.mtimeNs;
  if (!grew && !isUnproved(known)) return undefined;
  const sinceMs = nowMs - head.readWholeMs;
  const isCheap = restsAtLast && sinceMs * WHOLE_BYTES_PER_MS >= now.size;
  return { state, whole: !grew || isCheap || sinceMs >= LONGEST_UNPROVED_MS };
}
