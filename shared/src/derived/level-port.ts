import type { FilePort } from '../durable/file-port.ts';

/** A change of one row. */
export type RowChange =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

/** Keys from `gte` to before `lt`; without `lt` to the end. */
export interface KeyRange {
  readonly gte: Uint8Array;
  readonly lt?: Uint8Array;
}

export interface LevelIterator {
  /** The next rows in key order, at most so many; none at the end. */
  nextv(count: number): Promise<[Buffer, Buffer][]>;
  close(): Promise<void>;
}

/** What we use of an open LevelDB. Throws what LevelDB throws: `levelTrouble` tells what it is. */
export interface LevelDatabase {
  get(key: Uint8Array): Promise<Buffer | undefined>;
  getMany(keys: Uint8Array[]): Promise<(Buffer | undefined)[]>;
  /** All or nothing; with `sync` also flushed. They may be made while they are taken. */
  batch(changes: Iterable<RowChange>, options: { readonly sync: boolean }): Promise<void>;
  /** A snapshot of the moment of the call. */
  iterator(
    options: KeyRange & {
      readonly limit?: number;
      /** From the last key to the first. */
      readonly reverse?: boolean;
      readonly highWaterMarkBytes?: number;
      readonly fillCache?: boolean;
    },
  ): LevelIterator;
  /** Removes rows, not at once. */
  clear(range: KeyRange): Promise<void>;
  close(): Promise<void>;
}

export interface LevelOptions {
  /** Bytes of blocks kept in memory. */
  readonly cacheSize: number;
  /** Bytes gathered in memory, and in a log, before a table is written. */
  readonly writeBufferSize: number;
  readonly maxOpenFiles?: number;
  readonly createIfMissing: boolean;
}

/**
 * LevelDB, which writes its files by itself: a port of its own, so that a test sees and fails its
 * calls.
 */
export interface LevelPort {
  /**
   * Opens the database in a folder. `inUse` tells whether a living process has it open: then its
   * lock is not waited for.
   */
  open(path: string, options: LevelOptions, inUse?: () => Promise<boolean>): Promise<LevelDatabase>;
}

/**
 * A disk for those who keep an index on it, or claim a folder: the files, and LevelDB over the same
 * ones. Everybody else is given a `FilePort`.
 */
export interface DiskPort extends FilePort {
  readonly level: LevelPort;
}
