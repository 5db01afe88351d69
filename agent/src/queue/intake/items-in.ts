import { type ChunkId, MAX_SEALED_CHUNK_BYTES } from '@aliquot/proto';
import { mapKey, releasePart } from '@aliquot/shared/crypto/bytes';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import type { QueuedItem } from '../log/facts.ts';
import { isProved } from '../log/formats.ts';
import { decodeItemPlace, type ItemPlace, rawKey } from '../log/index-rows.ts';
import { type Holds, type QueueCapture, requireOpen } from './capture.ts';
import type { Onward } from './intake.ts';

/** What the index said of items when the turn began, and how many flushes there had been. */
export interface FoundItems {
  readonly values: readonly (Uint8Array | undefined)[];
  readonly flushes: number;
}

/** Nothing was asked yet. */
export const nothingFound: FoundItems = { values: [], flushes: -1 };

/** A step that asks for items. */
export interface FindingStep {
  readonly ids: readonly ChunkId[];
  found: FoundItems;
}

/** Whether there is space for an item, beside those that were let in and are not written yet. */
export interface ItemSpace {
  /** Certainly, and it is counted. */
  fits(className: string, bytes: number, waitingBytes: number): boolean;
  /** Asks the disk; `QUEUE_FULL` ends the capture. */
  require(capture: QueueCapture, bytes: number, waitingBytes: number): Promise<void>;
}

interface ItemsInParts {
  readonly core: QueueCore;
  readonly holds: Holds;
  readonly onward: Onward;
}

/** Puts items: inside the queue's turn. */
export class ItemsIn {
  readonly #parts: ItemsInParts;
  readonly #space: ItemSpace;

  constructor(parts: ItemsInParts, space: ItemSpace) {
    this.#parts = parts;
    this.#space = space;
  }

  /** Asks the index at once for what the steps of a turn ask for. */
  async find(steps: readonly FindingStep[]): Promise<void> {
    const { core } = this.#parts;
    const keys = steps.flatMap(({ ids }) => ids.map((id) => rawKey('i', id)));
    if (keys.length === 0) return;
    const values = await core.files.index.getMany(keys);
    const { flushes } = core;
    let from = 0;
    for (const step of steps) {
      const to = from + step.ids.length;
      step.found = { values: values.slice(from, to), flushes };
      from = to;
    }
  }

  /**
   * Where an item is, as the index says now: what was staged since the turn began counts, and after
   * a flush all is asked again.
   */
  async #placeOf(id: ChunkId, found: FoundItems, at: number): Promise<ItemPlace | undefined> {
    const { core } = this.#parts;
    const { index } = core.files;
    const key = rawKey('i', id);
    const value =
      found.flushes === core.flushes ? index.latest(key, found.values[at]) : await index.get(key);
    return value === undefined ? undefined : decodeItemPlace(value);
  }

  /** Those that stand next to each other in a segment are written together. */
  async put(capture: QueueCapture, items: readonly QueuedItem[], found: FoundItems): Promise<void> {
    const { core, holds } = this.#parts;
    requireOpen(capture);
    const { segments } = core.files;
    const group = new Map<string, QueuedItem>();
    let bytes = 0;
    for (const [at, item] of items.entries()) {
      if (item.sealed.length > MAX_SEALED_CHUNK_BYTES)
        throw new QueueError(
          'QUEUE_REFUSED',
          `an item of ${item.sealed.length} bytes is too large`,
        );
      const name = mapKey(item.id);
      if (group.has(name)) continue;
      const place = await this.#placeOf(item.id, found, at);
      // An item that lies only in a segment nobody holds may go any moment, and nobody knows that
      // the collector has it.
      if (place !== undefined && place.file >= Math.min(holds.from(), segments.activeNumber)) {
        holds.hold(capture, place.file);
        if (item.named === true) releasePart(item.sealed);
        continue;
      }
      if (item.named !== true && !isProved(item))
        throw new QueueError('QUEUE_REFUSED', 'the id of an item is not the hash of its bytes');
      if (bytes + item.sealed.length > segments.togetherBytes) {
        await this.#putGroup(capture, [...group.values()]);
        group.clear();
        bytes = 0;
      }
      const waiting = bytes + group.size * RECORD_HEADER_BYTES;
      if (!this.#space.fits(capture.class, item.sealed.length, waiting))
        await this.#space.require(capture, item.sealed.length, waiting);
      group.set(name, item);
      bytes += item.sealed.length;
    }
    await this.#putGroup(capture, [...group.values()]);
  }

  async #putGroup(capture: QueueCapture, group: readonly QueuedItem[]): Promise<void> {
    const { core, holds, onward } = this.#parts;
    if (group.length === 0) return;
    // Held before it is written: the append may rotate, and then lies behind.
    holds.hold(capture, core.files.segments.activeNumber);
    await core.appendItems(group);
    for (const item of group) {
      holds.added(capture, item.sealed.length);
      // Only what is nobody else's memory: the caller of others may use it again.
      if (item.named === true) onward.itemPut(item);
    }
  }
}
