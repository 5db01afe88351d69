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
  /** How far off it is. */
  offsetSeconds = 0;

  constructor(file: string) {
    this.#file = file;
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

  /** Sets it off by this many seconds. */
  async set(offsetSeconds: number): Promise<void> {
    this.offsetSeconds = offsetSeconds;
    await writeFile(this.#file, `${offsetSeconds < 0 ? '-' : '+'}${Math.abs(offsetSeconds)}\n`);
  }
}
