import { randomBytes } from 'node:crypto';

/** Where the time comes from, so that tests can bend it. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  nowMs(): number;
}

/** Where randomness comes from, so that tests can repeat it. */
export interface Random {
  /** `count` unpredictable bytes. */
  bytes(count: number): Uint8Array;
}

export const systemClock: Clock = { nowMs: () => Date.now() };

/**
 * A commit of small files draws a salt for each: asking the system for many at once is ten times as
 * fast.
 */
const POOL_BYTES = 4096;
const MOST_FROM_POOL = 64;
let pool = new Uint8Array(0);
let drawn = 0;

function systemBytes(count: number): Uint8Array {
  if (count > MOST_FROM_POOL) return randomBytes(count);
  if (drawn + count > pool.length) {
    pool = randomBytes(POOL_BYTES);
    drawn = 0;
  }
  const bytes = new Uint8Array(count);
  bytes.set(pool.subarray(drawn, drawn + count));
  // What was given away is nobody else's to find.
  pool.fill(0, drawn, drawn + count);
  drawn += count;
  return bytes;
}

export const systemRandom: Random = { bytes: systemBytes };

/** Milliseconds since some moment, which never jump: for how long ago, not for when. */
export const systemMonotonicMs = (): number => performance.now();

/** Where waiting comes from, so that tests decide when a time is over. */
export interface Timers {
  /** Calls `action` once after so many milliseconds; the answer cancels it. */
  after(milliseconds: number, action: () => void): () => void;
}
