import type { EntryDraft } from '@aliquot/proto';
import { cachedRows } from '../ledger/rows.ts';
import { QueueError } from '../log/errors.ts';
import type { KnownStat, QueuedItem } from '../log/facts.ts';
import { firstHeldSegment, lowestHold } from '../log/held-segments.ts';
import type { QueueFiles } from '../log/open-queue.ts';
import type { Capture, PutEnds, PutVersion, WholeSlab } from './intake.ts';

/** What a capture asks of the queue; each runs in the queue's serial section. */
export interface CaptureSink {
  putItems(capture: QueueCapture, items: readonly QueuedItem[]): Promise<void>;
  putVersions(
    capture: QueueCapture,
    versions: readonly PutVersion[],
    slab: WholeSlab | undefined,
  ): Promise<PutEnds>;
  ended(capture: QueueCapture): void;
}

/** One version on its way in: remembers what it holds in the queue until it is put or aborted. */
export class QueueCapture implements Capture {
  readonly #host: CaptureSink;
  /** The policy class that its bytes count for. */
  readonly class: string;
  readonly #cached: Uint8Array[] = [];
  #open = true;
  /** Aborted: what still waits for its turn must not be taken. */
  dropped = false;
  /** The oldest segment that it needs; `Holds` sets it. */
  holdSegment: number | undefined;
  /** See `keepGrowth`. */
  growth: Uint8Array | undefined;
  /** Sealed bytes appended for it; `Holds` counts them. */
  itemBytes = 0;

  constructor(host: CaptureSink, className: string) {
    this.#host = host;
    this.class = className;
  }

  putItems(items: readonly QueuedItem[]): Promise<void> {
    return this.#open ? this.#host.putItems(this, items) : Promise.reject(captureEnded());
  }

  cachePut(pairs: Uint8Array): void {
    if (!this.#open) throw captureEnded();
    this.#cached.push(pairs);
  }

  keepGrowth(state: Uint8Array): void {
    if (!this.#open) throw captureEnded();
    this.growth = state;
  }

  /** What was given to `cachePut`, as rows. */
  *cached(): ReturnType<typeof cachedRows> {
    for (const pairs of this.#cached) yield* cachedRows(pairs);
  }

  async putVersion(draft: EntryDraft, known: KnownStat | undefined): Promise<void> {
    if (!this.#open) throw captureEnded();
    this.#open = false;
    try {
      const [error] = await this.#host.putVersions(this, [{ draft, known }], undefined);
      if (error !== undefined) throw error;
    } finally {
      this.#host.ended(this);
    }
  }

  async putShared(versions: readonly PutVersion[], slab: WholeSlab | undefined): Promise<PutEnds> {
    return this.#open
      ? this.#host.putVersions(this, versions, slab)
      : versions.map(() => captureEnded());
  }

  abort(): void {
    this.#open = false;
    this.dropped = true;
    this.#host.ended(this);
  }
}

/**
 * A capture may have ended while its call waited for its turn: with a full queue, or a start after
 * a full disk.
 */
export function requireOpen(capture: QueueCapture): void {
  if (capture.dropped) throw captureEnded();
}

/** Whatever is put into a capture that has ended. */
export function captureEnded(): QueueError {
  return new QueueError('QUEUE_CLOSED', 'this capture has ended; start another one');
}

/** Which segments are needed: by versions without a receipt, and by captures under way. */
export class Holds {
  readonly captures: Set<QueueCapture> = new Set();
  /**
   * How many open captures need everything from a segment on: there may be a thousand captures, and
   * every item asks.
   */
  readonly #byCaptures = new Map<number, number>();
  /** Bytes that open captures have added, by class. */
  readonly #openBytes = new Map<string, number>();
  /** By versions: the index's answer, kept in memory because every item asks. */
  #byVersions: number | undefined;

  /** Asks the index: at start, and after whatever may hold older segments again. */
  async find({ index, segments }: QueueFiles): Promise<void> {
    const oldest = segments.files()[0]?.number ?? 0;
    this.#byVersions = await firstHeldSegment(index, await lowestHold(index, oldest));
  }

  /** Asks the index again: after whatever may have ended a hold. */
  async refresh({ index }: QueueFiles): Promise<void> {
    if (this.#byVersions !== undefined)
      this.#byVersions = await firstHeldSegment(index, this.#byVersions);
  }

  /** A version that is not in the written index yet. */
  version(segment: number): void {
    this.#byVersions = Math.min(this.#byVersions ?? segment, segment);
  }

  /** This capture needs this segment, and all behind it. */
  hold(capture: QueueCapture, segment: number): void {
    const held = capture.holdSegment;
    if (!this.captures.has(capture) || (held !== undefined && held <= segment)) return;
    if (held !== undefined) this.#release(held);
    capture.holdSegment = segment;
    this.#byCaptures.set(segment, (this.#byCaptures.get(segment) ?? 0) + 1);
  }

  /** This capture has added bytes. */
  added(capture: QueueCapture, bytes: number): void {
    capture.itemBytes += bytes;
    this.#count(capture.class, bytes);
  }

  /** What this capture has added counts for a version now. */
  counted(capture: QueueCapture): void {
    this.#count(capture.class, -capture.itemBytes);
    capture.itemBytes = 0;
  }

  /** Forgets a capture; repeating is harmless. */
  ended(capture: QueueCapture): void {
    if (!this.captures.delete(capture)) return;
    if (capture.holdSegment !== undefined) this.#release(capture.holdSegment);
    this.#count(capture.class, -capture.itemBytes);
  }

  /** The first needed segment; beyond all numbers when none is. */
  from(): number {
    let from = this.#byVersions ?? Number.MAX_SAFE_INTEGER;
    for (const segment of this.#byCaptures.keys()) from = Math.min(from, segment);
    return from;
  }

  /** Bytes that open captures of a class have added. */
  openBytes(className: string): number {
    return this.#openBytes.get(className) ?? 0;
  }

  #release(segment: number): void {
    const left = (this.#byCaptures.get(segment) ?? 0) - 1;
    if (left > 0) this.#byCaptures.set(segment, left);
    else this.#byCaptures.delete(segment);
  }

  #count(className: string, bytes: number): void {
    const sum = this.openBytes(className) + bytes;
    if (sum > 0) this.#openBytes.set(className, sum);
    else this.#openBytes.delete(className);
  }
}
