import type { Clock } from '@aliquot/shared/ports';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { QueueError } from '../log/errors.ts';
import { freeBytesFor, type QueueFiles, type QueueOptions } from '../log/open-queue.ts';
import type { QueueBudget, RoomLeft, RoomLimit } from '../queue.ts';
import { keptBytesBelow } from './retention.ts';

/**
 * How long, and for how many appended bytes, an answer about free space is believed while the floor
 * is far.
 */
const FREE_BELIEVED_MS = 1000;
const FREE_BELIEVED_BYTES = 16 * 1024 * 1024;
/** Nearer to the floor than this, the disk is asked every time. */
const NEAR_FLOOR_BYTES = 64 * 1024 * 1024;

/**
 * Below the floor no more than this share of what the disk has is on its way to a collector that
 * takes it, and no more than so much.
 */
const PASSING_SHARE = 0.5;
const MOST_PASSING_BYTES = 2 ** 30;

/** How much may be on its way through the queue at a time while the disk is below its floor. */
export function passingBytes(freeBytes: number, usedBytes: number): number {
  return Math.min(Math.floor((freeBytes + usedBytes) * PASSING_SHARE), MOST_PASSING_BYTES);
}

/** What the meter measures: the queue as it stands. */
export interface Metered {
  readonly files: QueueFiles;
  /** The first segment that is needed. */
  readonly heldFrom: number;
  /** Bytes that open captures of a class have added. */
  readonly openBytes: (className: string) => number;
}

/** What is known of refusals in a class since `room` was last told. */
interface Refused {
  /** The largest need: what the capture had added, and what it was refused. */
  readonly bytes: number;
  /**
   * The room after it had ended. As long as there is no more, nothing has changed and another try
   * would end the same way.
   */
  readonly left: number;
}

interface Limited {
  readonly bytes: number;
  /** What binds, also while there is room. */
  readonly limit: RoomLimit;
}

/**
 * Says how much a capture may add (I-A10). What counts are whole segments from the first needed one
 * on, and signed commits without a receipt: what the disk holds for the queue and draining gives
 * back. A class counts its own items.
 */
export class BudgetMeter {
  readonly #options: QueueOptions;
  readonly #clock: Clock;
  #free: { readonly bytes: number; readonly atMs: number; used: number } | undefined;
  readonly #refused = new Map<string, Refused>();
  /**
   * The collector takes what is queued now. Then the floor of the disk is no reason to leave
   * results at their source: what is let in below it soon leaves again, a small part at a time.
   */
  draining = false;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#clock = options.clock;
  }

  get budget(): QueueBudget | undefined {
    return this.#options.budget;
  }

  /**
   * Whether a record certainly fits, as far as that can be said without asking the disk; its bytes
   * are counted then. Every item asks.
   */
  fits(metered: Metered, className: string, payloadBytes: number): boolean {
    const { budget } = this.#options;
    if (budget === undefined) return true;
    const free = this.#believed(budget);
    const bytes = payloadBytes + RECORD_HEADER_BYTES;
    if (free === undefined || roomOf(budget, metered, className, free).bytes < bytes) return false;
    if (this.#free !== undefined) this.#free.used += bytes;
    return true;
  }

  /**
   * Throws `QUEUE_FULL` when a record of this class does not fit. `makeRoom` may give segments back
   * that nobody needs.
   */
  async require(
    metered: Metered,
    className: string,
    payloadBytes: number,
    makeRoom: () => Promise<boolean>,
  ): Promise<void> {
    if (this.#options.budget === undefined) return;
    const bytes = payloadBytes + RECORD_HEADER_BYTES;
    let room = await this.#roomNow(metered, className, { withKept: false, passing: false });
    while (room.bytes < bytes && room.limit === 'disk' && (await makeRoom())) {
      this.#free = undefined;
      room = await this.#roomNow(metered, className, { withKept: false, passing: false });
    }
    if (room.bytes < bytes && this.draining)
      room = await this.#roomNow(metered, className, { withKept: false, passing: true });
    if (room.bytes >= bytes) {
      if (this.#free !== undefined) this.#free.used += bytes;
      return;
    }
    const { minFreeBytes } = this.#options.budget;
    const why =
      room.limit === 'disk'
        ? `the disk of the queue is near its floor (queue.minFreeBytes: ${minFreeBytes})`
        : `the budget of the queue is used up for class ${className}`;
    throw new QueueError('QUEUE_FULL', `${why}; it goes on when receipts or the disk give room`);
  }

  /** What a capture of a class may add, counting kept segments as free because they go first. */
  async room(metered: Metered, className: string): Promise<RoomLeft> {
    this.#free = undefined;
    const { bytes, limit } = await this.#roomNow(metered, className, {
      withKept: true,
      passing: this.draining,
    });
    return { bytes, why: bytes > 0 ? undefined : limit };
  }

  /** A capture was refused and has ended; `payloadBytes` is all that it had wanted until then. */
  async refused(metered: Metered, className: string, payloadBytes: number): Promise<void> {
    const before = this.#refused.get(className);
    const bytes = Math.max(before?.bytes ?? 0, payloadBytes + RECORD_HEADER_BYTES);
    // Until it is known, no room is more than there was: better told late than without end.
    this.#refused.set(className, { bytes, left: Number.POSITIVE_INFINITY });
    const left = (await this.room(metered, className)).bytes;
    this.#refused.set(className, { bytes, left: Math.max(before?.left ?? 0, left) });
  }

  /**
   * Whether something was refused, in whatever class, that may fit now: said once for each refusal.
   */
  async relieved(metered: Metered): Promise<boolean> {
    let any = false;
    for (const [className, { bytes, left }] of [...this.#refused]) {
      const room = await this.room(metered, className);
      if (room.bytes < bytes || room.bytes <= left) continue;
      this.#refused.delete(className);
      any = true;
    }
    return any;
  }

  /** Receipts came: whoever was refused may try again. */
  refusedBefore(): boolean {
    const any = this.#refused.size > 0;
    this.#refused.clear();
    return any;
  }

  async #roomNow(
    metered: Metered,
    className: string,
    { withKept, passing }: { readonly withKept: boolean; readonly passing: boolean },
  ): Promise<Limited> {
    const { budget } = this.#options;
    if (budget === undefined) return { bytes: Number.MAX_SAFE_INTEGER, limit: 'budget' };
    const kept = withKept ? keptBytesBelow(metered.files, metered.heldFrom) : 0;
    return roomOf(
      budget,
      metered,
      className,
      (this.#believed(budget) ?? (await this.#askFree())) + kept,
      passing,
    );
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
      Math.abs(this.#clock.nowMs() - known.atMs) < FREE_BELIEVED_MS &&
      known.used < FREE_BELIEVED_BYTES;
    return fresh && left - budget.minFreeBytes > NEAR_FLOOR_BYTES ? left : undefined;
  }

  async #askFree(): Promise<number> {
    const atMs = this.#clock.nowMs();
    const bytes = await freeBytesFor(this.#options);
    this.#free = { bytes, atMs, used: 0 };
    return bytes;
  }
}

/**
 * What a class may add when the disk has so many bytes free; `passing`: or what may pass below its
 * floor.
 */
function roomOf(
  budget: QueueBudget,
  { files, heldFrom, openBytes }: Metered,
  className: string,
  free: number,
  passing = false,
): Limited {
  const used = usedBytes(files, heldFrom);
  const all = budget.maxBytes - used;
  const share = Math.floor(budget.maxBytes * (budget.classes[className] ?? 1));
  const ofClass = share - (files.index.state.classBytes[className] ?? 0) - openBytes(className);
  const disk = Math.max(free - budget.minFreeBytes, passing ? passingBytes(free, used) - used : 0);
  const allowed = Math.min(all, ofClass);
  return { bytes: Math.max(0, Math.min(allowed, disk)), limit: disk < allowed ? 'disk' : 'budget' };
}

/** What counts against `maxBytes`. */
export function usedBytes(files: QueueFiles, heldFrom: number): number {
  return files.segments.bytesFrom(heldFrom) + files.index.state.signedBytes;
}
