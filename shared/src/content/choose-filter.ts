import { histogramCost } from './entropy.ts';
import { type Filter, MAX_ROW_BYTES, noFilter } from './filters.ts';
import { MAX_SLOWNESS, type Samples } from './samples.ts';

/*
 * Which filter suits a chunk is decided on some 8 KiB of it: a few pieces, evenly spread. What is
 * asked, cheapest first:
 *
 * 1. Is it text, and short? Then there is nothing to find.
 * 2. At which distance do bytes come back most often? That is the length of its rows, or of its
 *    numbers. (The distance between equal contexts is how the PAQ compressors find records.)
 * 3. For rows: is a column cheaper as it is or as differences, by its entropy?
 * 4. For samples: which width, byte order and alignment leave the smallest differences, and how
 *    slowly should the prediction follow?
 * 5. Of what is left, which takes the least behind the compressor itself?
 *
 * All sums are of integers: every platform decides alike.
 */

/**
 * Chunks below this keep their order: what a filter spares there is less than what looking for it
 * costs.
 */
const LEAST_BYTES = 1024;
/**
 * A text below this is not searched. Of those there are many, and tables of fixed width are found
 * among the long ones.
 */
const LEAST_TEXT_BYTES = 64 * 1024;
const PIECES = 4;
const PIECE_BYTES = 2048;
/** Pieces begin at multiples of this, so that numbers stand in all of them at the same places. */
const PIECE_ALIGNMENT = 8;
/** A sample of which less is left has nothing in it that a filter could find. */
const LEAVE_BELOW = 0.04;
/**
 * A filter must bring this much at least: plain bytes cost nothing to restore, and a sample errs.
 */
const PAYS_BELOW = 0.985;
/** Samples that bring this much need no comparison with rows. */
const SURE_BELOW = 0.8;
/** A column is written as differences where they take this part of its own entropy, or less. */
const DELTA_BELOW = 0.95;
/** What is looked at of each piece for byte order and alignment. */
const PROBE_BYTES = 512;
/**
 * Numbers of the wrong byte order and alignment look nearly as even when their high bytes hardly
 * change: a tie is for little endian.
 */
const OTHER_ORDER_BELOW = 0.97;
/**
 * Each step slower must bring this much: the prediction falls behind where a trace is steep, and
 * the sample may have missed it.
 */
const SLOWER_BELOW = 0.9875;

/** Loud: more than one of so many differences of neighbours needs more than a byte … */
const LOUD_ONE_OF = 50;
/** … and fewer than one of so many needs more than 12 bits. */
const TOO_LOUD_ONE_OF = 64;

/** The bytes that a sample takes behind a filter and the compressor. */
export type Measure = (sample: Uint8Array, filter: Filter) => number;

/** The filter for a chunk: pure, as far as `measure` is. */
export function chooseFilter(plain: Uint8Array, measure: Measure): Filter {
  if (plain.length < LEAST_BYTES) return noFilter;
  const sample = sampleOf(plain, 1);
  const probe = probeOf(sample);
  const text = isText(probe);
  if (text && plain.length < LEAST_TEXT_BYTES) return noFilter;
  const unfiltered = measure(sample, noFilter);
  if (unfiltered < sample.length * LEAVE_BELOW) return noFilter;
  const trial = new Trial(plain, measure, unfiltered / sample.length);
  const { likeliest, number } = distances(middleOf(sample));
  if (!text) {
    const first = number === 4 ? 4 : 2;
    if (trial.samples(sample, probe, first) && likeliest <= 4) return trial.best;
    trial.samples(sample, probe, first === 4 ? 2 : 4);
  }
  trial.records(likeliest);
  if (number !== likeliest && !text) trial.records(number);
  return trial.best;
}

/** Remembers the best of the filters that were tried. */
class Trial {
  readonly #plain: Uint8Array;
  readonly #measure: Measure;
  readonly #unfiltered: number;
  #least: number;
  #best: Filter = noFilter;

  /** `unfiltered`: the part of its size that the sample keeps without any filter. */
  constructor(plain: Uint8Array, measure: Measure, unfiltered: number) {
    this.#plain = plain;
    this.#measure = measure;
    this.#unfiltered = unfiltered;
    this.#least = unfiltered * PAYS_BELOW;
  }

  get best(): Filter {
    return this.#best;
  }

  records(rowBytes: number): void {
    const sample = sampleOf(this.#plain, rowBytes);
    this.#try(sample, { kind: 'records', rowBytes, deltas: deltaColumns(sample, rowBytes) });
  }

  /** Whether this is so good that nothing else needs to be tried. */
  samples(sample: Uint8Array, probe: Uint8Array, width: 2 | 4): boolean {
    const filter = fitSamples(sample, probe, width);
    return this.#try(sample, filter) < this.#unfiltered * SURE_BELOW;
  }

  #try(sample: Uint8Array, filter: Filter): number {
    const kept = this.#measure(sample, filter) / sample.length;
    if (kept < this.#least) {
      this.#least = kept;
      this.#best = filter;
    }
    return kept;
  }
}

/**
 * Pieces of the chunk, one behind the other, each of whole rows of `rowBytes` (as rows count from
 * the chunk's start).
 */
function sampleOf(plain: Uint8Array, rowBytes: number): Uint8Array {
  if (plain.length <= PIECES * PIECE_BYTES)
    return plain.subarray(0, plain.length - (plain.length % rowBytes));
  const sample = new Uint8Array(PIECES * PIECE_BYTES);
  const step = Math.floor((plain.length - PIECE_BYTES) / (PIECES - 1));
  const length = PIECE_BYTES - (PIECE_BYTES % rowBytes);
  for (let piece = 0; piece < PIECES; piece += 1) {
    const at = piece * step;
    const from = rowBytes === 1 ? at - (at % PIECE_ALIGNMENT) : at - (at % rowBytes);
    sample.set(plain.subarray(from, from + length), piece * length);
  }
  return sample.subarray(0, PIECES * length);
}

function isText(sample: Uint8Array): boolean {
  for (let at = 0; at < sample.length; at += 1)
    if (TEXT_BYTES[sample[at] as number] === 0) return false;
  return true;
}

/** 1 for the bytes of ASCII text: printable, tab, line feed, carriage return. */
const TEXT_BYTES = new Uint8Array(256).fill(1, 32, 127);
for (const control of '\t\n\r') TEXT_BYTES[control.charCodeAt(0)] = 1;

const CONTEXTS = 4096;
const lastByte = new Int32Array(256);
const lastPair = new Int32Array(CONTEXTS);
const counts = new Int32Array(MAX_ROW_BYTES + 1);

/**
 * At which distance bytes, and pairs of bytes, come back most often; and which width of numbers
 * comes first among 2, 4 and 8.
 */
function distances(sample: Uint8Array): { readonly likeliest: number; readonly number: number } {
  counts.fill(0);
  lastByte.fill(-MAX_ROW_BYTES - 1);
  lastPair.fill(-MAX_ROW_BYTES - 1);
  let before = sample[0] as number;
  for (let at = 1; at < sample.length; at += 1) {
    const byte = sample[at] as number;
    const single = at - (lastByte[byte] as number);
    lastByte[byte] = at;
    if (single <= MAX_ROW_BYTES) counts[single] = (counts[single] as number) + 1;
    const pair = (byte * 31 + before * 7) & (CONTEXTS - 1);
    const double = at - (lastPair[pair] as number);
    lastPair[pair] = at;
    if (double <= MAX_ROW_BYTES) counts[double] = (counts[double] as number) + 2;
    before = byte;
  }
  // Distance 1 is a run of one value: it says nothing about rows.
  let likeliest = 2;
  for (let distance = 3; distance <= MAX_ROW_BYTES; distance += 1) {
    if ((counts[distance] as number) > (counts[likeliest] as number)) likeliest = distance;
  }
  let number = 2;
  for (const width of [4, 8])
    if ((counts[width] as number) > (counts[number] as number)) number = width;
  return { likeliest, number };
}

const asItIs = new Uint16Array(256);
const asDifferences = new Uint16Array(256);

function deltaColumns(sample: Uint8Array, rowBytes: number): boolean[] {
  const rows = sample.length / rowBytes;
  const deltas: boolean[] = [];
  for (let column = 0; column < rowBytes; column += 1) {
    asItIs.fill(0);
    asDifferences.fill(0);
    let before = 0;
    for (let at = column; at < sample.length; at += rowBytes) {
      const value = sample[at] as number;
      asItIs[value] = (asItIs[value] as number) + 1;
      const difference = (value - before) & 0xff;
      asDifferences[difference] = (asDifferences[difference] as number) + 1;
      before = value;
    }
    deltas.push(histogramCost(asDifferences, rows) < histogramCost(asItIs, rows) * DELTA_BELOW);
  }
  return deltas;
}

function fitSamples(sample: Uint8Array, probe: Uint8Array, width: 2 | 4): Samples {
  const bits = width === 2 ? differenceBits2 : differenceBits4;
  const middle = middleOf(sample);
  let least = Number.POSITIVE_INFINITY;
  let phase = 0;
  let bigEndian = false;
  for (let at = 0; at < width; at += 1) {
    const cost = bits(probe, at, false, 0);
    if (cost >= least) continue;
    least = cost;
    phase = at;
  }
  for (let at = 0; at < width; at += 1) {
    const cost = bits(probe, at, true, 0);
    if (cost >= least * OTHER_ORDER_BELOW) continue;
    least = cost;
    phase = at;
    bigEndian = true;
  }
  let slowness = 0;
  for (let cost = bits(middle, phase, bigEndian, 0); slowness < MAX_SLOWNESS; slowness += 1) {
    const slower = bits(middle, phase, bigEndian, slowness + 1);
    if (slower > cost * SLOWER_BELOW) break;
    cost = slower;
  }
  return {
    kind: 'samples',
    width,
    bigEndian,
    phase,
    slowness,
    nibbles: width === 2 && isLoud(middle, phase, bigEndian),
  };
}

/** Half of the sample, without what is nearest to the chunk's ends. */
function middleOf(sample: Uint8Array): Uint8Array {
  const quarter = (sample.length >>> 2) & -PIECE_ALIGNMENT;
  return sample.subarray(quarter, sample.length - quarter);
}

/** The beginning of each piece. */
function probeOf(sample: Uint8Array): Uint8Array {
  if (sample.length < PIECES * PIECE_BYTES) return sample.subarray(0, PIECES * PROBE_BYTES);
  const probe = new Uint8Array(PIECES * PROBE_BYTES);
  for (let piece = 0; piece < PIECES; piece += 1) {
    probe.set(
      sample.subarray(piece * PIECE_BYTES, piece * PIECE_BYTES + PROBE_BYTES),
      piece * PROBE_BYTES,
    );
  }
  return probe;
}

/**
 * The lengths of the folded differences, in quarters of a bit, summed up over the same number of
 * samples for every phase.
 */
function differenceBits2(
  probe: Uint8Array,
  phase: number,
  bigEndian: boolean,
  slowness: number,
): number {
  const low = phase + (bigEndian ? 1 : 0);
  const high = phase + (bigEndian ? 0 : 1);
  const half = (1 << slowness) >> 1;
  const end = probe.length - 3;
  let prediction = 0;
  let cost = 0;
  for (let at = 0; at < end; at += 2) {
    const value = (probe[low + at] as number) | ((probe[high + at] as number) << 8);
    const difference = ((value - prediction) << 16) >> 16;
    prediction = (prediction + ((difference + half) >> slowness)) | 0;
    cost += quarterBits(((difference << 1) ^ (difference >> 15)) + 1);
  }
  return cost;
}

function differenceBits4(
  probe: Uint8Array,
  phase: number,
  bigEndian: boolean,
  slowness: number,
): number {
  const first = phase + (bigEndian ? 3 : 0);
  const step = bigEndian ? -1 : 1;
  const half = (1 << slowness) >> 1;
  const end = probe.length - 7;
  let prediction = 0;
  let cost = 0;
  for (let at = 0; at < end; at += 4) {
    const from = first + at;
    const value =
      (probe[from] as number) |
      ((probe[from + step] as number) << 8) |
      ((probe[from + 2 * step] as number) << 16) |
      ((probe[from + 3 * step] as number) << 24);
    const difference = (value - prediction) | 0;
    prediction = (prediction + (((difference + half) | 0) >> slowness)) | 0;
    cost += quarterBits(((difference << 1) ^ (difference >> 31)) + 1);
  }
  return cost;
}

/**
 * Whether differences need more than a byte too often to leave their high bytes to zstd, but less
 * than 12 bits.
 */
function isLoud(probe: Uint8Array, phase: number, bigEndian: boolean): boolean {
  const low = phase + (bigEndian ? 1 : 0);
  const high = phase + (bigEndian ? 0 : 1);
  const end = probe.length - 3;
  let before = 0;
  let aboveByte = 0;
  let above12Bits = 0;
  for (let at = 0; at < end; at += 2) {
    const value = (probe[low + at] as number) | ((probe[high + at] as number) << 8);
    const difference = ((value - before) << 16) >> 16;
    before = value;
    const folded = (difference << 1) ^ (difference >> 31);
    if (folded > 0xff) aboveByte += 1;
    if (folded > 0xfff) above12Bits += 1;
  }
  const samples = end >>> 1;
  return aboveByte * LOUD_ONE_OF > samples && above12Bits * TOO_LOUD_ONE_OF < samples;
}

/** `4 * log2(value)`, roughly: the position of the highest bit and the two bits below it. */
function quarterBits(value: number): number {
  const zeros = Math.clz32(value);
  return ((32 - zeros) << 2) | (((value << zeros) << 1) >>> 30);
}
