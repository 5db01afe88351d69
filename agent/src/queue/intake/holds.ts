import { firstHeldSegment, lowestHold } from '../log/held-segments.ts';
import type { QueueFiles } from '../log/open-queue.ts';
import type { QueueCapture } from './capture.ts';

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
