import { endWith } from '@aliquot/shared/durable/unexpected';
import type { QueueCore } from '../log/core.ts';
import type { QueueEvents } from '../log/events.ts';
import { decodeCommitPlace, familyFrom, numberInKey, numberKey } from '../log/index-rows.ts';
import { encodeCounter } from '../log/payloads.ts';
import type { SweepEpochs } from './outbox.ts';

/**
 * Knows when an epoch may be answered (I-A9): when every version is receipted that was captured
 * before the epoch was learnt, or by a capture that was open then and may have trusted the older
 * cache. But for the epoch nothing here is durable: what a start finds in the queue counts as
 * captured before.
 */
export class DurableEpochs implements SweepEpochs {
  readonly #core: QueueCore;
  readonly #events: QueueEvents;
  readonly #openCaptures: () => Iterable<object>;
  /** Versions up to this number are waited for. */
  #through = 0;
  #stale = new Set<object>();
  #answerable = false;

  constructor(core: QueueCore, events: QueueEvents, openCaptures: () => Iterable<object>) {
    this.#core = core;
    this.#events = events;
    this.#openCaptures = openCaptures;
  }

  newest(): number {
    return this.#core.files.index.state.gcEpoch;
  }

  learn(epoch: number): Promise<void> {
    return this.#core.change(async () => {
      if (epoch <= this.newest()) return;
      await this.#core.appendChain('gcEpoch', encodeCounter(epoch));
      this.waitFor(this.#openCaptures());
      await this.tellIfReady();
    });
  }

  answer(): Promise<number | undefined> {
    return this.#core.change(async () => ((await this.#isReady()) ? this.newest() : undefined));
  }

  // ---- inside the queue's turn ----

  /**
   * Everything captured until now is waited for: an epoch was learnt, the queue was opened, or the
   * collector has lost receipts.
   */
  waitFor(open: Iterable<object>): void {
    this.#through = this.#core.files.index.state.nextEntry - 1;
    this.#stale = new Set(open);
    this.#answerable = false;
  }

  /**
   * A version was put. While an earlier capture is open it may belong to a user of the cache, so it
   * is waited for.
   */
  version(entry: number): void {
    if (this.#stale.size > 0) this.#through = entry;
  }

  captureEnded(capture: object): void {
    if (!this.#stale.delete(capture) || this.#stale.size > 0) return;
    // What fails here is reported again with the next receipt.
    void this.#core.change(() => this.tellIfReady()).catch(endWith);
  }

  /**
   * After a rollback everything is waited for again: also what was captured since the epoch was
   * learnt and had its receipt. Its bytes may be at the collector only, in a set of before.
   */
  reset(): void {
    this.waitFor(this.#openCaptures());
  }

  async tellIfReady(): Promise<void> {
    if (await this.#isReady()) this.#events.tell({ type: 'gcReady' });
  }

  async #isReady(): Promise<boolean> {
    if (this.#answerable) return true;
    const { index } = this.#core.files;
    if (index.state.gcEpoch === 0 || this.#stale.size > 0) return false;
    const next = await index.get(numberKey('c', index.state.receiptedSequence + 1));
    if (next !== undefined && decodeCommitPlace(next).firstEntry <= this.#through) return false;
    // The question is put to the written index, and a staged version may be an earlier one.
    await this.#core.flush();
    const unsigned = await index.firstKey(familyFrom('q', index.state.signedEntry + 1));
    if (unsigned !== undefined && numberInKey(unsigned) <= this.#through) return false;
    // D5: what the collector sweeps after the answer does not come back.
    const needed = await this.#core.waiting.needed(Number.MAX_SAFE_INTEGER);
    this.#answerable = needed !== undefined && needed.entry > this.#through;
    return this.#answerable;
  }
}
