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
export const systemRandom: Random = { bytes: (count) => randomBytes(count) };
