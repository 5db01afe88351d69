import type { Random } from '@aliquot/shared/ports';

const FIRST_MS = 500;
const LONGEST_MS = 60_000;
/** What waiting does not mend is asked again now and then: central IT may have mended it. */
const REFUSED_MS = 180_000;
/** A rolled-back collector is being looked after: be back soon after it is healed. */
const ROLLED_BACK_MS = 15_000;

export type Setback = 'transient' | 'refused' | 'rolled-back';

/**
 * How long to wait before the next attempt: doubling from half a second to a minute, each drawn evenly between half and all
 * of its length, so that a fleet that lost its collector together does not come back together ("equal jitter", Brooker,
 * "Exponential Backoff And Jitter", AWS Architecture Blog 2015).
 */
export class Backoff {
  readonly #random: Random;
  #attempts = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Milliseconds until the next attempt. */
  next(setback: Setback): number {
    if (setback === 'refused') return this.#jitter(REFUSED_MS);
    if (setback === 'rolled-back') return this.#jitter(ROLLED_BACK_MS);
    const whole = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#attempts, 16));
    this.#attempts += 1;
    return this.#jitter(whole);
  }

  /** After a session that was of use. */
  reset(): void {
    this.#attempts = 0;
  }

  #jitter(whole: number): number {
    const bytes = this.#random.bytes(4);
    const share = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32;
    return Math.round(whole / 2 + (whole / 2) * share);
  }
}
