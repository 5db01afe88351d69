import type { Timers } from '@aliquot/shared/ports';

/**
 * The collector pings every half minute; a connection that is silent for three times as long is
 * dead, whatever it is used for.
 */
const SILENCE_MS = 90_000;
/** What this process itself slept through is read before anything is concluded from it. */
const SECOND_LOOK_MS = 1_000;

/**
 * Notices by itself that a connection is dead: frozen, its cable pulled, its other end gone
 * silently. TCP does not: it asks again after ever longer times, up to two minutes, and so sleeps
 * on long after the network is back.
 *
 * While something is awaited the collector gives a sign every few seconds, even when it is busy or
 * the network so slow that one message takes minutes; so then little patience is enough. Otherwise
 * only its pings are expected.
 */
export class ConnectionWatch {
  readonly #timers: Timers;
  readonly #patienceMs: number;
  readonly #onDead: () => void;
  #awaited = 0;
  #deaf = false;
  #stopped = false;
  #cancel: () => void = () => undefined;

  constructor(timers: Timers, patienceMs: number, onDead: () => void) {
    this.#timers = timers;
    this.#patienceMs = Math.min(patienceMs, SILENCE_MS);
    this.#onDead = onDead;
  }

  /** Anything was received. */
  heard(): void {
    this.#cancel();
    if (this.#stopped || this.#deaf) return;
    const awaited = this.#awaited > 0;
    this.#cancel = this.#timers.after(awaited ? this.#patienceMs : SILENCE_MS, () => {
      if (!awaited) return this.#onDead();
      this.#cancel = this.#timers.after(SECOND_LOOK_MS, () => this.#onDead());
    });
  }

  /** Runs `work`, for which the other side has to say or take something. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#awaited += 1;
    if (this.#awaited === 1) this.heard();
    try {
      return await work();
    } finally {
      this.#awaited -= 1;
      if (this.#awaited === 0) this.heard();
    }
  }

  /**
   * We ourselves do not listen now (`true`) or do again: what is not heard meanwhile proves
   * nothing.
   */
  deaf(yes: boolean): void {
    this.#deaf = yes;
    this.heard();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }
}
