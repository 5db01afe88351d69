import { type EntryDraft, encodeEntryDraft, MAX_SEALED_CHUNK_BYTES } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { BatchSealer } from './batch.ts';
import type { BudgetMeter, Metered } from './budget.ts';
import { type CaptureHost, QueueCapture } from './capture.ts';
import type { QueueCore } from './core.ts';
import { QueueError } from './errors.ts';
import type { GcGate } from './gc-gate.ts';
import type { Holds } from './holds.ts';
import { rawKey } from './index-keys.ts';
import { decodeItemPlace } from './places.ts';
import type { KnownStat, QueuedItem } from './queue.ts';
import { digestOf } from './record.ts';
import type { StagedReferences } from './references.ts';
import { dropOldestKept } from './retention.ts';

export interface IntakeParts {
  readonly core: QueueCore;
  readonly holds: Holds;
  readonly batch: BatchSealer;
  readonly meter: BudgetMeter;
  readonly references: StagedReferences;
  readonly gate: GcGate;
  /** A version was appended. */
  readonly onVersion: (capturedAtMs: number) => void;
  /** The last capture ended that was open when the newest epoch was learnt. */
  readonly onStaleEnded: () => void;
}

/** The way in: open captures, what they add, and whether there is room for it. */
export class Intake implements CaptureHost {
  readonly #parts: IntakeParts;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
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
    return this.#parts.core.change(() => this.#putItem(capture, item));
  }

  putVersion(capture: QueueCapture, draft: EntryDraft, known: KnownStat | undefined): Promise<void> {
    return this.#parts.core.change(() => this.#putVersion(capture, draft, known));
  }

  ended(capture: QueueCapture): void {
    this.#parts.holds.captures.delete(capture);
    if (this.#parts.gate.ended(capture)) this.#parts.onStaleEnded();
  }

  /** What the budget looks at. */
  metered(): Metered {
    const { core, holds } = this.#parts;
    return { files: core.files, heldFrom: holds.from(), openBytes: (name) => holds.openBytes(name) };
  }

  async #putItem(capture: QueueCapture, item: QueuedItem): Promise<void> {
    const { core, holds } = this.#parts;
    requireOpen(capture);
    const { index, segments } = core.files;
    if (item.sealed.length > MAX_SEALED_CHUNK_BYTES)
      throw new QueueError('QUEUE_REFUSED', `an item of ${item.sealed.length} bytes is too large`);
    const value = await index.get(rawKey('i', item.id));
    const place = value === undefined ? undefined : decodeItemPlace(value);
    // An item that lies only in a segment nobody holds may go any moment, and nobody knows that the collector has it.
    if (place !== undefined && place.file >= Math.min(holds.from(), segments.activeNumber)) {
      capture.hold(place.file);
      return;
    }
    if (!equalBytes(digestOf(item.sealed), item.id))
      throw new QueueError('QUEUE_REFUSED', 'the id of an item is not the hash of its bytes');
    await this.#requireRoom(capture, capture.class, item.sealed.length);
    // Held before it is written: the append may rotate, and then lies behind.
    capture.hold(segments.activeNumber);
    await core.append(item.kind, item.sealed, item.id);
    capture.itemBytes += item.sealed.length;
  }

  async #putVersion(capture: QueueCapture, draft: EntryDraft, known: KnownStat | undefined): Promise<void> {
    const { core, holds, batch, references, gate } = this.#parts;
    requireOpen(capture);
    const { index, segments } = core.files;
    const path = draft.list.path;
    if ((known === undefined) !== (draft.kind === 'gone') || (known !== undefined && !equalBytes(known.path, path))) {
      throw new QueueError('QUEUE_REFUSED', 'a version and what is known of its file do not fit');
    }
    const encoded = encodeEntryDraft(draft);
    // That a file is gone is a fact without bytes: always taken (I-A10).
    if (draft.kind !== 'gone') await this.#requireRoom(capture, draft.class, encoded.length);
    const entry = index.state.nextEntry;
    const holdSegment = Math.min(capture.holdSegment ?? segments.activeNumber, segments.activeNumber);
    const { capturedAtMs, class: name } = draft;
    const head = { entry, holdSegment, itemBytes: capture.itemBytes, capturedAtMs, path, known, class: name };
    const payload = await batch.seal(core.files, head, encoded);
    holds.version(holdSegment);
    await core.append('version', payload, undefined, ({ unreferenced }) => {
      for (const { index: cacheIndex, value } of capture.cached()) index.put(rawKey('x', cacheIndex), value);
      references.replaced(path, unreferenced !== undefined);
      gate.version(entry);
      this.#parts.onVersion(capturedAtMs);
    });
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

/** It may have ended while its call waited for its turn: with a full queue, or a start after a full disk. */
function requireOpen(capture: QueueCapture): void {
  if (capture.dropped) throw new QueueError('QUEUE_CLOSED', 'this capture has ended; start another one');
}
