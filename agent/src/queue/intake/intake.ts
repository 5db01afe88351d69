import {
  type ChunkId,
  type EntryDraft,
  encodeEntryDraft,
  MAX_SEALED_CHUNK_BYTES,
} from '@aliquot/proto';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { growthSlot } from '../ledger/growth-slot.ts';
import type { StagedReferences } from '../ledger/references.ts';
import type { Applied } from '../log/apply.ts';
import type { Joined, QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import { rawKey } from '../log/index-keys.ts';
import { decodeItemPlace, type ItemPlace } from '../log/places.ts';
import type { BatchSealer } from '../outbox/batch.ts';
import type { GcGate } from '../outbox/gc-gate.ts';
import type { KnownStat, QueuedItem } from '../queue.ts';
import type { BudgetMeter, Metered } from './budget.ts';
import { type CaptureSink, QueueCapture } from './capture.ts';
import type { Holds } from './holds.ts';
import type { Recent } from './recent.ts';
import { dropOldestKept } from './retention.ts';

export interface IntakeParts {
  readonly core: QueueCore;
  readonly holds: Holds;
  readonly batch: BatchSealer;
  readonly meter: BudgetMeter;
  readonly references: StagedReferences;
  readonly gate: GcGate;
  readonly recent: Recent;
  /** A version was appended. */
  readonly onVersion: (entry: number, capturedAtMs: number) => void;
  /** The last capture ended that was open when the newest epoch was learnt. */
  readonly onStaleEnded: () => void;
}

/** What the index said of an item when the turn began, and how many flushes there had been. */
type Found = { readonly value: Uint8Array | undefined; readonly flushes: number } | undefined;

interface Step extends Joined {
  /** The item that it asks for. */
  readonly id: ChunkId | undefined;
  found: Found;
}

const NOTHING = new Uint8Array(0);

/** The way in: open captures, what they add, and whether there is room for it. */
export class Intake implements CaptureSink {
  readonly #parts: IntakeParts;
  readonly #openBytes: (className: string) => number;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#openBytes = (className) => parts.holds.openBytes(className);
  }

  open(className: string): QueueCapture {
    const capture = new QueueCapture(this, className);
    this.#parts.holds.captures.add(capture);
    return capture;
  }

  /** Ends every open capture: what they put is not there any more. */
  endAll(): void {
    for (const capture of [...this.#parts.holds.captures]) capture.abort();
  }

  putItem(capture: QueueCapture, item: QueuedItem): Promise<void> {
    return this.#join((found) => this.#putItem(capture, item, found), item.id);
  }

  putVersion(
    capture: QueueCapture,
    draft: EntryDraft,
    known: KnownStat | undefined,
  ): Promise<void> {
    return this.#join(() => this.#putVersion(capture, draft, known), undefined);
  }

  ended(capture: QueueCapture): void {
    this.#parts.holds.ended(capture);
    if (this.#parts.gate.ended(capture)) this.#parts.onStaleEnded();
  }

  /** What the budget looks at. */
  metered(): Metered {
    const { core, holds } = this.#parts;
    return { files: core.files, heldFrom: holds.from(), openBytes: this.#openBytes };
  }

  /**
   * Small files come by the thousand: what is put in a row takes one turn, and asks the index once.
   */
  #join(run: (found: Found) => Promise<void>, id: ChunkId | undefined): Promise<void> {
    const { core } = this.#parts;
    return new Promise((resolve, reject) => {
      const work: Step = {
        id,
        found: undefined,
        reject,
        run: async () => {
          try {
            // An earlier step of this turn may have met a full disk.
            const waiting = core.ready();
            if (waiting !== undefined) await waiting;
            await run(work.found);
            resolve();
          } catch (error) {
            reject(error);
          }
        },
      };
      core.join(work, (steps: readonly Step[]) => this.#find(steps));
    });
  }

  async #find(steps: readonly Step[]): Promise<void> {
    const { core } = this.#parts;
    const asking = steps.filter(({ id }) => id !== undefined);
    const values = await core.files.index.getMany(
      asking.map(({ id }) => rawKey('i', id ?? NOTHING)),
    );
    const { flushes } = core;
    for (const [at, step] of asking.entries()) step.found = { value: values[at], flushes };
  }

  /**
   * Where an item is, as the index says now: what was staged since the turn began counts, and after
   * a flush all is asked again.
   */
  async #placeOf(id: ChunkId, found: Found): Promise<ItemPlace | undefined> {
    const { core } = this.#parts;
    const { index } = core.files;
    const key = rawKey('i', id);
    const value =
      found?.flushes === core.flushes ? index.latest(key, found.value) : await index.get(key);
    return value === undefined ? undefined : decodeItemPlace(value);
  }

  async #putItem(capture: QueueCapture, item: QueuedItem, found: Found): Promise<void> {
    const { core, holds, meter } = this.#parts;
    requireOpen(capture);
    const { segments } = core.files;
    if (item.sealed.length > MAX_SEALED_CHUNK_BYTES)
      throw new QueueError('QUEUE_REFUSED', `an item of ${item.sealed.length} bytes is too large`);
    const place = await this.#placeOf(item.id, found);
    // An item that lies only in a segment nobody holds may go any moment, and nobody knows that the
    // collector has it.
    if (place !== undefined && place.file >= Math.min(holds.from(), segments.activeNumber)) {
      holds.hold(capture, place.file);
      return;
    }
    if (item.named !== true && !equalBytes(sha256(item.sealed), item.id))
      throw new QueueError('QUEUE_REFUSED', 'the id of an item is not the hash of its bytes');
    if (!meter.fits(this.metered(), capture.class, item.sealed.length))
      await this.#requireRoom(capture, capture.class, item.sealed.length);
    // Held before it is written: the append may rotate, and then lies behind.
    holds.hold(capture, segments.activeNumber);
    await core.append(item.kind, item.sealed, item.id);
    holds.added(capture, item.sealed.length);
    // Only what is nobody else's memory: the caller of others may use it again.
    if (item.named === true) this.#parts.recent.putItem(item);
  }

  async #putVersion(
    capture: QueueCapture,
    draft: EntryDraft,
    known: KnownStat | undefined,
  ): Promise<void> {
    const { core, holds, batch, references, gate, meter } = this.#parts;
    requireOpen(capture);
    const { index, segments } = core.files;
    const path = draft.list.path;
    if (
      (known === undefined) !== (draft.kind === 'gone') ||
      (known !== undefined && !equalBytes(known.path, path))
    ) {
      throw new QueueError('QUEUE_REFUSED', 'a version and what is known of its file do not fit');
    }
    const encoded = encodeEntryDraft(draft);
    // That a file is gone is a fact without bytes: always taken (I-A10).
    if (draft.kind !== 'gone' && !meter.fits(this.metered(), draft.class, encoded.length))
      await this.#requireRoom(capture, draft.class, encoded.length);
    const entry = index.state.nextEntry;
    const holdSegment = Math.min(
      capture.holdSegment ?? segments.activeNumber,
      segments.activeNumber,
    );
    const { capturedAtMs, class: name } = draft;
    const fields = {
      entry,
      holdSegment,
      itemBytes: capture.itemBytes,
      capturedAtMs,
      path,
      known,
      class: name,
    };
    const { head, payload } = await batch.seal(core.files, fields, encoded);
    holds.version(holdSegment);
    const applied = ({ unreferenced }: Applied): void => {
      this.#parts.recent.putDraft(entry, { draft, bytes: encoded.length });
      if (capture.growth !== undefined) {
        const { key, name } = growthSlot(path);
        index.put(key, Buffer.concat([name, capture.growth]));
      }
      references.replaced(path, unreferenced !== undefined);
      gate.version(entry);
      this.#parts.onVersion(entry, capturedAtMs);
    };
    await core.append('version', payload, undefined, applied, head);
    // Behind the version, which protects what they name; and in portions, for a file of 100 GB has
    // some 400,000.
    for (const { index: cacheIndex, value } of capture.cached()) {
      index.put(rawKey('x', cacheIndex), value);
      if (core.isFullyStaged) await core.flush();
    }
  }

  /** A capture that does not fit has ended: nothing of it is kept. */
  async #requireRoom(capture: QueueCapture, className: string, bytes: number): Promise<void> {
    const { core, holds, meter } = this.#parts;
    const makeRoom = async (): Promise<boolean> => {
      await core.flush();
      return dropOldestKept(core.files, holds.from());
    };
    try {
      await meter.require(this.metered(), className, bytes, makeRoom);
    } catch (error) {
      if (error instanceof QueueError && error.code === 'QUEUE_FULL') {
        capture.abort();
        await meter.refused(this.metered(), className, capture.itemBytes + bytes);
      }
      throw error;
    }
  }
}

/**
 * It may have ended while its call waited for its turn: with a full queue, or a start after a full
 * disk.
 */
function requireOpen(capture: QueueCapture): void {
  if (capture.dropped)
    throw new QueueError('QUEUE_CLOSED', 'this capture has ended; start another one');
}
