import type { Timers } from '@aliquot/shared/ports';

/** What it takes to make two things last equally long. */
export interface Pace {
  readonly timers: Timers;
  /** Milliseconds, with fractions, since some moment. */
  elapsedMs(): number;
}

/** How long something took lately. */
interface Sample {
  readonly bytes: number;
  readonly milliseconds: number;
}

const SAMPLES = 64;
/**
 * Of those of the most similar size the one in the middle counts: what was held up is no example.
 */
const NEAREST = 9;
/** Nobody waits longer for nothing. */
const MOST_MS = 250;
/** As long as nothing is known. */
const guess: Sample = { bytes: 65_536, milliseconds: 0.5 };
/** A timer comes up to a millisecond late on a quiet machine. */
const TIMER_MS = 1;

/**
 * Whoever uploads what only others have must not see by the time that it is here already. Nothing
 * is written then; the answer waits as long as the latest writes of about that size took.
 * Without a pace nothing waits.
 */
export class SameTime {
  readonly #pace: Pace | undefined;
  readonly #samples: Sample[] = [];
  #next = 0;
  /** How late timers came lately. */
  #lateMs = TIMER_MS;

  constructor(pace: Pace | undefined) {
    this.#pace = pace;
  }

  /** Begins to look how long something takes. */
  begin(): number {
    return this.#pace?.elapsedMs() ?? 0;
  }

  /** It was really done: an example. */
  done(began: number, bytes: number): void {
    if (this.#pace === undefined) return;
    const milliseconds = Math.min(MOST_MS, this.#pace.elapsedMs() - began);
    this.#samples[this.#next % SAMPLES] = { bytes, milliseconds };
    this.#next += 1;
  }

  /** It was not: waits until that would have been done. */
  async pretend(began: number, bytes: number): Promise<void> {
    const pace = this.#pace;
    if (pace === undefined) return;
    const end = began + this.#usual(bytes);
    const now = pace.elapsedMs();
    const long = Math.floor(end - now - this.#lateMs);
    if (long > 0) {
      await new Promise<void>((over) => pace.timers.after(long, over));
      const lateMs = Math.min(MOST_MS, pace.elapsedMs() - now - long);
      this.#lateMs += (Math.max(TIMER_MS, lateMs) - this.#lateMs) / 4;
    }
    // What is left is too short for a timer; others go on meanwhile.
    while (pace.elapsedMs() < end) await new Promise<void>((over) => setImmediate(over));
  }

  #usual(bytes: number): number {
    const distance = (sample: Sample): number =>
      Math.abs(Math.log((sample.bytes + 1024) / (bytes + 1024)));
    const near = this.#samples.toSorted((a, b) => distance(a) - distance(b)).slice(0, NEAREST);
    // A write has a part that its size does not change.
    const scaled = near.map(
      (one) => (one.milliseconds * (bytes + guess.bytes)) / (one.bytes + guess.bytes),
    );
    const middle = scaled.toSorted((a, b) => a - b)[scaled.length >> 1];
    return Math.min(MOST_MS, middle ?? guess.milliseconds);
  }
}
