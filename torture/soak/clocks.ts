import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

const libraries = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
];

/** libfaketime, when this machine has it. */
export const faketimeLibrary = libraries
  .map((folder) => `${folder}/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));

/**
 * A program's wall clock that can be set at any time, with libfaketime; timers and files' times
 * stay true.
 */
export class BentClock {
  readonly #file: string;
  /** How far off the machine's it is. */
  offsetSeconds = 0;
  /** By how much the true time of this program is ahead of the machine's: days that passed for it. */
  #aheadMs = 0;
  #isHeld = false;

  constructor(file: string) {
    this.#file = file;
  }

  /** The true time of this program. */
  nowMs(): number {
    return Date.now() + this.#aheadMs;
  }

  /**
   * What a program needs in its environment. Empty where libfaketime is missing: then the clock
   * stays true.
   */
  get environment(): NodeJS.ProcessEnv {
    if (faketimeLibrary === undefined) return {};
    return {
      LD_PRELOAD: faketimeLibrary,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      // Read again after a second, so that the clock of a running program jumps.
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    };
  }

  /** Sets it off by this many seconds from its true time; not while it is held. */
  async set(offsetSeconds: number): Promise<void> {
    if (this.#isHeld) return;
    await this.#write(offsetSeconds);
  }

  /** It is true, and nobody sets it, until `act` is done. */
  async hold(act: () => Promise<void>): Promise<void> {
    this.#isHeld = true;
    try {
      await this.#write(0);
      await act();
    } finally {
      this.#isHeld = false;
    }
  }

  /** Time passes for this program alone. */
  async pass(ms: number): Promise<void> {
    this.#aheadMs += ms;
    await this.#write(0);
  }

  async #write(offsetSeconds: number): Promise<void> {
    const seconds = offsetSeconds + Math.round(this.#aheadMs / 1000);
    this.offsetSeconds = seconds;
    await writeFile(this.#file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
  }
}
