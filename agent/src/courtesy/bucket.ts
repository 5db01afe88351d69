import type { Clock } from '@aliquot/shared/ports';

/** How much may be spent at once after a rest, as time of the rate. */
const BURST_MS = 250;
/**
 * A debt is paid off for this long at most: one long piece of other work must not stop everything
 * for minutes.
 */
const LONGEST_DEBT_MS = 10_000;

/**
 * A token bucket that may be overdrawn: spending is never refused, but anyone who wants to spend
 * more waits until the debt is paid. So large pieces pass whole, and the mean holds. The rate may
 * change at any time. A clock that jumps gives or takes one burst at most.
 */
export class Bucket {
  readonly #clock: Clock;
  #atMs: number;
  #balance = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.nowMs();
  }

  spend(amount: number): void {
    this.#balance -= amount;
  }

  /**
   * How long until nothing is owed, at this rate (amount per millisecond; undefined: no limit). 0:
   * now.
   */
  waitMs(rate: number | undefined): number {
    const now = this.#clock.nowMs();
    const elapsedMs = Math.max(0, now - this.#atMs);
    this.#atMs = now;
    if (rate === undefined) {
      this.#balance = 0;
      return 0;
    }
    this.#balance = Math.min(
      Math.max(this.#balance, -LONGEST_DEBT_MS * rate) + elapsedMs * rate,
      BURST_MS * rate,
    );
    return this.#balance >= 0 ? 0 : Math.ceil(-this.#balance / rate);
  }
}
