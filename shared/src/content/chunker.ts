import type { VaultParameters } from '@aliquot/proto';
import { SealError } from './errors.ts';
import { arenaOf } from './kernels/kernels.ts';

/**
 * How many bits the two masks differ from the average: level 2 of the paper, its best trade between
 * evenness and speed.
 */
const NORMALISATION = 2;

interface CutRule {
  readonly min: number;
  readonly average: number;
  readonly max: number;
  readonly maskBeforeAverage: number;
  readonly maskAfterAverage: number;
}

/** A mask of the `bits` highest bits: those depend on the most bytes of the window. */
function highBits(bits: number): number {
  return (-1 << (32 - bits)) | 0;
}

function ruleFor(parameters: VaultParameters): CutRule {
  const {
    chunkerVersion,
    minChunkBytes: min,
    averageChunkBytes: average,
    maxChunkBytes: max,
  } = parameters;
  if (chunkerVersion !== 1) {
    throw new SealError(
      'SEAL_VERSION_UNKNOWN',
      `chunker version ${chunkerVersion} is not known to this release; update Aliquot`,
    );
  }
  const bits = Math.log2(average);
  const sane = Number.isInteger(bits) && bits > NORMALISATION && bits + NORMALISATION < 32;
  if (
    !sane ||
    !Number.isInteger(min) ||
    !Number.isInteger(max) ||
    min < GEAR_WINDOW ||
    min > average ||
    average > max
  ) {
    throw new SealError(
      'SEAL_PARAMETERS',
      `chunk sizes ${min}/${average}/${max} cannot be used; the average must be a power of two between them`,
    );
  }
  return {
    min,
    average,
    max,
    maskBeforeAverage: highBits(bits + NORMALISATION),
    maskAfterAverage: highBits(bits - NORMALISATION),
  };
}

/**
 * Content-defined chunking, version 1: FastCDC (Xia et al., USENIX ATC 2016) with normalisation
 * level 2 and a per-vault gear table.
 *
 * A chunk has `min` to `max` bytes (the last one of a stream may be shorter). Between `min` and
 * `average` a cut needs `log2(average) + 2` zero bits at the top of the rolling hash, after that
 * `log2(average) - 2`. The hash at a position is a function of the 32 bytes before it alone, and a
 * cut forgets all that came before: so the chunker may start again at any earlier cut and finds the
 * same cuts from there on (an appended file is read from its last cut).
 *
 * Cuts never depend on how the stream was divided into buffers. An instance serves one stream, and
 * takes its buffers one after the other.
 */
export class Chunker {
  readonly #table: Int32Array;
  readonly #rule: CutRule;
  #length = 0;
  #hash = 0;

  /** @throws SealError `SEAL_VERSION_UNKNOWN`, `SEAL_PARAMETERS`. */
  constructor(table: Int32Array, parameters: VaultParameters) {
    this.#table = table;
    this.#rule = ruleFor(parameters);
  }

  /**
   * Bytes taken since the last cut: at the end of the stream, the size of its last chunk (none when
   * 0).
   */
  get pending(): number {
    return this.#length;
  }

  /**
   * Takes the next bytes of the stream.
   *
   * @returns The cuts found in them, ascending, as offsets into `block` from 1 to `block.length`: a
   * chunk ends just before `block[cut]`.
   */
  push(block: Uint8Array): number[] {
    const cuts: number[] = [];
    let at = 0;
    while (at < block.length) {
      const cut = this.#next(block, at);
      if (cut < 0) break;
      cuts.push(cut);
      this.#length = 0;
      this.#hash = 0;
      at = cut;
    }
    return cuts;
  }

  /**
   * The end of the current chunk in `block`, or -1 when all of it belongs to the chunk and its end
   * is still to come.
   */
  #next(block: Uint8Array, from: number): number {
    const { min, average, max, maskBeforeAverage, maskAfterAverage } = this.#rule;
    const start = from - this.#length;
    const end = block.length;
    let at = from;

    // No cut can lie before `min`, so only the window that leads up to it is hashed; its last byte
    // is the first one tested.
    const firstTested = start + min - 1;
    if (at < firstTested) {
      const rollFrom = Math.max(from, start + min - GEAR_WINDOW);
      const rollEnd = Math.min(end, firstTested);
      this.#hash = rollTo(this.#table, block, rollFrom, rollEnd, this.#hash);
      at = rollEnd;
    }
    for (const [limit, mask] of [
      [average, maskBeforeAverage],
      [max, maskAfterAverage],
    ] as const) {
      const to = Math.min(end, start + limit);
      if (at < to) {
        const found = findCut(this.#table, block, at, to, this.#hash, mask);
        if (found.cut > 0) return found.cut;
        this.#hash = found.hash;
        at = to;
      }
    }
    if (end - start >= max) return start + max;
    this.#length = end - start;
    return -1;
  }
}

/**
 * Where the chunks of `bytes` end, ascending; the last is `bytes.length`. Empty for no bytes.
 * Test only: the agent reads files piece by piece.
 *
 * @throws SealError `SEAL_VERSION_UNKNOWN`, `SEAL_PARAMETERS`.
 */
export function cutPoints(
  table: Int32Array,
  parameters: VaultParameters,
  bytes: Uint8Array,
): number[] {
  const chunker = new Chunker(table, parameters);
  const cuts = chunker.push(bytes);
  if (chunker.pending > 0) cuts.push(bytes.length);
  return cuts;
}

/**
 * Bytes that a 32-bit gear hash remembers: each step shifts the oldest byte one bit further out.
 */
const GEAR_WINDOW = 32;

/** Rolls `hash` over `bytes[from..to)` without looking for a cut. */
function rollTo(
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
 * Rolls over `bytes[from..to)` until the hash has only zeros under `mask`. One gear hash over every
 * byte that is read, so it decides how fast a backup can be: written for what an optimising
 * JavaScript compiler does well, 32-bit integers only, no calls, and one exit test for eight bytes
 * (several tests in a row are predicted together; a loop test for each byte halves the speed).
 * Test only: an export, because its kernel is held against it.
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
