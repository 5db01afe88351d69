import { closeSync, openSync, writeSync } from 'node:fs';
import { Noise } from './noise.ts';

/** A detector's trace: a drifting baseline, peaks that come back with each injection, and noise. */
export interface Waveform {
  readonly bytes: number;
  /** Deviation of the noise, in counts. It alone decides how far the file can be compressed. */
  readonly sigma: number;
  /** `int16`: counts of a converter. `float32`: the same, calibrated by a factor. */
  readonly sample: 'int16' | 'float32';
}

const BLOCK_BYTES = 4 << 20;
const PERIOD = 1 << 16;
/** Samples that are made in one go; divides the period. */
const STEP = 512;
const PEAKS = 14;
const DRIFT_PERIOD = 3_000_000;

/**
 * One injection: gaussian peaks of several heights and widths, with the tail that columns give
 * them.
 */
function injection(noise: Noise): Float64Array {
  const shape = new Float64Array(PERIOD);
  for (let peak = 0; peak < PEAKS; peak += 1) {
    const centre = noise.between(0.05, 0.95) * PERIOD;
    const width = noise.between(60, 500);
    const height = 200 * 2 ** noise.between(0, 6);
    const until = Math.min(PERIOD, centre + 10 * width);
    for (let at = Math.max(0, Math.floor(centre - 5 * width)); at < until; at += 1) {
      const distance = (at - centre) / (at < centre ? width : 1.6 * width);
      shape[at] = (shape[at] ?? 0) + height * Math.exp(-0.5 * distance * distance);
    }
  }
  return shape;
}

/**
 * Writes the samples from `fromSample` on. The trace has no end: a file grows by asking for what
 * follows.
 */
class Trace {
  readonly #noise: Noise;
  readonly #shape: Float64Array;
  readonly #sigma: number;
  readonly #baseline: number;
  readonly #normals = new Float64Array(STEP);
  #at = 0;

  constructor(seed: number, name: string, sigma: number) {
    this.#noise = new Noise(seed, name);
    this.#shape = injection(this.#noise);
    this.#baseline = this.#noise.between(300, 3000);
    this.#sigma = sigma;
  }

  fill(into: Int16Array | Float32Array, count: number, factor: number): void {
    for (let from = 0; from < count; from += STEP) {
      this.#noise.normals(this.#normals);
      // The baseline hardly moves within one step.
      const drift = this.#baseline + 120 * Math.sin((2 * Math.PI * this.#at) / DRIFT_PERIOD);
      const until = Math.min(count, from + STEP);
      if (into instanceof Int16Array)
        fillCounts(into, from, until, this.#shape, this.#at, drift, this.#sigma, this.#normals);
      else
        fillFloats(
          into,
          from,
          until,
          this.#shape,
          this.#at,
          drift,
          this.#sigma,
          this.#normals,
          factor,
        );
      this.#at = (this.#at + STEP) % (PERIOD * DRIFT_PERIOD);
    }
  }
}

/** Two loops, each for one kind of array: a loop that meets both is several times slower. */
function fillCounts(
  into: Int16Array,
  from: number,
  until: number,
  shape: Float64Array,
  at: number,
  drift: number,
  sigma: number,
  normals: Float64Array,
): void {
  const base = at & (PERIOD - 1);
  for (let index = from; index < until; index += 1) {
    const step = index - from;
    const value =
      (drift + (shape[base + step] as number) + sigma * (normals[step] as number) + 0.5) | 0;
    into[index] = value > 32_767 ? 32_767 : value;
  }
}

function fillFloats(
  into: Float32Array,
  from: number,
  until: number,
  shape: Float64Array,
  at: number,
  drift: number,
  sigma: number,
  normals: Float64Array,
  factor: number,
): void {
  const base = at & (PERIOD - 1);
  for (let index = from; index < until; index += 1) {
    const step = index - from;
    into[index] =
      ((drift + (shape[base + step] as number) + sigma * (normals[step] as number) + 0.5) | 0) *
      factor;
  }
}

/** Makes one file. `name` (not the whole path) and `seed` decide its content. */
export function writeWaveform(
  path: string,
  name: string,
  seed: number,
  { bytes, sigma, sample }: Waveform,
): void {
  const trace = new Trace(seed, name, sigma);
  const block = new ArrayBuffer(Math.min(BLOCK_BYTES, Math.max(4, (bytes + 3) & ~3)));
  const samples = sample === 'int16' ? new Int16Array(block) : new Float32Array(block);
  const file = openSync(path, 'wx');
  try {
    for (let left = bytes; left > 0; ) {
      const part = Math.min(block.byteLength, left);
      trace.fill(
        samples,
        Math.ceil(part / samples.BYTES_PER_ELEMENT),
        sample === 'int16' ? 1 : 1 / 4096,
      );
      writeSync(file, new Uint8Array(block, 0, part));
      left -= part;
    }
  } finally {
    closeSync(file);
  }
}

/** Bytes that an instrument appends to such a 16-bit file: fresh content for each `name`. */
export function waveformBytes(
  name: string,
  seed: number,
  bytes: number,
  sigma: number,
): Uint8Array {
  const samples = new Int16Array(Math.ceil(bytes / 2));
  new Trace(seed, name, sigma).fill(samples, samples.length, 1);
  return new Uint8Array(samples.buffer, 0, bytes);
}
