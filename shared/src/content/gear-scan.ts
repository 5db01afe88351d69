import { arenaOf } from './kernels/kernels.ts';

/**
 * The inner loop of the chunker: one gear hash over every byte that is read, so it decides how fast
 * a backup can be.
 *
 * It is written for what an optimising JavaScript compiler does well: 32-bit integers only, no
 * calls, and one exit test for eight bytes (several tests in a row are predicted together; a loop
 * test for each byte halves the speed).
 */

/**
 * Bytes that a 32-bit gear hash remembers: each step shifts the oldest byte one bit further out.
 */
export const GEAR_WINDOW = 32;

/** Rolls `hash` over `bytes[from..to)` without looking for a cut. */
export function rollTo(
  table: Int32Array,
  bytes: Uint8Array,
  from: number,
  to: number,
  hash: number,
): number {
  let h = hash | 0;
  for (let i = from; i < to; i += 1) h = ((h << 1) + word(table, bytes, i)) | 0;
  return h;
}

/**
 * Rolls over `bytes[from..to)` until the hash has only zeros under `mask`.
 *
 * @returns `cut`: the offset just after the byte that ended the chunk, or -1; `hash`: the hash at
 * the end of the range.
 */
export function findCut(
  table: Int32Array,
  bytes: Uint8Array,
  from: number,
  to: number,
  hash: number,
  mask: number,
): { readonly cut: number; readonly hash: number } {
  const fast = arenaOf(bytes);
  if (fast !== undefined) return fast.findCut(table, bytes, from, to, hash, mask);
  let h = hash | 0;
  let i = from;
  for (const last = to - 7; i < last; i += 8) {
    const a = ((h << 1) + word(table, bytes, i)) | 0;
    const b = ((a << 1) + word(table, bytes, i + 1)) | 0;
    const c = ((b << 1) + word(table, bytes, i + 2)) | 0;
    const d = ((c << 1) + word(table, bytes, i + 3)) | 0;
    const e = ((d << 1) + word(table, bytes, i + 4)) | 0;
    const f = ((e << 1) + word(table, bytes, i + 5)) | 0;
    const g = ((f << 1) + word(table, bytes, i + 6)) | 0;
    const k = ((g << 1) + word(table, bytes, i + 7)) | 0;
    if ((a & mask) === 0 || (b & mask) === 0 || (c & mask) === 0 || (d & mask) === 0) break;
    if ((e & mask) === 0 || (f & mask) === 0 || (g & mask) === 0 || (k & mask) === 0) break;
    h = k;
  }
  // The tail, or the eight bytes among which the cut lies.
  for (; i < to; i += 1) {
    h = ((h << 1) + word(table, bytes, i)) | 0;
    if ((h & mask) === 0) return { cut: i + 1, hash: h };
  }
  return { cut: -1, hash: h };
}

/**
 * The gear word of one byte; both reads are in range by the callers' bounds, which the type of an
 * index cannot say.
 */
function word(table: Int32Array, bytes: Uint8Array, at: number): number {
  return table[bytes[at] as number] as number;
}
