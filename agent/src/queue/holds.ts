import type { QueueCapture } from './capture.ts';
import type { IndexStore } from './index-store.ts';
import { firstHeldSegment } from './retention.ts';

/** Which segments are needed: by versions without a receipt, and by captures under way. */
export class Holds {
  readonly captures: Set<QueueCapture> = new Set();
  /** By versions: the index's answer, kept in memory because every item asks. */
  #byVersions: number | undefined;

  /** Asks the index: at start, and after whatever may hold older segments again. `from` is the lowest that any may have. */
  async find(index: IndexStore, from: number): Promise<void> {
    this.#byVersions = await firstHeldSegment(index, from);
  }

  /** Asks the index again: after whatever may have ended a hold. */
  async refresh(index: IndexStore): Promise<void> {
    if (this.#byVersions !== undefined) this.#byVersions = await firstHeldSegment(index, this.#byVersions);
  }

  /** A version that is not in the written index yet. */
  version(segment: number): void {
    this.#byVersions = Math.min(this.#byVersions ?? segment, segment);
  }

  /** The first needed segment; beyond all numbers when none is. */
  from(): number {
    let from = this.#byVersions ?? Number.MAX_SAFE_INTEGER;
    for (const capture of this.captures) from = Math.min(from, capture.holdSegment ?? from);
    return from;
  }

  /** Bytes that open captures of a class have added. */
  openBytes(className: string): number {
    let bytes = 0;
    for (const capture of this.captures) if (capture.class === className) bytes += capture.itemBytes;
    return bytes;
  }
}
