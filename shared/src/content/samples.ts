import { arenaOf, type Kernels } from './kernels/kernels.ts';
import { Scratch } from './scratch.ts';

/**
 * The filter for traces: numbers of one width, each replaced by its difference from a prediction. A
 * detector's noise is in every sample, so that differences of neighbours carry it twice; a
 * prediction that follows slowly (an exponential mean, as in Brown 1956) carries it hardly more
 * than once, which spares up to half a bit of each sample. Differences are folded (zigzag, as in
 * protobuf), so that small ones of either sign have a high byte of zero; then all lowest bytes are
 * written, then all second ones, and so on.
 */
export interface Samples {
  readonly kind: 'samples';
  readonly width: 2 | 4;
  readonly bigEndian: boolean;
  /** Bytes in front of the first sample: below `width`. */
  readonly phase: number;
  /**
   * How slowly the prediction follows: 0 predicts the sample before; 1, 2, 3 move it by a half,
   * quarter, eighth of the difference.
   */
  readonly slowness: number;
  /**
   * For samples of 2 bytes: all middle bytes of the differences (without the lowest and highest 4
   * bits) first, then the lowest 4 bits, then the highest. For loud noise: its lowest bits cannot
   * be compressed and should cost no time, and a high byte that is now 0, now 1 costs most of it.
   */
  readonly nibbles: boolean;
}

export const MAX_SLOWNESS = 3;

/*
 * `prediction` is a 32-bit integer that both sides move by the same rule from the same differences.
 * Only its remainder modulo the samples' width counts, so neither signed nor unsigned numbers need
 * a case of their own, and nothing overflows.
 *
 * The loops run over arrays of 16- and 32-bit numbers, which is up to twice as fast as putting
 * bytes together; hence the copies to aligned memory (a fiftieth of the time) and the swap for the
 * other byte order.
 */

/** Whether this machine's arrays put the low byte first: nearly all do. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const arenaBytes = new Scratch();

/**
 * Writes what `joinSamples` takes back to `out`, which has as many bytes and is not the same
 * memory.
 */
export function splitSamples(
  plain: Uint8Array,
  out: Uint8Array,
  { width, bigEndian, phase, slowness, nibbles }: Samples,
): void {
  const count = samplesIn(plain.length, width, phase, nibbles);
  const end = phase + width * count;
  copyBytes(plain, out, 0, Math.min(phase, plain.length));
  copyBytes(plain, out, Math.max(end, 0), plain.length);
  if (count === 0) return;
  const fast = width === 2 && !nibbles ? arenaOf(out) : undefined;
  const samples =
    fast === undefined ? undefined : inArena(fast, plain.subarray(phase, end), bigEndian);
  if (fast !== undefined && samples !== undefined) {
    fast.split2(
      samples,
      out.subarray(phase, phase + count),
      out.subarray(phase + count, end),
      slowness,
    );
    return;
  }
  const swap = bigEndian === LITTLE_ENDIAN;
  const bytes = aligned(plain, phase, end, width, swap);
  if (width === 2) {
    const values = new Int16Array(bytes.buffer, bytes.byteOffset, count);
    if (swap) swap2(values);
    if (nibbles) splitNibbles(values, out.subarray(phase, end), slowness);
    else
      split2(
        values,
        out.subarray(phase, phase + count),
        out.subarray(phase + count, end),
        slowness,
      );
  } else {
    const values = new Int32Array(bytes.buffer, bytes.byteOffset, count);
    if (swap) swap4(values);
    split4(values, out.subarray(phase, end), slowness);
  }
}

/**
 * Writes the bytes that `splitSamples` was given to `plain`. Whatever `filtered` holds has a way
 * back.
 */
export function joinSamples(
  filtered: Uint8Array,
  plain: Uint8Array,
  { width, bigEndian, phase, slowness, nibbles }: Samples,
): void {
  const count = samplesIn(plain.length, width, phase, nibbles);
  const end = phase + width * count;
  const fast = count > 0 && width === 2 && !nibbles ? arenaOf(filtered) : undefined;
  const joined = fast === undefined ? undefined : arenaBytes.of(2 * count);
  if (fast !== undefined && joined !== undefined && fast.holds(joined)) {
    fast.join2(
      filtered.subarray(phase, phase + count),
      filtered.subarray(phase + count, end),
      joined,
      slowness,
    );
    if (bigEndian) swap2(new Int16Array(joined.buffer, joined.byteOffset, count));
    plain.set(joined, phase);
  } else if (count > 0) {
    const swap = bigEndian === LITTLE_ENDIAN;
    const inPlace = (plain.byteOffset + phase) % width === 0;
    const values = inPlace
      ? width === 2
        ? new Int16Array(plain.buffer, plain.byteOffset + phase, count)
        : new Int32Array(plain.buffer, plain.byteOffset + phase, count)
      : width === 2
        ? new Int16Array(count)
        : new Int32Array(count);
    if (values instanceof Int16Array) {
      if (nibbles) joinNibbles(filtered.subarray(phase, end), values, slowness);
      else
        join2(
          filtered.subarray(phase, phase + count),
          filtered.subarray(phase + count, end),
          values,
          slowness,
        );
      if (swap) swap2(values);
    } else {
      join4(filtered.subarray(phase, end), values, slowness);
      if (swap) swap4(values);
    }
    if (!inPlace) plain.set(new Uint8Array(values.buffer, 0, width * count), phase);
  }
  copyBytes(filtered, plain, 0, Math.min(phase, plain.length));
  copyBytes(filtered, plain, Math.max(end, 0), plain.length);
}

/** How many planes a filtered chunk has. */
export function planeCount({ width, nibbles }: Samples): number {
  return nibbles ? 3 : width;
}

/**
 * Where the planes of a filtered chunk begin, but the first: each has its own statistics, and is
 * best compressed by itself.
 */
export function planeStarts(length: number, { width, phase, nibbles }: Samples): number[] {
  const count = samplesIn(length, width, phase, nibbles);
  if (nibbles) return [phase + count, phase + count + count / 2];
  return Array.from({ length: width - 1 }, (_, plane) => phase + (plane + 1) * count);
}

/** Whole samples; with nibbles, whole pairs of them, whose nibbles fill whole bytes. */
function samplesIn(length: number, width: number, phase: number, nibbles: boolean): number {
  const count = length < phase ? 0 : Math.floor((length - phase) / width);
  return nibbles ? count - (count % 2) : count;
}

/**
 * The bytes from `from` to `end` where an array of `width`-byte numbers may begin; a copy if they
 * are to be changed, or lie elsewhere.
 */
function aligned(
  bytes: Uint8Array,
  from: number,
  end: number,
  width: number,
  changes: boolean,
): Uint8Array {
  const part = bytes.subarray(from, end);
  return changes || part.byteOffset % width !== 0 ? new Uint8Array(part) : part;
}

/** The samples in the arena, low bytes first; undefined when it has no room for them. */
function inArena(fast: Kernels, samples: Uint8Array, bigEndian: boolean): Uint8Array | undefined {
  if (!bigEndian && fast.holds(samples)) return samples;
  const copy = arenaBytes.of(samples.length);
  if (!fast.holds(copy)) return undefined;
  copy.set(samples);
  if (bigEndian) swap2(new Int16Array(copy.buffer, copy.byteOffset, copy.length / 2));
  return copy;
}

function copyBytes(from: Uint8Array, to: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end; at += 1) to[at] = from[at] as number;
}

function split2(values: Int16Array, low: Uint8Array, high: Uint8Array, slowness: number): void {
  const half = (1 << slowness) >> 1;
  let prediction = 0;
  for (let at = 0; at < values.length; at += 1) {
    const difference = (((values[at] as number) - prediction) << 16) >> 16;
    prediction = (prediction + ((difference + half) >> slowness)) | 0;
    const folded = (difference << 1) ^ (difference >> 31);
    low[at] = folded;
    high[at] = folded >> 8;
  }
}

function join2(low: Uint8Array, high: Uint8Array, values: Int16Array, slowness: number): void {
  const half = (1 << slowness) >> 1;
  let prediction = 0;
  for (let at = 0; at < values.length; at += 1) {
    const folded = (low[at] as number) | ((high[at] as number) << 8);
    const difference = (folded >>> 1) ^ -(folded & 1);
    values[at] = prediction + difference;
    prediction = (prediction + ((difference + half) >> slowness)) | 0;
  }
}

function splitNibbles(values: Int16Array, out: Uint8Array, slowness: number): void {
  const pairs = values.length >>> 1;
  const middle = out.subarray(0, 2 * pairs);
  const low = out.subarray(2 * pairs, 3 * pairs);
  const high = out.subarray(3 * pairs);
  const half = (1 << slowness) >> 1;
  let prediction = 0;
  for (let pair = 0, at = 0; pair < pairs; pair += 1, at += 2) {
    let difference = (((values[at] as number) - prediction) << 16) >> 16;
    prediction = (prediction + ((difference + half) >> slowness)) | 0;
    const first = (difference << 1) ^ (difference >> 31);
    difference = (((values[at + 1] as number) - prediction) << 16) >> 16;
    prediction = (prediction + ((difference + half) >> slowness)) | 0;
    const second = (difference << 1) ^ (difference >> 31);
    middle[at] = first >> 4;
    middle[at + 1] = second >> 4;
    low[pair] = (first & 0x0f) | (second << 4);
    high[pair] = ((first >> 12) & 0x0f) | ((second >> 8) & 0xf0);
  }
}

function joinNibbles(filtered: Uint8Array, values: Int16Array, slowness: number): void {
  const pairs = values.length >>> 1;
  const middle = filtered.subarray(0, 2 * pairs);
  const low = filtered.subarray(2 * pairs, 3 * pairs);
  const high = filtered.subarray(3 * pairs);
  const half = (1 << slowness) >> 1;
  let prediction = 0;
  for (let pair = 0, at = 0; pair < pairs; pair += 1, at += 2) {
    const lows = low[pair] as number;
    const highs = high[pair] as number;
    const first = (lows & 0x0f) | ((middle[at] as number) << 4) | ((highs & 0x0f) << 12);
    let difference = (first >>> 1) ^ -(first & 1);
    values[at] = prediction + difference;
    prediction = (prediction + ((difference + half) >> slowness)) | 0;
    const second = (lows >>> 4) | ((middle[at + 1] as number) << 4) | ((highs & 0xf0) << 8);
    difference = (second >>> 1) ^ -(second & 1);
    values[at + 1] = prediction + difference;
    prediction = (prediction + ((difference + half) >> slowness)) | 0;
  }
}

function split4(values: Int32Array, out: Uint8Array, slowness: number): void {
  const count = values.length;
  const half = (1 << slowness) >> 1;
  let prediction = 0;
  for (let at = 0; at < count; at += 1) {
    const difference = ((values[at] as number) - prediction) | 0;
    prediction = (prediction + (((difference + half) | 0) >> slowness)) | 0;
    const folded = (difference << 1) ^ (difference >> 31);
    out[at] = folded;
    out[count + at] = folded >> 8;
    out[2 * count + at] = folded >> 16;
    out[3 * count + at] = folded >> 24;
  }
}

function join4(filtered: Uint8Array, values: Int32Array, slowness: number): void {
  const count = values.length;
  const half = (1 << slowness) >> 1;
  let prediction = 0;
  for (let at = 0; at < count; at += 1) {
    const folded =
      (filtered[at] as number) |
      ((filtered[count + at] as number) << 8) |
      ((filtered[2 * count + at] as number) << 16) |
      ((filtered[3 * count + at] as number) << 24);
    const difference = (folded >>> 1) ^ -(folded & 1);
    values[at] = prediction + difference;
    prediction = (prediction + (((difference + half) | 0) >> slowness)) | 0;
  }
}

function swap2(values: Int16Array): void {
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at] as number;
    values[at] = (value << 8) | ((value >>> 8) & 0xff);
  }
}

function swap4(values: Int32Array): void {
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at] as number;
    values[at] =
      (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
  }
}
