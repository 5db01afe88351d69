import type { ChunkId } from '@aliquot/proto';
import type { SealedBlock } from '@aliquot/shared/commit/block-seal';
import { mapKey, releasePart } from '@aliquot/shared/crypto/bytes';
import type { QueuedItem } from '../log/facts.ts';
import type { StoredDraft } from '../log/stored.ts';
import type { CommitSigner } from './outbox.ts';

/** What kept items may take: some windows of the capture. */
const MOST_ITEM_BYTES = 6 * 1024 * 1024;
/**
 * What an item takes beside its sealed bytes: of the smallest files there would else be hundreds of
 * thousands.
 */
const ITEM_OVERHEAD_BYTES = 1024;
/** From here on it is worth sending them, and the listener is called. */
const FRESH_BYTES = 2 * 1024 * 1024;
/** Versions that are kept: those of a commit that is due, and of the next that comes in. */
export const MOST_VERSIONS: number = 2 * 4096;

/** The versions of one record as they wait: their drafts, or blocks that were sealed of them. */
export type WaitingVersions =
  | { readonly drafts: readonly StoredDraft[] }
  | {
      readonly blocks: readonly SealedBlock[];
      /** Who has sealed them, and alone can sign them. */
      readonly signer: CommitSigner;
      readonly count: number;
      /** What their encoded drafts took. */
      readonly bytes: number;
    };

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
  readonly #versions = new Map<number, WaitingVersions>();
  #versionCount = 0;

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

  /** The versions of one record, of which the first has this number. */
  putVersions(first: number, versions: WaitingVersions): void {
    this.#versions.set(first, versions);
    this.#versionCount += countOf(versions);
    for (const oldest of this.#versions.keys()) {
      if (this.#versionCount <= MOST_VERSIONS) return;
      this.forget(oldest);
    }
  }

  versions(first: number): WaitingVersions | undefined {
    return this.#versions.get(first);
  }

  forget(first: number): void {
    const versions = this.#versions.get(first);
    if (versions !== undefined && this.#versions.delete(first))
      this.#versionCount -= countOf(versions);
  }

  /** Everything up to this version stands in signed commits. */
  signed(through: number): void {
    for (const first of this.#versions.keys()) {
      if (first > through) return;
      this.forget(first);
    }
  }

  /** Forgets all: after the files were opened again they may hold something else. */
  clear(): void {
    this.#items.clear();
    this.#itemBytes = 0;
    this.#versions.clear();
    this.#versionCount = 0;
  }
}

function countOf(versions: WaitingVersions): number {
  return 'drafts' in versions ? versions.drafts.length : versions.count;
}

function sizeOf({ sealed }: QueuedItem): number {
  return sealed.length + ITEM_OVERHEAD_BYTES;
}
