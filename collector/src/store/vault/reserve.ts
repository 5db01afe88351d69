import { FileError } from '@aliquot/shared/durable/errors';
import type { Clock } from '@aliquot/shared/ports';
import { Serial } from '@aliquot/shared/serial';
import { isFullDisk, StoreError } from '../errors.ts';
import type { ReserveFile } from './reserve-file.ts';

/** The reserve is made where so many times as much is left beside it, */
const TIMES_TO_MAKE = 10;
/** and taken again where this much is. */
const TIMES_TO_REFILL = 2;
/** How often an upload that is refused looks whether there is room again. */
const LOOK_MS = 10_000;

/**
 * Disk that only collection may use, so that a full disk can be emptied (I-C26): removing what is
 * dead has to write first. Lent, it is the disk's; until it is taken again, nothing is taken from
 * agents: what is left is not theirs to fill. A vault whose disk was short when it was to be made
 * has none.
 */
export class Reserve {
  readonly #file: ReserveFile | undefined;
  readonly #clock: Clock;
  readonly #turns = new Serial();
  #held: number | undefined;
  #lookedMs = 0;
  /** How often it was lent. */
  #lent = 0;

  private constructor(file: ReserveFile | undefined, clock: Clock, held: number | undefined) {
    this.#file = file;
    this.#clock = clock;
    this.#held = held;
  }

  /** Over media without such a file nothing is held, and nothing is refused. Errors: `FILE_…`. */
  static async open(file: ReserveFile | undefined, clock: Clock): Promise<Reserve> {
    return new Reserve(file, clock, await file?.held());
  }

  /** Bytes that are held. */
  get bytes(): number {
    return this.#held ?? 0;
  }

  /** Runs what must write for a disk to be emptied: where it is full, again with the reserve. */
  async withRoom<T>(run: () => Promise<T>): Promise<T> {
    const before = this.#lent;
    try {
      return await run();
    } catch (error) {
      if (!isFullDisk(error)) throw error;
      // It may have been lent in the middle of it, for a vault that had to be opened again.
      if (this.#lent === before && !(await this.#lend())) throw error;
      return run();
    }
  }

  /** Makes it, or takes it again, where the disk has room for it. Errors: `STORE_FAILED`. */
  async restore(): Promise<void> {
    await this.#turns.run(async () => {
      const file = this.#file;
      if (file === undefined || this.#held === file.bytes) return;
      const least = (this.#held === undefined ? TIMES_TO_MAKE : TIMES_TO_REFILL) * file.bytes;
      await forStore(async () => {
        if ((await file.freeBytes()) < least) return;
        this.#held ??= 0;
        if (await file.fill()) this.#held = file.bytes;
      });
    });
  }

  /** Before something is taken from an agent. Error: `STORE_NO_SPACE` while the reserve is lent. */
  async admit(): Promise<void> {
    if (!this.#isLent) return;
    const nowMs = this.#clock.nowMs();
    if (Math.abs(nowMs - this.#lookedMs) >= LOOK_MS) {
      this.#lookedMs = nowMs;
      await this.restore();
    }
    if (!this.#isLent) return;
    const says =
      'the disk is full, and what is left of it is for collection alone; free some space';
    throw new StoreError('STORE_NO_SPACE', says);
  }

  get #isLent(): boolean {
    return this.#held !== undefined && this.#held < (this.#file?.bytes ?? 0);
  }

  /** Whether there was anything to lend. */
  #lend(): Promise<boolean> {
    return this.#turns.run(async () => {
      const file = this.#file;
      if (file === undefined || this.bytes === 0) return false;
      await forStore(() => file.lend());
      this.#held = 0;
      this.#lent += 1;
      return true;
    });
  }
}

async function forStore<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new StoreError('STORE_FAILED', error.message, { cause: error });
  }
}
