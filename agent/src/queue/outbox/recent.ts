import type { ChunkId } from '@aliquot/proto';
import { mapKey, releasePart } from '@aliquot/shared/crypto/bytes';
import type { QueuedItem } from '../log/facts.ts';
import type { StoredDraft } from '../log/stored.ts';

/** What kept items may take: some windows of the capture. */
const MOST_ITEM_BYTES = 6 * 1024 * 1024;
/**
 * What an item takes beside its sealed bytes: of the smallest files there would else be hundreds of
 * thousands.
 */
const ITEM_OVERHEAD_BYTES = 1024;
/** From here on it is worth sending them, and the listener is called. */
const FRESH_BYTES = 2 * 1024 * 1024;
/** Versions whose drafts are kept: those of a commit that is due, and of the next that comes in. */
const MOST_DRAFTS = 2 * 4096;

/**
 * What was put lately and is sent soon, so that it is not read back from the disk, opened and
 * checked a moment after it was written. A copy only: whatever is not here is in the segments.
 * Bounded, the oldest goes first.
 */
export class Recent {
  readonly #onFresh: () => void;
  readonly #items = new Map<string, QueuedItem>();
  #itemBytes = 0;
  /** Bytes put since `onFresh` was called last. */
  #untold = 0;
  /** By the number of the first version of their record. */
  readonly #drafts = new Map<number, readonly StoredDraft[]>();
  #draftCount = 0;

  /** `onFresh` is called when two mebibytes more may be taken. */
  constructor(onFresh: () => void = () => undefined) {
    this.#onFresh = onFresh;
  }

  putItem(item: QueuedItem): void {
    const name = mapKey(item.id);
    if (this.#items.has(name)) return;
    this.#items.set(name, item);
    this.#itemBytes += sizeOf(item);
    this.#untold += sizeOf(item);
    if (this.#untold >= FRESH_BYTES) {
      this.#untold = 0;
      this.#onFresh();
    }
    for (const [oldest, dropped] of this.#items) {
      if (this.#itemBytes <= MOST_ITEM_BYTES) return;
      this.#items.delete(oldest);
      this.#itemBytes -= sizeOf(dropped);
      releasePart(dropped.sealed);
    }
  }

  /** Gives an item away: it is sent once. */
  takeItem(id: ChunkId): QueuedItem | undefined {
    const name = mapKey(id);
    const item = this.#items.get(name);
    if (item === undefined) return undefined;
    this.#items.delete(name);
    this.#itemBytes -= sizeOf(item);
    return item;
  }

  /**
   * Gives away the oldest items, of this many bytes or a little more; none while there is less than
   * two mebibytes.
   */
  takeItems(bytes: number): readonly QueuedItem[] {
    const taken: QueuedItem[] = [];
    if (this.#itemBytes < FRESH_BYTES) return taken;
    let left = bytes;
    for (const [name, item] of this.#items) {
      if (left <= 0) break;
      left -= sizeOf(item);
      this.#items.delete(name);
      this.#itemBytes -= sizeOf(item);
      taken.push(item);
    }
    return taken;
  }

  /** The drafts of one record, whose first version has this number. */
  putDrafts(first: number, drafts: readonly StoredDraft[]): void {
    this.#drafts.set(first, drafts);
    this.#draftCount += drafts.length;
    for (const [oldest, dropped] of this.#drafts) {
      if (this.#draftCount <= MOST_DRAFTS) return;
      this.#drafts.delete(oldest);
      this.#draftCount -= dropped.length;
    }
  }

  drafts(first: number): readonly StoredDraft[] | undefined {
    return this.#drafts.get(first);
  }

  /** Everything up to this version stands in signed commits. */
  signed(through: number): void {
    for (const [first, drafts] of this.#drafts) {
      if (first > through) return;
      this.#drafts.delete(first);
      this.#draftCount -= drafts.length;
    }
  }

  /** Forgets all: after the files were opened again they may hold something else. */
  clear(): void {
    this.#items.clear();
    this.#itemBytes = 0;
    this.#drafts.clear();
    this.#draftCount = 0;
  }
}

function sizeOf({ sealed }: QueuedItem): number {
  return sealed.length + ITEM_OVERHEAD_BYTES;
}
