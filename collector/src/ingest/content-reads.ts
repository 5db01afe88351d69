import type { Timers } from '@aliquot/shared/ports';
import type { Logger } from 'pino';

/** Without a request for this long a restore is over, or has been given up. */
const QUIET_MS = 30_000;

/**
 * Says in the log that somebody reads content: a line when it begins, and one with how much it was
 * when it has been quiet for a while. A restore asks again and again, so a line for each request
 * would hide everything else. No name of a file is known here.
 */
export class ContentReads {
  readonly #timers: Timers;
  readonly #log: Logger;
  readonly #who: string;
  #items = 0;
  #stop: (() => void) | undefined;

  /** @param who reads, as in "an operator" */
  constructor(who: string, log: Logger, timers: Timers) {
    this.#who = who;
    this.#log = log;
    this.#timers = timers;
  }

  /** Somebody asked for so many chunks and pages. */
  read(items: number): void {
    if (this.#stop === undefined) this.#log.info(`${this.#who} begins to read content`);
    this.#stop?.();
    this.#items += items;
    this.#stop = this.#timers.after(QUIET_MS, () => this.end());
  }

  /** Nobody will read any more, or nobody has for a while. */
  end(): void {
    if (this.#stop === undefined) return;
    this.#stop();
    this.#stop = undefined;
    this.#log.info({ items: this.#items }, `${this.#who} has read content`);
    this.#items = 0;
  }
}
