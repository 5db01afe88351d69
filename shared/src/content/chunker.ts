import type { VaultParameters } from '@aliquot/proto';
import { SealError } from './errors.ts';
import { findCut, GEAR_WINDOW, rollTo } from './gear-scan.ts';

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
