import { createHash } from 'node:crypto';
import type { Random } from '../src/ports.ts';

/** `count` bytes that look random and are the same for the same seed text on every machine. */
export function noise(seed: string, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  const counter = new DataView(new ArrayBuffer(4));
  for (let block = 0; block * 64 < count; block += 1) {
    counter.setUint32(0, block);
    const digest = createHash('sha512').update(seed).update(new Uint8Array(counter.buffer)).digest();
    bytes.set(digest.subarray(0, Math.min(64, count - block * 64)), block * 64);
  }
  return bytes;
}

/** Bytes that compress about as an instrument's readings do: a slow 16-bit wave with noise in the low bits. */
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
