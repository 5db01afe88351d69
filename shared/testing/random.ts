import { createHash } from 'node:crypto';
import type { Random } from '../src/ports.ts';

/** Randomness that a printed seed repeats: for torture scenarios and property tests. */
export interface SeededRandom extends Random {
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of these, which must not be none. */
  pick<T>(choices: readonly T[]): T;
  /**
   * Another source, which depends on this one's seed and the name only, not on what was drawn
   * before.
   */
  derive(name: string): SeededRandom;
}

/** SHA-256 of the seed and a counter; the same seed gives the same numbers on every machine. */
export function seededSource(seed: number | string): SeededRandom {
  let counter = 0;
  const bytes = (count: number): Uint8Array => {
    const out = Buffer.alloc(count);
    for (let at = 0; at < count; at += 32) {
      createHash('sha256').update(`${seed}/${counter}`).digest().copy(out, at);
      counter += 1;
    }
    return new Uint8Array(out);
  };
  const fraction = (): number => Buffer.from(bytes(6)).readUIntBE(0, 6) / 2 ** 48;
  const below = (limit: number): number => Math.floor(fraction() * limit);
  return {
    bytes,
    below,
    chance: (probability) => fraction() < probability,
    pick<T>(choices: readonly T[]): T {
      if (choices.length === 0) throw new RangeError('nothing to pick from');
      return choices[below(choices.length)] as T;
    },
    derive: (name) => seededSource(`${seed}/${name}`),
  };
}
