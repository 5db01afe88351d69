import {
  decodeEventBody,
  type EventBody,
  encodeEventBody,
  FormatError,
  MAX_EVENT_BOOK_BYTES,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { FileError } from '@aliquot/shared/durable/errors';
import type { HoldRow } from '../catalog/hold-row.ts';
import type { Registry } from '../catalog/registry.ts';
import { StoreError } from '../errors.ts';
import type { VaultCore } from './core.ts';
import { type BookFile, readBook, writeBook } from './event-book.ts';

type HoldSet = Extract<EventBody, { type: 'holdSet' }>;

const BESIDE_EVENTS_BYTES = 64;
const EVENT_FIELD_BYTES = 4;

/** A hold as it stands in the file. */
function eventOf({ body: hold, setAtMs: timeMs }: Pick<HoldRow, 'body' | 'setAtMs'>): HoldSet {
  return { type: 'holdSet', timeMs, hold };
}

/** What a hold takes of the file, in bytes. */
function bytesInBook(event: HoldSet): number {
  return encodeEventBody(event).length + EVENT_FIELD_BYTES;
}

/** Whether the file has room for one more hold beside those in force. */
export function fitsBook(inForce: readonly HoldRow[], more: HoldSet): boolean {
  const known = inForce.reduce((sum, row) => sum + bytesInBook(eventOf(row)), 0);
  return BESIDE_EVENTS_BYTES + known + bytesInBook(more) <= MAX_EVENT_BOOK_BYTES;
}

/**
 * The holds of a vault that are in force, kept in a file beside packs and history: what was held
 * stays held when the history is put back to an older state (I-C20). One that was released is not
 * in it; where the history has lost only the release, the hold is in force again, and keeps more.
 *
 * Calls that change something are jobs in the vault's queue.
 */
export class HoldBook {
  /** Why the file, or some of it, cannot be believed; it is then made again from the history. */
  readonly faults: readonly string[];
  readonly #file: BookFile;
  readonly #vault: VaultDescriptorBody;
  /** By id of the hold. */
  #kept: ReadonlyMap<string, HoldSet>;
  #mustWrite: boolean;

  private constructor(
    file: BookFile,
    vault: VaultDescriptorBody,
    kept: ReadonlyMap<string, HoldSet>,
    faults: readonly string[],
  ) {
    this.#file = file;
    this.#vault = vault;
    this.#kept = kept;
    this.faults = faults;
    this.#mustWrite = faults.length > 0;
  }

  /** Reads the file. Errors: `FILE_…`, where it cannot be read for now. */
  static async open(file: BookFile, vault: VaultDescriptorBody): Promise<HoldBook> {
    const { events, why } = await readBook(file, vault.vaultId);
    const faults = why === undefined ? [] : [why];
    const kept = new Map<string, HoldSet>();
    for (const bytes of events) {
      const event = holdIn(bytes);
      if (event === undefined || !equalBytes(event.hold.vaultId, vault.vaultId))
        faults.push(`${file.path} has what is no hold of this vault`);
      else kept.set(hex(event.hold.holdId), event);
    }
    return new HoldBook(file, vault, kept, faults);
  }

  /** What is kept here and the history does not know. */
  lackedBy({ holds }: Registry): HoldSet[] {
    return [...this.#kept.values()].filter(({ hold }) => holds.get(hold.holdId) === undefined);
  }

  /** Holds in force by the history that are not kept here. */
  missing({ holds }: Registry): HoldRow[] {
    return holds.inForce().filter(({ body }) => !this.#kept.has(hex(body.holdId)));
  }

  /**
   * At a start, before anybody is served: records again what the history lacks, and keeps what is
   * in force by it. Returns the leaves that were appended. Errors: `STORE_…`.
   */
  async start(core: VaultCore): Promise<readonly number[]> {
    const leaves: number[] = [];
    // At the times that they had: the machine's clock may not be trusted yet.
    for (const event of this.lackedBy(core.registry))
      leaves.push(await core.appendEvent(event, event.timeMs));
    await this.keep(core.registry);
    return leaves;
  }

  /** Behind events that were appended, before anybody hears of them. Error: `STORE_FAILED`. */
  async follow(core: VaultCore, events: readonly EventBody[]): Promise<void> {
    if (events.some(({ type }) => type === 'holdSet' || type === 'holdReleased'))
      await this.keep(core.registry);
  }

  /**
   * Writes down what is in force by the history, where that is not there yet. More than the file
   * takes is not admitted (`fitsBook`), but may come together where a history was put back: the
   * newest are then left to the history alone. Error: `STORE_FAILED`.
   */
  async keep({ holds }: Registry): Promise<void> {
    const kept = new Map<string, HoldSet>();
    const events: Uint8Array[] = [];
    let size = BESIDE_EVENTS_BYTES;
    for (const row of holds.inForce()) {
      const event = eventOf(row);
      size += bytesInBook(event);
      if (size > MAX_EVENT_BOOK_BYTES) break;
      kept.set(hex(event.hold.holdId), event);
      events.push(encodeEventBody(event));
    }
    const isSame =
      kept.size === this.#kept.size && [...kept.keys()].every((id) => this.#kept.has(id));
    if (isSame && !this.#mustWrite) return;
    try {
      await writeBook(this.#file, { vaultId: this.#vault.vaultId, events });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      // What was appended and is not kept here is dropped with it: nobody has heard of it.
      throw new StoreError('STORE_FAILED', error.message, { cause: error });
    }
    this.#kept = kept;
    this.#mustWrite = false;
  }
}

function holdIn(bytes: Uint8Array): HoldSet | undefined {
  try {
    const event = decodeEventBody(bytes);
    return event.type === 'holdSet' ? event : undefined;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}
