import { join } from 'node:path';
import { AliquotError } from '@aliquot/proto';
import { writeFileDurably } from '../durable/durable.ts';
import { FileError } from '../durable/errors.ts';
import type { FilePort } from '../durable/file-port.ts';
import type { DerivedIndex, NamedChanges, RangeOptions, Row } from './derived-index.ts';
import { DerivedError } from './errors.ts';
import { rebuild, told } from './level-errors.ts';
import { lookInUse, REBUILD_FILE } from './level-folder.ts';
import type { KeyRange, LevelDatabase, LevelIterator, RowChange } from './level-port.ts';
import { Overlay, overlaid, type Waiting } from './overlay.ts';
import { noteProved } from './proved-file.ts';
import { checkedValue, encodeSeal, FIRST_KEY, SEAL_KEY, withCheck } from './seal.ts';
import { isDoubtful, type TableProofs } from './table-proofs.ts';

/** Rows that a scan takes at a time. */
const SCAN_ROWS = 512;
const SCAN_BYTES = 128 * 1024;
export interface IndexOptions {
  readonly dir: string;
  /** What it is called in errors, as "the queue's index". */
  readonly what: string;
  /** Whose it is, as far as that is known: an index of somebody else's is made again. */
  readonly owner: Uint8Array;
  /** LevelDB's memory: blocks that were read, and the table being filled. */
  readonly cacheBytes: number;
  readonly writeBufferBytes: number;
  readonly maxOpenFiles?: number;
  /**
   * When so many bytes were read or written, LevelDB's tables are let go of, which it keeps mapped
   * (`RestingLevel`). Never unless it is set: for an index that few use at a time.
   */
  readonly mostMappedBytes?: number;
  /** Only one that is there, and for reading: it is left as it is also when it is damaged. */
  readonly mustExist?: boolean;
}

/** What an opening has read. */
export interface Opened {
  readonly owner: number;
  readonly changes: number;
  readonly mark: Uint8Array | undefined;
}

/** An open index over LevelDB: rows are read, gathered and flushed; damage ends it. */
export class LevelIndex implements DerivedIndex {
  readonly #files: FilePort;
  readonly #options: IndexOptions;
  readonly #level: LevelDatabase;
  readonly #proofs: TableProofs;
  readonly #owner: number;
  #changes: number;
  #mark: Uint8Array | undefined;
  /** Changes since the last flush began, and those that it writes. */
  #waiting = new Overlay();
  #flushing = new Overlay();
  #besides: Promise<void> = Promise.resolve();
  /** Whether the next opening can tell that all was proved, or needs not. */
  #isNoted = true;
  #isClosing = false;
  #damage: DerivedError | undefined;

  constructor(
    files: FilePort,
    options: IndexOptions,
    level: LevelDatabase,
    proofs: TableProofs,
    { owner, changes, mark }: Opened,
  ) {
    this.#files = files;
    this.#options = options;
    this.#level = level;
    this.#proofs = proofs;
    this.#owner = owner;
    this.#changes = changes;
    this.#mark = mark;
  }

  /** Changes that LevelDB has taken in its life. */
  get changes(): number {
    return this.#changes;
  }

  /** Reads in the background what was not read at opening; the next call reports damage. */
  proveBesides(): void {
    this.#isNoted = false;
    const besides = this.prove().then(() => this.#noteProved());
    besides.catch(() => undefined); // `close` looks at it
    this.#besides = besides;
  }

  get mark(): Uint8Array | undefined {
    return this.#mark;
  }

  get staged(): number {
    return this.#waiting.size;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#waiting.set(key, value);
  }

  del(key: Uint8Array): void {
    this.#waiting.set(key, undefined);
  }

  take(changes: NamedChanges): void {
    this.#waiting.take(changes);
  }

  async get(key: Uint8Array): Promise<Buffer | undefined> {
    const known = this.#known(key);
    if (known !== undefined) return known ?? undefined;
    await this.#proved(key, key);
    return this.#ask(this.#read(key));
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]> {
    const values: (Buffer | undefined)[] = new Array(keys.length).fill(undefined);
    const asked: number[] = [];
    for (const [at, key] of keys.entries()) {
      const known = this.#known(key);
      if (known === undefined) asked.push(at);
      else if (known !== null) values[at] = known;
    }
    if (asked.length === 0) return values;
    const found = await this.getWritten(asked.map((at) => keys[at] as Uint8Array));
    for (const [index, at] of asked.entries()) values[at] = found[index];
    return values;
  }

  async getWritten(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]> {
    if (this.#damage !== undefined) throw this.#damage;
    if (!this.#proofs.isDone) for (const key of keys) await this.#proved(key, key);
    return this.#ask(this.#readMany([...keys]));
  }

  latest(key: Uint8Array, written: Uint8Array | undefined): Uint8Array | undefined {
    const known = this.#known(key);
    return known === undefined ? written : (known ?? undefined);
  }

  async *batches(
    range: KeyRange,
    { limit, staged = false }: RangeOptions = {},
  ): AsyncGenerator<readonly Row[], void, void> {
    const own = Buffer.compare(range.gte, FIRST_KEY) < 0 ? { ...range, gte: FIRST_KEY } : range;
    await this.#proved(own.gte, own.lt);
    // In one go, so that both are of the same moment: LevelDB reads from a snapshot.
    const waiting = staged ? this.#waitingIn(own) : [];
    const atMost = limit === undefined || waiting.length > 0 ? {} : { limit };
    const iterator = this.#level.iterator({ ...own, ...atMost, highWaterMarkBytes: SCAN_BYTES });
    try {
      let left = limit ?? Number.POSITIVE_INFINITY;
      const written = this.#written(iterator);
      for await (const rows of waiting.length === 0 ? written : overlaid(written, waiting)) {
        if (left <= 0) return;
        yield rows.length <= left ? rows : rows.slice(0, left);
        left -= rows.length;
      }
    } finally {
      await iterator.close();
    }
  }

  async last({ gte, lt }: KeyRange): Promise<Row | undefined> {
    if (this.#damage !== undefined) throw this.#damage;
    const iterator = this.#level.iterator({
      ...(lt === undefined ? { gte } : { gte, lt }),
      ...{ limit: 1, reverse: true },
    });
    try {
      const [row] = await this.#ask(this.#next(iterator));
      // Which tables could hold a later one is known only now.
      await this.#proved(row?.[0] ?? gte, lt);
      return row;
    } finally {
      await iterator.close();
    }
  }

  async clear(range: KeyRange): Promise<void> {
    this.#waiting.forget(range);
    const mark = this.#mark;
    if (mark === undefined) return; // nothing was ever written
    for await (const rows of this.batches(range))
      await this.#write(
        rows.map(([key]) => [key, undefined]),
        rows.length,
        mark,
        false,
      );
  }

  async flush(mark: Uint8Array, options: { readonly sync?: boolean } = {}): Promise<void> {
    this.#flushing = this.#waiting;
    this.#waiting = new Overlay();
    await this.#write(this.#flushing.all(), this.#flushing.size, mark, options.sync === true);
    // Only now: who missed the memory must find the row in LevelDB.
    this.#flushing = new Overlay();
    this.#mark = mark;
  }

  async prove(): Promise<void> {
    await this.#ask(this.#proofs.all());
  }

  condemn(why: string): Promise<never> {
    return this.#ask(Promise.reject(rebuild(this.#options.what, why)));
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#proveRewritten();
    await this.#proofs.end();
    await this.#level.close();
    // What is foreseen, who asked for the table has heard.
    await this.#besides.catch((error: unknown) => {
      if (!(error instanceof AliquotError)) throw error;
    });
  }

  async #noteProved(): Promise<void> {
    // What an end has let go of was not proved.
    if (this.#isClosing) return;
    this.#isNoted = await noteProved(this.#files, this.#options.dir);
  }

  /**
   * What LevelDB has written anew is proved before the end: the next opening could not tell what it
   * was made of, and would not believe it.
   */
  async #proveRewritten(): Promise<void> {
    if (this.#isNoted || this.#damage !== undefined) return;
    try {
      const now = await lookInUse(this.#files, this.#options.dir);
      if (now.state !== 'whole' || !isDoubtful(now.opening)) return;
      await this.prove();
      await noteProved(this.#files, this.#options.dir);
    } catch (error) {
      // Then the next opening makes it again.
      if (!(error instanceof AliquotError)) throw error;
    }
  }

  #known(key: Uint8Array): Buffer | null | undefined {
    const waiting = this.#waiting.get(key);
    return waiting === undefined ? this.#flushing.get(key) : waiting;
  }

  #waitingIn(range: KeyRange) {
    const older = this.#flushing.within(range);
    if (older.length === 0) return this.#waiting.within(range);
    const all = new Overlay();
    for (const [key, value] of [...older, ...this.#waiting.within(range)]) all.set(key, value);
    return all.within(range);
  }

  async #proved(first: Uint8Array, last: Uint8Array | undefined): Promise<void> {
    if (this.#damage !== undefined) throw this.#damage;
    if (!this.#proofs.isDone) await this.#ask(this.#proofs.covering(first, last));
  }

  async #read(key: Uint8Array): Promise<Buffer | undefined> {
    const stored = await this.#level.get(key);
    return stored === undefined ? undefined : this.#checked(key, stored);
  }

  async #readMany(keys: Uint8Array[]): Promise<(Buffer | undefined)[]> {
    const stored = await this.#level.getMany(keys);
    return stored.map((bytes, at) =>
      bytes === undefined ? undefined : this.#checked(keys[at] as Uint8Array, bytes),
    );
  }

  async *#written(iterator: LevelIterator): AsyncGenerator<readonly Row[], void, void> {
    for (;;) {
      const rows = await this.#ask(this.#next(iterator));
      if (rows.length === 0) return;
      yield rows;
    }
  }

  async #next(iterator: LevelIterator): Promise<readonly Row[]> {
    const stored = await iterator.nextv(SCAN_ROWS);
    for (const row of stored) row[1] = this.#checked(row[0], row[1]);
    return stored;
  }

  #checked(key: Uint8Array, stored: Buffer): Buffer {
    const value = checkedValue(this.#owner, key, stored);
    if (value === undefined) throw rebuild(this.#options.what, 'a row is not what was written');
    return value;
  }

  /** `count`: of the rows, which are made one by one: together they would take much memory. */
  async #write(
    rows: Iterable<Waiting>,
    count: number,
    mark: Uint8Array,
    sync: boolean,
  ): Promise<void> {
    if (this.#damage !== undefined) throw this.#damage;
    const changes = this.#changes + count + 1;
    const seal = encodeSeal({ changes, mark });
    await this.#ask(this.#level.batch(this.#changesOf(rows, seal), { sync }));
    this.#changes = changes;
  }

  *#changesOf(rows: Iterable<Waiting>, seal: Buffer): Iterable<RowChange> {
    const put = (key: Buffer, value: Uint8Array): RowChange => {
      return { type: 'put', key, value: withCheck(this.#owner, key, value) };
    };
    for (const [key, value] of rows)
      yield value === undefined ? { type: 'del', key } : put(key, value);
    yield put(SEAL_KEY, seal);
  }

  async #ask<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      const cause = told(error, this.#options.what);
      if (cause instanceof DerivedError && cause.code === 'DERIVED_REBUILD')
        await this.#condemn(cause);
      throw cause;
    }
  }

  /** Nobody is to believe it again, whatever of the damage the next opening sees. */
  async #condemn(damage: DerivedError): Promise<void> {
    if (this.#damage !== undefined) return;
    this.#damage = damage;
    if (this.#options.mustExist === true) return;
    try {
      await writeFileDurably(
        this.#files,
        join(this.#options.dir, REBUILD_FILE),
        Buffer.from(`${damage.message}\n`),
      );
    } catch (error) {
      // A disk that fails: the next opening looks at everything again.
      if (!(error instanceof FileError)) throw error;
    }
  }
}
