import type { Random } from '@aliquot/shared/ports';

const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;
/** Full jitter may draw next to nothing; no attempt follows another closer than this. */
const SHORTEST_MS = 100;
/** What waiting does not mend is asked again now and then: central IT may have mended it. */
const REFUSED_MS = 180_000;
/** A rolled-back collector is being looked after: be back soon after it is healed. */
const ROLLED_BACK_MS = 15_000;
/** Three times the pause between two signs of a collector from which something is awaited. */
const PATIENCE_MS = 12_000;

/** Somebody at central IT may be about to say yes: the first results should be safe soon after. */
const PENDING_MS = 15_000;

export type Setback = 'transient' | 'refused' | 'rolled-back' | 'pending';

/**
 * How long to wait before the next attempt: drawn evenly between nothing and a bound that doubles
 * from one second to thirty, so that a fleet that lost its collector in one moment does not come
 * back in one ("full jitter", Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog
 * 2015). The long waits are for a collector that is reached and does not take us; a network that
 * comes back is found by the `Lookout`, which ends the wait.
 */
export class Backoff {
  readonly #random: Random;
  #attempts = 0;
  #silences = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Milliseconds until the next attempt. */
  next(setback: Setback): number {
    if (setback === 'refused') return between(this.#random, REFUSED_MS / 2, REFUSED_MS);
    if (setback === 'pending') return between(this.#random, PENDING_MS / 2, PENDING_MS);
    if (setback === 'rolled-back') return between(this.#random, ROLLED_BACK_MS / 2, ROLLED_BACK_MS);
    const bound = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#attempts, 16));
    this.#attempts += 1;
    return between(this.#random, SHORTEST_MS, bound);
  }

  /** After a session that was of use. */
  reset(): void {
    this.#attempts = 0;
    this.#silences = 0;
  }

  /**
   * The collector can be reached again: if it does not take everybody at once, a long wait would be
   * for nothing.
   */
  returned(): void {
    this.#attempts = 0;
  }

  /**
   * After a connection that was given up because nothing was heard on it: perhaps it was only slow,
   * so be more patient the next time.
   */
  silent(): void {
    this.#silences += 1;
  }

  /** How long a connection may be silent while something is awaited. */
  get patienceMs(): number {
    return PATIENCE_MS * 2 ** Math.min(this.#silences, 3);
  }
}

/** A whole number of milliseconds, drawn evenly. */
export function between(random: Random, shortest: number, longest: number): number {
  const bytes = random.bytes(4);
  const share = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32;
  return Math.round(shortest + (longest - shortest) * share);
}
