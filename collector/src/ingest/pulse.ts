import type { Clock, Timers } from '@aliquot/shared/ports';

const BEAT_MS = 250;
/**
 * A beat that is so late means that work waits for seconds: a handshake begun now would be given up
 * before it is done.
 */
const LATE_MS = 1_000;

/**
 * Tells whether this process is behind with its work, by how late its own timers come. A fleet that
 * comes back to a slow machine must not be taken all at once: each handshake would then wait behind
 * all others, be given up on both sides after half a minute, and be begun again, for ever
 * (congestion collapse). Who is behind turns newcomers away, which costs next to nothing, and
 * finishes what it has.
 */
export class Pulse {
  readonly #clock: Clock;
  readonly #timers: Timers;
  #dueMs: number;
  #late = false;
  #cancel: () => void = () => undefined;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
    this.#dueMs = 0;
    this.#next();
  }

  /**
   * The last beat came too late, or the next one is overdue by now. A clock that was set counts as
   * one late beat, which is over soon.
   */
  get late(): boolean {
    return this.#late || this.#overdue;
  }

  stop(): void {
    this.#cancel();
  }

  get #overdue(): boolean {
    return this.#clock.nowMs() - this.#dueMs > LATE_MS;
  }

  #next(): void {
    this.#dueMs = this.#clock.nowMs() + BEAT_MS;
    this.#cancel = this.#timers.after(BEAT_MS, () => {
      this.#late = this.#overdue;
      this.#next();
    });
  }
}
