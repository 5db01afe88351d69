import { mapKey } from '@aliquot/shared/crypto/bytes';
import type { Range } from './catalog-keys.ts';

/** Changes that may gather in memory before they are written: some 2 MB, of four large commits. */
export const FLUSH_CHANGES = 16_384;

/** A key and its value. */
export type CatalogRow = readonly [key: Buffer, value: Buffer];

/**
 * Changes that become visible together, keys and values as latin1 text, which weighs a third of
 * what buffers do; a missing value is a removal.
 */
export type CatalogChanges = ReadonlyMap<string, string | null>;

/**
 * What one vault's history and packs come to: where items are, who owns them, versions, heads, the
 * log's nodes, sums, and how far of both it knows (`catalog-keys.ts`). A function of history and
 * packs (I-C2), but for the notes. Without a catalog they are taken in again.
 *
 * **Durability.** Changes and notes wait in memory until `flush`, which writes all of them or none
 * and is durable when it resolves. The caller has synced history and packs before, so the catalog
 * never knows more than they do (I-C3). After a crash it is as some flush left it, the last one
 * unless a disk lost what it had flushed; since how far it knows is among its rows, what follows is
 * taken in again. It never gives rows of two flushes, or none where there were some: it says
 * `DERIVED_REBUILD` then, or was made again and empty at its opening, with the notes that could be
 * read.
 *
 * **Repetition.** The same change twice is the same row.
 *
 * **Concurrency.** Reads overlap with everything; a scan gives the rows of its first step. Changes,
 * `flush` and `clear` are the vault's queue's, one at a time; notes may be set at any time.
 *
 * **Errors.** After a `flush` that failed (`STORE_NO_SPACE`, `STORE_FAILED`) only `close` is of
 * use. `DERIVED_REBUILD` from any call: the rows cannot be believed; close it and open it again. No
 * act that cannot be taken back follows from its rows alone.
 *
 * **PostgreSQL** is a tenant with one table of keys and values for each vault: `flush` is one
 * transaction, a scan one cursor, a rebuild truncates; its own checksums and its log take the place
 * of what the tenant over LevelDB does by itself. **An object store** cannot be a tenant: a
 * collector without a disk keeps its catalog in a database.
 */
export interface CatalogStore {
  /** Whether its rows are of this release; else it may only be looked at. */
  readonly isCurrent: boolean;
  /** Changes and notes waiting for `flush`. */
  readonly pendingChanges: number;

  get(key: Buffer): Promise<Buffer | undefined>;
  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]>;
  /** Rows of a range in key order, what waits in memory included. */
  scan(range: Range): AsyncGenerator<CatalogRow, void, void>;

  /** Takes over the changes of a `CatalogChange`. */
  take(changes: CatalogChanges): void;
  /** Sets, or with `undefined` removes, a note: a row that follows from nothing and may be lost. */
  note(key: Buffer, value: Buffer | undefined): void;
  flush(): Promise<void>;
  /** Forgets everything but the notes, durably, to be made again. */
  clear(): Promise<void>;
  /** Reads every byte that was not read since the opening: `DERIVED_REBUILD` when one is wrong. */
  prove(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Changes that follow from one record, or from items of a pack: seen by its own reads at once, by
 * others after `commit`.
 */
export class CatalogChange {
  readonly #catalog: CatalogStore;
  readonly #changes = new Map<string, string | null>();
  readonly #fetched = new Map<string, Buffer | null>();

  constructor(catalog: CatalogStore) {
    this.#catalog = catalog;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    const name = mapKey(key);
    const changed = this.#changes.get(name);
    if (changed !== undefined) return changed === null ? undefined : bytesOf(changed);
    const fetched = this.#fetched.get(name);
    if (fetched !== undefined) return fetched ?? undefined;
    return this.#catalog.get(key);
  }

  /** Reads many rows at once, so that the `get`s that follow need no round trip each. */
  async prefetch(wanted: readonly Buffer[]): Promise<void> {
    const unknown = wanted.filter((key) => !this.#fetched.has(mapKey(key)));
    const rows = await this.#catalog.getMany(unknown);
    for (const [index, key] of unknown.entries())
      this.#fetched.set(mapKey(key), rows[index] ?? null);
  }

  /** Takes note of a row that was read. */
  know(key: Buffer, row: Buffer | undefined): void {
    this.#fetched.set(mapKey(key), row ?? null);
  }

  /** Many rows as they stand without these changes. */
  readMany(wanted: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#catalog.getMany(wanted);
  }

  /** Rows of a range without these changes. */
  scan(range: Range): AsyncGenerator<CatalogRow, void, void> {
    return this.#catalog.scan(range);
  }

  put(key: Buffer, value: Buffer): void {
    this.#changes.set(mapKey(key), mapKey(value));
  }

  del(key: Buffer): void {
    this.#changes.set(mapKey(key), null);
  }

  /** `put` of a key and value that are text already: for rows of which there are thousands. */
  enter(name: string, value: string): void {
    this.#changes.set(name, value);
  }

  /** The row that these changes put under a name. */
  entered(name: string): Buffer | undefined {
    const changed = this.#changes.get(name);
    return changed === undefined || changed === null ? undefined : bytesOf(changed);
  }

  commit(): void {
    this.#catalog.take(this.#changes);
  }
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
