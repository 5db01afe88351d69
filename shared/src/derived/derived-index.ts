import type { KeyRange } from './level-port.ts';

/** Changes by key, both as latin1 text; a missing value is a removal. */
export type NamedChanges = ReadonlyMap<string, string | null>;

/** A key and its value. */
export type Row = readonly [key: Buffer, value: Buffer];

/**
 * Rows that follow from something else: record logs, a history, packs. A cache, that is: whatever
 * is wrong with it costs the time to make it again, and nothing else.
 *
 * **What it answers.** The rows of one flush, the newest that is whole, and the `mark` of that
 * flush, in which its owner says how far it had come; or `DERIVED_REBUILD`. Never rows of two
 * flushes, never other rows, and never none where there were some. So it may fall back behind what
 * was flushed (after a power failure, when `sync` was not asked for, or when the end of a log has
 * rotted), and the owner applies what follows the mark again. It must therefore not be the only
 * reason for an act that cannot be taken back.
 *
 * **Changes** wait in memory until `flush` and are seen by `get`, `getMany` and by `rows` when they
 * are asked for; a flush writes all of them with the mark, or none. Keys are at least one byte and
 * begin with another than 0.
 *
 * **Concurrency.** Reading may go on beside everything; changes and flushes are one caller's, who
 * waits for a flush before the next. A scan gives the rows of the moment of its first step.
 *
 * **Errors** are `DerivedError`s. After one of a flush the index must be closed and opened again;
 * after `DERIVED_REBUILD` it says so of everything, and at every opening until it was removed.
 */
export interface DerivedIndex {
  /** What its owner said with the flush whose rows these are; undefined: there was none. */
  readonly mark: Uint8Array | undefined;
  /** Rows that wait for a flush. */
  readonly staged: number;

  put(key: Uint8Array, value: Uint8Array): void;
  del(key: Uint8Array): void;
  /** `put` and `del` of many, keys and values as latin1 text. */
  take(changes: NamedChanges): void;

  get(key: Uint8Array): Promise<Buffer | undefined>;
  /** `get` for many, with one question to the disk. */
  getMany(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]>;
  /** As `getMany`, of what was flushed. */
  getWritten(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]>;
  /** What `get` answers, when `written` is what was flushed. */
  latest(key: Uint8Array, written: Uint8Array | undefined): Uint8Array | undefined;
  /**
   * Rows of a range in key order, some at a time: of what was flushed, or of everything when
   * `staged` is set.
   */
  batches(range: KeyRange, options?: RangeOptions): AsyncGenerator<readonly Row[], void, void>;

  /** The last row of a range, of what was flushed. */
  last(range: KeyRange): Promise<Row | undefined>;

  /** Removes the rows of a range, staged ones too; not with the next flush, and not at once. */
  clear(range: KeyRange): Promise<void>;
  /** Writes what waits and the mark; `sync`: durable when it returns. */
  flush(mark: Uint8Array, options?: { readonly sync?: boolean }): Promise<void>;
  /** Reads everything that was not read yet: `DERIVED_REBUILD` when a byte of it is wrong. */
  prove(): Promise<void>;
  /** Its owner has found that it is wrong: throws `DERIVED_REBUILD`, now and from now on. */
  condemn(why: string): Promise<never>;
  close(): Promise<void>;
}

export interface RangeOptions {
  /** So many rows at most. */
  readonly limit?: number;
  readonly staged?: boolean;
}

/** `batches`, row by row. Seam: for the owners. */
export async function* rowsOf(
  index: Pick<DerivedIndex, 'batches'>,
  range: KeyRange,
  options: RangeOptions = {},
): AsyncGenerator<Row, void, void> {
  for await (const rows of index.batches(range, options)) yield* rows;
}
