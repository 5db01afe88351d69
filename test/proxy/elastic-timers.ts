import type { Timers } from '@aliquot/shared/ports';
import { systemTimers } from '../../agent/src/uplink/timers.ts';

const SOON_MS = 5;

/**
 * Real timers whose waits can be cut short, those that run already too: a minute of silence passes
 * in a moment.
 */
export class ElasticTimers implements Timers {
  readonly #waiting = new Map<() => void, () => void>();
  #short = false;

  after(milliseconds: number, action: () => void): () => void {
    const run = (): void => {
      this.#waiting.delete(run);
      action();
    };
    this.#waiting.set(
      run,
      systemTimers.after(this.#short ? Math.min(milliseconds, SOON_MS) : milliseconds, run),
    );
    return () => {
      this.#waiting.get(run)?.();
      this.#waiting.delete(run);
    };
  }

  /** From now on all waits are over soon (`true`), or last as long as they should. */
  shorten(yes: boolean): void {
    this.#short = yes;
    if (!yes) return;
    for (const [run, cancel] of [...this.#waiting]) {
      cancel();
      this.#waiting.set(run, systemTimers.after(SOON_MS, run));
    }
  }
}
