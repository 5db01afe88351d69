import { errnoOf } from '@aliquot/shared/durable/system-errors';
import type { Clock } from '@aliquot/shared/ports';
import type { BusySign } from '@aliquot/shared/settings/courtesy';
import type { BusyPort } from './processes.ts';

/** Why the agent holds back. */
export interface Pause {
  /** When it was noticed first (ms since 1970). */
  readonly sinceMs: number;
  /** `MassHunter.exe runs`: for a sentence. */
  readonly because: string;
}

/**
 * An answer counts for this long: asking for the processes costs some milliseconds, on Windows some
 * hundred.
 */
const freshMs = process.platform === 'win32' ? 15_000 : 5_000;

/** Knows whether the instrument is busy, by the signs that the configuration names. */
export class BusyWatch {
  readonly #signs: readonly BusySign[];
  readonly #port: BusyPort;
  readonly #clock: Clock;
  #pause: Pause | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  /**
   * Why a sign could not be looked at; it then counts as absent, for a broken sign must not end all
   * protection.
   */
  trouble: string | undefined;

  constructor(signs: readonly BusySign[], port: BusyPort, clock: Clock) {
    this.#signs = signs;
    this.#port = port;
    this.#clock = clock;
  }

  /** How long to wait between two looks. */
  get intervalMs(): number {
    return freshMs;
  }

  /** The pause that holds now; looks again when the last look is old. */
  async now(): Promise<Pause | undefined> {
    if (this.#signs.length === 0) return undefined;
    const age = this.#clock.nowMs() - this.#lookedMs;
    if (age < 0 || age >= freshMs) {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
      await this.#looking;
    }
    return this.#pause;
  }

  async #look(): Promise<void> {
    this.trouble = undefined;
    const because = (await this.#file()) ?? (await this.#process());
    this.#lookedMs = this.#clock.nowMs();
    this.#pause =
      because === undefined
        ? undefined
        : { sinceMs: this.#pause?.sinceMs ?? this.#lookedMs, because };
  }

  async #file(): Promise<string | undefined> {
    for (const { file } of this.#signs) {
      if (
        file !== undefined &&
        (await this.#sign(() => this.#port.exists(file), `the file ${file}`)) === true
      )
        return `${file} is there`;
    }
    return undefined;
  }

  async #process(): Promise<string | undefined> {
    const names = this.#signs.flatMap(({ process }) => process ?? []);
    if (names.length === 0) return undefined;
    const name = await this.#sign(() => this.#port.running(names), 'the list of running programs');
    return name === undefined ? undefined : `${name} runs`;
  }

  async #sign<T>(look: () => Promise<T>, what: string): Promise<T | undefined> {
    try {
      return await look();
    } catch (error) {
      // A program that lists processes and fails has no errno, but says which command it was.
      const listing = error instanceof Error && 'cmd' in error;
      const code = errnoOf(error) ?? (listing ? 'no answer' : undefined);
      if (code === undefined) throw error;
      this.trouble = `${what} cannot be looked at (${code}), so pauseWhile does not hold`;
      return undefined;
    }
  }
}
