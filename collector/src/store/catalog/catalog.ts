import { join } from 'node:path';
import type { DiskPort, LevelDatabase, RowChange } from '@aliquot/shared/derived/level-port';
import { levelTrouble, levelWords } from '@aliquot/shared/derived/level-trouble';
import { ensureDirectory, exists, removeDurably } from '@aliquot/shared/durable/durable';
import { FolderError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { StoreError } from '../errors.ts';
import { CATALOG_VERSION, keys, type Range, ranges } from './catalog-keys.ts';
import { read, values } from './catalog-rows.ts';
import { overlaid, waitingIn } from './catalog-scan.ts';

type Db = LevelDatabase;
type Operation = RowChange;

/** Changes that may gather in memory before they are written to Level: about 10 MB. */
export const FLUSH_CHANGES = 40_000;
/** Level's own memory for each vault: blocks read, and the table being filled. */
const CACHE_BYTES = 8 * 1024 * 1024;
const WRITE_BUFFER_BYTES = 4 * 1024 * 1024;

const ROWS_AT_ONCE = 1000;

/** What a key is looked up by in memory. */
const name = (key: Buffer): string => key.toString('latin1');

/**
 * The index over history and packs, in Level. A pure function of both, as far as its own checkpoint
 * rows say (I-C2).
 *
 * Changes gather in memory and reach Level in one atomic, synced batch, and only once what they
 * follow from is synced (I-C3): Level can therefore never know more than history and packs. What is
 * still in memory when the process dies is taken in from them again.
 */
export class Catalog {
  readonly #db: Db;
  /** Derived changes not yet in Level; null is a deletion. */
  #pending = new Map<string, Buffer | null>();
  /** Notes not yet in Level. */
  #notes = new Map<string, Buffer | null>();

  /** Whether the rows are of this release. */
  readonly isCurrent: boolean;

  private constructor(db: Db, isCurrent: boolean) {
    this.#db = db;
    this.isCurrent = isCurrent;
  }

  /**
   * Opens the catalog, empty when there is none, when it is of another version, or when Level finds
   * it broken: the caller then takes in everything again. Notes survive wherever Level can still be
   * read.
   */
  static async open(files: DiskPort, dir: string): Promise<Catalog> {
    // LevelDB makes it too, but not durably: after a power failure there would be no catalog
    await ensureDirectory(files, dir);
    const db = await openLevel(files, dir);
    try {
      const version = await db.get(keys.version);
      const usable = version !== undefined && read.u32(version) === CATALOG_VERSION;
      if (!usable) await db.clear(ranges.derived);
      return new Catalog(db, true);
    } catch (error) {
      await db.close();
      throw error;
    }
  }

  /**
   * Opens what exists for reading only; throws when there is nothing or when a living process holds
   * it.
   */
  static async openExisting(files: DiskPort, dir: string): Promise<Catalog> {
    const db: Db = await files.level.open(dir, {
      createIfMissing: false,
      cacheSize: CACHE_BYTES,
      writeBufferSize: WRITE_BUFFER_BYTES,
    });
    const version = await db.get(keys.version);
    return new Catalog(db, version !== undefined && read.u32(version) === CATALOG_VERSION);
  }

  /** Changes waiting for `flush`. */
  get pendingChanges(): number {
    return this.#pending.size;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    const known = this.#inMemory(name(key));
    return known === undefined ? this.#db.get(key) : (known ?? undefined);
  }

  async getMany(wanted: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const found = wanted.map((key) => this.#inMemory(name(key)));
    const ask = wanted.filter((_, index) => found[index] === undefined);
    const answers = ask.length === 0 ? [] : await this.#db.getMany(ask);
    let next = 0;
    return found.map((known) => (known === undefined ? answers[next++] : (known ?? undefined)));
  }

  /** Starts a set of changes that become visible together. */
  begin(): CatalogChange {
    return new CatalogChange(this);
  }

  /** Takes over the changes of a `CatalogChange`. */
  take(changes: ReadonlyMap<string, Buffer | null>): void {
    for (const [key, value] of changes) this.#pending.set(key, value);
  }

  /**
   * Sets (or, with `undefined`, removes) a note: not derived, written with the next flush.
   */
  note(key: Buffer, value: Buffer | undefined): void {
    this.#notes.set(name(key), value ?? null);
  }

  /**
   * Writes everything gathered to Level in one synced batch. The caller has synced history
   * and packs first. After an error the catalog must be closed and opened again.
   */
  async flush(): Promise<void> {
    if (this.#pending.size === 0 && this.#notes.size === 0) return;
    const operations: Operation[] = [
      { type: 'put', key: keys.version, value: values.u32(CATALOG_VERSION) },
    ];
    const notes = this.#notes;
    this.#notes = new Map();
    for (const changes of [this.#pending, notes]) {
      for (const [text, value] of changes) {
        const key = Buffer.from(text, 'latin1');
        operations.push(value === null ? { type: 'del', key } : { type: 'put', key, value });
      }
    }
    try {
      await this.#db.batch(operations, { sync: true });
    } catch (error) {
      if (levelTrouble(error) === undefined) throw error;
      throw new StoreError('STORE_FAILED', `cannot write the catalog: ${levelWords(error)}`, {
        cause: error,
      });
    }
    // Only now: a reader that missed the memory must find the row in Level.
    this.#pending.clear();
  }

  /**
   * Rows of a range in key order, of the moment of the first step, what waits in memory included:
   * so a full disk, to which nothing can be flushed, can still be read.
   */
  async *scan(range: Range): AsyncGenerator<[Buffer, Buffer]> {
    // In one go, so that both are of the same moment: Level's iterator reads from a snapshot.
    const waiting = waitingIn([this.#notes, this.#pending], range);
    const iterator = this.#db.iterator({ ...range, highWaterMarkBytes: 256 * 1024 });
    try {
      yield* overlaid(rowsOf(iterator), waiting);
    } finally {
      await iterator.close();
    }
  }

  /** Forgets everything that follows from history and packs, for a rebuild. */
  async clear(): Promise<void> {
    this.#pending.clear();
    await this.#db.clear(ranges.derived);
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  #inMemory(key: string): Buffer | null | undefined {
    const pending = this.#pending.get(key);
    return pending === undefined ? this.#notes.get(key) : pending;
  }
}

/**
 * Changes that follow from one record, or from items of a pack: seen by its own reads at once, by others after
 * `commit`.
 */
export class CatalogChange {
  readonly #catalog: Catalog;
  readonly #changes = new Map<string, Buffer | null>();
  readonly #fetched = new Map<string, Buffer | null>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    const text = name(key);
    const changed = this.#changes.get(text);
    if (changed !== undefined) return changed ?? undefined;
    const fetched = this.#fetched.get(text);
    if (fetched !== undefined) return fetched ?? undefined;
    return this.#catalog.get(key);
  }

  /** Reads many rows at once, so that the `get`s that follow need no round trip each. */
  async prefetch(wanted: readonly Buffer[]): Promise<void> {
    const unknown = wanted.filter((key) => !this.#fetched.has(name(key)));
    const rows = await this.#catalog.getMany(unknown);
    for (const [index, key] of unknown.entries()) this.#fetched.set(name(key), rows[index] ?? null);
  }

  /** Rows of a range without these changes. */
  scan(range: Range): AsyncGenerator<[Buffer, Buffer]> {
    return this.#catalog.scan(range);
  }

  put(key: Buffer, value: Buffer): void {
    this.#changes.set(name(key), value);
  }

  del(key: Buffer): void {
    this.#changes.set(name(key), null);
  }

  commit(): void {
    this.#catalog.take(this.#changes);
  }
}

async function* rowsOf(iterator: {
  nextv(count: number): Promise<[Buffer, Buffer][]>;
}): AsyncGenerator<[Buffer, Buffer]> {
  for (
    let rows = await iterator.nextv(ROWS_AT_ONCE);
    rows.length > 0;
    rows = await iterator.nextv(ROWS_AT_ONCE)
  )
    yield* rows;
}

async function openLevel(files: DiskPort, dir: string): Promise<Db> {
  const options = {
    createIfMissing: true,
    cacheSize: CACHE_BYTES,
    writeBufferSize: WRITE_BUFFER_BYTES,
  };
  try {
    return await files.level.open(dir, options);
  } catch (error) {
    switch (levelTrouble(error)) {
      case 'locked':
        throw new FolderError(
          'FOLDER_IN_USE',
          `${dir} is in use by a living process; stop it first`,
          { cause: error },
        );
      // LevelDB begins new files when it opens, so a full disk keeps the store from starting.
      case 'no-space':
        throw new StoreError(
          'STORE_NO_SPACE',
          `cannot open the catalog ${dir}: the disk is full; free some space and try again`,
          { cause: error },
        );
      case 'disk':
        throw new StoreError(
          'STORE_FOLDER',
          `cannot open the catalog ${dir}: ${levelWords(error)}`,
          { cause: error },
        );
      case 'damaged':
        break;
      case undefined:
        throw error;
    }
  }
  await removeCatalog(files, dir);
  return files.level.open(dir, options);
}

/** Removes all files of a catalog: it follows from history and packs again. */
export async function removeCatalog(files: FilePort, dir: string): Promise<void> {
  if (!(await exists(files, dir))) return;
  const names: string[] = [];
  for await (const entry of files.list(dir))
    if (entry.kind === 'file') names.push(entry.name.toString());
  for (const file of names) await removeDurably(files, join(dir, file));
}
