import { createHash } from 'node:crypto';
import type { Random } from '../src/ports.ts';

/** `count` bytes that look random and are the same for the same seed text on every machine. */
export function noise(seed: string, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  const counter = new DataView(new ArrayBuffer(4));
  for (let block = 0; block * 64 < count; block += 1) {
    counter.setUint32(0, block);
    const digest = createHash('sha512')
      .update(seed)
      .update(new Uint8Array(counter.buffer))
      .digest();
    bytes.set(digest.subarray(0, Math.min(64, count - block * 64)), block * 64);
  }
  return bytes;
}

/**
 * Bytes that compress about as an instrument's readings do: a slow 16-bit wave with noise in the
 * low bits.
 */
export function readings(seed: string, count: number): Uint8Array {
  const jitter = noise(seed, Math.ceil(count / 2));
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += 2) {
    const step = at % 4096;
    const value = (step < 2048 ? step : 4096 - step) * 8 + ((jitter[at / 2] ?? 0) & 3);
    bytes[at] = value & 0xff;
    if (at + 1 < count) bytes[at + 1] = value >>> 8;
  }
  return bytes;
}

/** A source of randomness that gives the same bytes in the same order each time. */
export function repeatableRandom(seed: string): Random {
  let calls = 0;
  return {
    bytes(count) {
      calls += 1;
      return noise(`${seed} ${calls}`, count);
    },
  };
}

/** The bytes with one bit of the byte at `at` turned over. */
export function flipped(bytes: Uint8Array, at: number, bit = 0): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
}

/** Lower-case hexadecimal digits, as the vector files hold them. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** The bytes of hexadecimal digits. */
export function ofHex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

/**
 * A detector's trace: a slow triangle with peaks and bell-shaped noise, as integers of 2 or 4
 * bytes, low byte first. `make` is `seed/noise/width`, where the noise's deviation is about that
 * many counts.
 */
export function trace(make: string, count: number): Uint8Array {
  const [seed = '', deviation = '16', width = '2'] = make.split('/');
  const bytesEach = Number(width);
  const samples = Math.ceil(count / bytesEach);
  const jitter = noise(seed, samples * 4);
  const bytes = new Uint8Array(samples * bytesEach);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < samples; at += 1) {
    const sum =
      (jitter[4 * at] ?? 0) +
      (jitter[4 * at + 1] ?? 0) +
      (jitter[4 * at + 2] ?? 0) +
      (jitter[4 * at + 3] ?? 0) -
      510;
    const step = at % 20_000;
    const value =
      3000 + (step < 10_000 ? step : 20_000 - step) + Math.trunc((sum * Number(deviation)) / 148);
    if (bytesEach === 2) view.setInt16(2 * at, value, true);
    else view.setInt32(4 * at, value * 300, true);
  }
  return bytes.subarray(0, count);
}

/**
 * A table of rows of `rowBytes` bytes: a counter, a slow value, a flag, and the rest of it hardly
 * changing.
 */
export function table(rowBytes: string, count: number): Uint8Array {
  const length = Number(rowBytes);
  const jitter = noise(`table ${rowBytes}`, Math.ceil(count / length) * 2);
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) {
    const row = Math.floor(at / length);
    const column = at % length;
    const changing = [
      row & 0xff,
      (row >>> 8) & 0xff,
      (jitter[2 * row] ?? 0) & 0x1f,
      row >>> 4,
      (jitter[2 * row + 1] ?? 0) > 250 ? 1 : 0,
    ];
    bytes[at] = changing[column] ?? column * 7;
  }
  return bytes;
}
