import type { CollectorAddress } from '@aliquot/proto';
import type { Random, Timers } from '@aliquot/shared/ports';
import { Backoff, type Setback } from './backoff.ts';
import type { UplinkError, UplinkErrorCode } from './errors.ts';
import { Lookout, type Probe } from './lookout.ts';

export interface RetryParts {
  /** Every address at which the collector may be. */
  readonly servers: () => readonly CollectorAddress[];
  readonly timers: Timers;
  readonly random: Random;
  readonly probe: Probe;
}

/**
 * The waits between two sessions: how long, what ends them early, and what has been learnt about
 * the line.
 */
export class Retry {
  readonly #servers: RetryParts['servers'];
  readonly #timers: Timers;
  readonly #backoff: Backoff;
  readonly #lookout: Lookout;
  #wake: () => void = () => undefined;
  /** Set when nobody waits yet, so that it is not missed. */
  #hurried = false;

  constructor({ servers, timers, random, probe }: RetryParts) {
    this.#servers = servers;
    this.#timers = timers;
    this.#backoff = new Backoff(random);
    this.#lookout = new Lookout(timers, random, probe);
  }

  /** How long the next session's line may say nothing while something is awaited. */
  get patienceMs(): number {
    return this.#backoff.patienceMs;
  }

  /**
   * How bad the end of a session was, and how long to wait after it. `useful`: it was of use
   * before.
   */
  after(
    failure: UplinkError,
    useful: boolean,
  ): { readonly setback: Setback; readonly delayMs: number } {
    const own: Partial<Record<UplinkErrorCode, Setback>> = {
      UPLINK_ROLLED_BACK: 'rolled-back',
      UPLINK_PENDING: 'pending',
    };
    const setback = own[failure.code] ?? (failure.retryable ? 'transient' : 'refused');
    if (useful) this.#backoff.reset();
    if (failure.code === 'UPLINK_SILENT') this.#backoff.silent();
    return { setback, delayMs: this.#backoff.next(setback) };
  }

  /** Waits so long, or until the network is back, or until hurried. */
  wait(milliseconds: number, failure: UplinkError): Promise<void> {
    return new Promise((resolve) => {
      let lookAway = (): void => undefined;
      const done = (): void => {
        cancel();
        lookAway();
        this.#hurried = false;
        this.#wake = () => undefined;
        resolve();
      };
      const cancel = this.#timers.after(milliseconds, done);
      this.#wake = done;
      const back = (): void => {
        this.#backoff.returned();
        done();
      };
      if (failure.retryable) lookAway = this.#lookout.watch(this.#servers(), failure, back);
      if (this.#hurried) done();
    });
  }

  /** Ends the wait, or the next one if nobody waits now. */
  hurry(): void {
    this.#hurried = true;
    this.#wake();
  }

  /** Forgets a hurry that ended nothing. */
  calm(): void {
    this.#hurried = false;
  }
}
