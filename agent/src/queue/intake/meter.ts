import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Clock } from '@aliquot/shared/ports';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import { dropSegment, keptSegments } from '../log/held-segments.ts';
import { mustKnow } from '../log/index-proof.ts';
import { freeBytesFor } from '../log/open-queue.ts';
import type { Holds } from './capture.ts';
import type { QueueUsage, SpaceLeft } from './intake.ts';
import {
  dropsOldestKept,
  type LimitedSpace,
  passingBytes,
  type QueueBudget,
  spaceFor,
} from './space.ts';

/** Segments from before that one receipt's turn reads, to prove what may be dropped. */
const LOOKED_AT_ONCE = 16;
const DEFAULT_KEPT_BYTES = 256 * 1024 * 1024;
/**
 * How long, and for how many appended bytes, an answer about free space is believed while the floor
 * is far.
 */
const FREE_BELIEVED_MS = 1000;
const FREE_BELIEVED_BYTES = 16 * 1024 * 1024;
/** Nearer to the floor than this, the disk is asked every time. */
const NEAR_FLOOR_BYTES = 64 * 1024 * 1024;

export interface SpaceOptions {
  readonly port: FilePort;
  readonly dataDir: string;
  readonly clock: Clock;
  /** Unlimited unless given. */
  readonly budget?: QueueBudget;
  /**
   * Sealed bytes that stay after their receipts, to be sent again if the collector loses them. 256
   * MiB by default.
   */
  readonly keptBytes?: number;
}

/**
 * Gathers what the decisions of `space.ts` need, asks the disk no more often than it must, and
 * drops what may go.
 */
export class SpaceMeter {
  readonly #options: SpaceOptions;
  readonly #core: QueueCore;
  readonly #holds: Holds;
  #free: { readonly bytes: number; readonly atMs: number; used: number } | undefined;
  /**
   * The collector takes what is queued now. Then the floor of the disk is no reason to leave
   * results at their source: what is let in below it soon leaves again, a small part at a time.
   */
  draining = false;

  constructor(options: SpaceOptions, core: QueueCore, holds: Holds) {
    this.#options = options;
    this.#core = core;
    this.#holds = holds;
  }

  /**
   * Whether a record certainly fits, as far as that can be said without asking the disk; its bytes
   * are counted then. Every item asks.
   *
   * @param waitingBytes What records that were let in before take, and that are not written yet.
   */
  fits(className: string, payloadBytes: number, waitingBytes = 0): boolean {
    const { budget } = this.#options;
    if (budget === undefined) return true;
    const bytes = payloadBytes + RECORD_HEADER_BYTES;
    const free = this.#believed(budget);
    if (
      free === undefined ||
      this.#spaceWith(budget, className, free, false).bytes < bytes + waitingBytes
    )
      return false;
    this.#count(bytes);
    return true;
  }

  /**
   * As `fits`, but asks the disk, and gives kept segments back for it. Throws `QUEUE_FULL` when a
   * record of this class does not fit anyway.
   */
  async require(className: string, payloadBytes: number, waitingBytes = 0): Promise<void> {
    const { budget } = this.#options;
    if (budget === undefined) return;
    const bytes = payloadBytes + RECORD_HEADER_BYTES;
    const all = bytes + waitingBytes;
    let space = await this.#spaceNow(budget, className, false);
    if (space.bytes < all && space.limit === 'disk' && (await this.dropKept(all)))
      space = await this.#spaceNow(budget, className, false);
    if (space.bytes < all && this.draining) space = await this.#spaceNow(budget, className, true);
    if (space.bytes >= all) return this.#count(bytes);
    const why =
      space.limit === 'disk'
        ? `the disk of the queue is near its floor (queue.minFreeBytes: ${budget.minFreeBytes})`
        : `the budget of the queue is used up for class ${className}`;
    throw new QueueError('QUEUE_FULL', `${why}; it goes on when receipts or the disk give space`);
  }

  /** What a capture of a class may add, counting kept segments as free because they go first. */
  async space(className: string): Promise<SpaceLeft> {
    const { budget } = this.#options;
    if (budget === undefined) return { bytes: Number.MAX_SAFE_INTEGER, why: undefined };
    const free = (await this.#askFree()) + this.#keptBytes();
    const { bytes, limit } = this.#spaceWith(budget, className, free, this.draining);
    return { bytes, why: bytes > 0 ? undefined : limit };
  }

  async usage(): Promise<QueueUsage> {
    const freeBytes = await freeBytesFor(this.#options);
    const usedBytes = this.#usedBytes();
    return {
      usedBytes,
      keptBytes: this.#keptBytes(),
      freeBytes,
      passingBytes: passingBytes(freeBytes, usedBytes),
      budget: this.#options.budget,
      classes: this.#core.files.index.state.classBytes,
    };
  }

  /** Drops kept segments, the oldest first, as long as they are to go; whether any went. */
  async dropKept(wanted = 0): Promise<boolean> {
    const { budget, keptBytes: mostKept = DEFAULT_KEPT_BYTES } = this.#options;
    for (let any = false; ; any = true) {
      const kept = keptSegments(this.#core.files, this.#holds.from());
      const [oldest] = kept;
      if (oldest === undefined) return any;
      const keptBytes = sumOf(kept);
      const freeBytes = budget === undefined ? 0 : await this.#askFree();
      const occupancy = { usedBytes: this.#usedBytes(), freeBytes };
      if (!dropsOldestKept(budget, occupancy, keptBytes, mostKept, wanted)) return any;
      await this.#core.flush();
      // D5: a dropped segment does not come back, so the index's word alone is not enough.
      const needed = await this.#core.waiting.needed(
        wanted > 0 ? Number.MAX_SAFE_INTEGER : LOOKED_AT_ONCE,
      );
      if (needed === undefined) return any;
      if (needed.segment <= oldest.number) {
        await mustKnow(this.#core.files.index, needed.by);
        return any;
      }
      await dropSegment(this.#core.files, oldest.number);
    }
  }

  #spaceWith(
    budget: QueueBudget,
    className: string,
    freeBytes: number,
    passing: boolean,
  ): LimitedSpace {
    const { classBytes } = this.#core.files.index.state;
    const ofClass = (classBytes[className] ?? 0) + this.#holds.openBytes(className);
    return spaceFor(
      budget,
      { usedBytes: this.#usedBytes(), freeBytes },
      className,
      ofClass,
      passing,
    );
  }

  async #spaceNow(budget: QueueBudget, className: string, passing: boolean): Promise<LimitedSpace> {
    const free = this.#believed(budget) ?? (await this.#askFree());
    return this.#spaceWith(budget, className, free, passing);
  }

  /** What counts against `maxBytes`. */
  #usedBytes(): number {
    const { segments, index } = this.#core.files;
    return segments.bytesFrom(this.#holds.from()) + index.state.signedBytes;
  }

  #keptBytes(): number {
    return sumOf(keptSegments(this.#core.files, this.#holds.from()));
  }

  #count(bytes: number): void {
    if (this.#free !== undefined) this.#free.used += bytes;
  }

  /**
   * Free space as it was a moment ago, less what was appended since; undefined when the disk has to
   * be asked.
   */
  #believed(budget: QueueBudget): number | undefined {
    const known = this.#free;
    if (known === undefined) return undefined;
    const left = known.bytes - known.used;
    const fresh =
      Math.abs(this.#options.clock.nowMs() - known.atMs) < FREE_BELIEVED_MS &&
      known.used < FREE_BELIEVED_BYTES;
    return fresh && left - budget.minFreeBytes > NEAR_FLOOR_BYTES ? left : undefined;
  }

  async #askFree(): Promise<number> {
    const atMs = this.#options.clock.nowMs();
    const bytes = await freeBytesFor(this.#options);
    this.#free = { bytes, atMs, used: 0 };
    return bytes;
  }
}

function sumOf(segments: readonly { readonly size: number }[]): number {
  return segments.reduce((sum, { size }) => sum + size, 0);
}
