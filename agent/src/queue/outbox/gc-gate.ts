import type { QueueCapture } from '../intake/capture.ts';
import { familyFrom, numberInKey, numberKey } from '../log/index-keys.ts';
import type { IndexStore } from '../log/index-store.ts';
import { decodeCommitPlace } from '../log/places.ts';

/**
 * Knows when an epoch may be answered (I-A9): when every version is receipted that was captured
 * before the epoch was learnt, or by a capture that was open then and may have trusted the cache of
 * before. Nothing here is durable: what a start finds in the queue counts as captured before.
 */
export class GcGate {
  /** Versions up to this number are waited for. */
  #through = 0;
  #stale = new Set<QueueCapture>();
  #answerable = false;

  /** An epoch was learnt, or the queue was opened (with no captures). */
  learn(open: Iterable<QueueCapture>, lastEntry: number): void {
    this.#through = lastEntry;
    this.#stale = new Set(open);
    this.#answerable = false;
  }

  /**
   * A version was put. While a capture of before is open it may be one of its guard's, so it is
   * waited for.
   */
  version(entry: number): void {
    if (this.#stale.size > 0) this.#through = entry;
  }

  /** True when it was the last one of before. */
  ended(capture: QueueCapture): boolean {
    return this.#stale.delete(capture) && this.#stale.size === 0;
  }

  /** After a rollback there may be more to wait for. */
  reset(): void {
    this.#answerable = false;
  }

  /**
   * `flush` writes what is staged: the question is put to the written index, and a staged version
   * may be one of before.
   */
  async answerable(index: IndexStore, flush: () => Promise<void>): Promise<boolean> {
    if (this.#answerable) return true;
    if (index.state.gcEpoch === 0 || this.#stale.size > 0) return false;
    const next = await index.get(numberKey('c', index.state.receiptedSequence + 1));
    if (next !== undefined && decodeCommitPlace(next).firstEntry <= this.#through) return false;
    await flush();
    const unsigned = await index.firstKey(familyFrom('q', index.state.signedEntry + 1));
    this.#answerable = unsigned === undefined || numberInKey(unsigned) > this.#through;
    return this.#answerable;
  }
}
