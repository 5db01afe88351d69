/** What happened. */
export type HistoryKind =
  | 'uploads'
  | 'references'
  | 'commit'
  /** A commit of which blocks are gone or replaced. */
  | 'thinned'
  | 'event'
  | 'expired'
  | 'dropped'
  | 'swept'
  | 'purged';

/** A record of the history. */
export interface HistoryRecord {
  readonly kind: HistoryKind;
  readonly payload: Uint8Array;
  /** SHA-256 of what the payload was, where it has rotted since; else of what it is. */
  readonly digest?: Uint8Array | undefined;
}

/** A point between two records: files are numbered from 1, offsets count within a file. */
export interface HistoryPoint {
  readonly file: number;
  readonly offset: number;
}

/** Where a record stands; its payload is `length` bytes. */
export interface HistoryPlace extends HistoryPoint {
  readonly length: number;
}

/** Where the records of a batch stand, and what follows the last of them. */
export interface HistoryBatch {
  readonly places: readonly HistoryPlace[];
  readonly end: HistoryPoint;
}

/** A record as a replay meets it. */
export interface HistoryItem extends HistoryRecord {
  readonly place: HistoryPlace;
  /** Just behind it: where a replay goes on that has taken it in. */
  readonly end: HistoryPoint;
  /** The payload is not what it was, and proves nothing. */
  readonly isBroken?: boolean;
}

/** Before everything. */
export const historyStart: HistoryPoint = { file: 0, offset: 0 };

/** Negative when `a` comes before `b`. */
export function compareHistory(a: HistoryPoint, b: HistoryPoint): number {
  return a.file === b.file ? a.offset - b.offset : a.file - b.file;
}

/** What tells one kind of history from another. */
export interface HistoryCapabilities {
  /** Bytes appended and not synced that the log may hold in memory; 0 where it writes at once. */
  readonly heldBytes: number;
}

/** A file of the history. */
export interface HistoryFile {
  readonly file: number;
  /** How often it was written anew. */
  readonly generation: number;
  readonly bytes: number;
}

/** A point in a file of which it is known how often that was written anew by then. */
export interface DurablePoint extends HistoryPoint {
  readonly generation?: number | undefined;
}

/** A closed file that was written anew beside the one in force. */
export interface NewHistoryFile extends HistoryFile {
  /** Where its records stand, in their order. */
  readonly places: readonly HistoryPlace[];
  /** What it is called until it is in force. */
  readonly beside: string;
}

/** How a history is opened. */
export interface HistoryOpening {
  /**
   * What is known to have been on stable storage. What is broken or missing before it is damage,
   * never a torn tail, and stops the opening. Of a file that was written anew since it says nothing.
   */
  readonly durable?: DurablePoint;
  /** After a failed write or sync: whatever stands behind `durable` is dropped. */
  readonly discard?: boolean;
}

/**
 * What one vault accepted, in order: who uploaded what, commits with their leaves and receipts,
 * events. It is small, never reordered, and the source of truth for everything but bytes. A record
 * is appended only when everything that it relies on in the `PackStore` has been synced.
 *
 * **Durability.** A batch is durable when a `sync` that was called after its `append` has resolved.
 * What was appended and never synced may be gone after a crash, always from the end and never the
 * middle of a batch's record; an opening cuts a torn tail and makes what it keeps durable before it
 * resolves.
 *
 * **Repetition.** The log does not look into payloads: the same batch twice stands there twice.
 *
 * **Concurrency.** One at a time of `placesOf` and `append` (the vault's queue sees to it): a batch
 * stands where `placesOf` said as long as nothing was appended in between. Everything else may
 * overlap, and a `replay` ends where the log ended when it began.
 *
 * **Errors.** `append` is all or nothing. After `STORE_NO_SPACE` the log is as it was; after
 * `STORE_FAILED` only reads and `close` are of use: open it again at `synced`, with `discard`. A
 * record of which only the payload is broken is replayed as it is, and marked; one wrong bit is
 * mostly mended. Where not even its header says what stood there, or a file is missing, renamed,
 * doubled or another vault's, that is `STORE_CORRUPT`, naming file, offset and the way out: what
 * follows it could not be judged. `read` throws `STORE_DAMAGED` when no such record stands at the
 * place: then the catalog does not fit, or the record has rotted since.
 *
 * **An object store** is a tenant whose batches wait in memory until `sync` puts them as one object
 * under the next number (`file`), with `offset` counting within it; only if no such object exists
 * yet, so that of two collectors over one bucket the second finds out. **PostgreSQL** is one where
 * `append` inserts into a transaction, `sync` commits it, `file` is the transaction's number in a
 * table and `offset` the record's in it. Neither needs a torn tail.
 */
export interface HistoryLog {
  readonly capabilities: HistoryCapabilities;
  /** Where the last record ended, durable or not. */
  readonly end: HistoryPoint;
  /** Everything before this is on stable storage. */
  readonly synced: HistoryPoint;
  /** Bytes of the whole history. */
  readonly bytes: number;

  /**
   * Where records with payloads of these lengths will stand if they are what is appended next, so
   * that what follows from them is made whole before any of them is there (I-C13). May begin a
   * file.
   */
  placesOf(lengths: readonly number[]): Promise<HistoryBatch>;

  /** Appends the records next to each other in one file. */
  append(rows: readonly HistoryRecord[]): Promise<HistoryBatch>;

  /** Makes durable what was appended before this call; costs nothing when all of it is. */
  sync(): Promise<void>;

  /** One record, its payload proved. */
  read(place: HistoryPlace): Promise<HistoryRecord>;

  /**
   * Writes a record again, durably, where one stood that is damaged. False where it cannot have
   * been this one.
   */
  mend(place: HistoryPlace, record: HistoryRecord): Promise<boolean>;

  /**
   * Ends the newest file, durably, if it has a record: the next one begins another file, which is
   * where the history ends now, and this one may be written anew.
   */
  endFile(): Promise<void>;

  /** The files in force, by their numbers; all but the last are closed. */
  files(): readonly HistoryFile[];

  /** How often files were put in force: a place that was known before holds no more behind it. */
  readonly replaced: number;

  /**
   * Writes a closed file anew beside the one in force, durably, and reads each record back.
   * Nothing changes by it. Errors: `STORE_NO_SPACE` and `STORE_FAILED` leave nothing behind.
   */
  writeAnew(file: number, records: AsyncIterable<HistoryRecord>): Promise<NewHistoryFile>;

  /**
   * Puts it in force, durably, and calls `follow` at that very moment, which may not fail: from
   * then on its places hold. Who is reading the former one goes on to its end.
   */
  putInForce(anew: NewHistoryFile, follow: () => void): Promise<void>;

  /** Removes it instead, durably. */
  discard(anew: NewHistoryFile): Promise<void>;

  /**
   * Removes files that are not in force, durably; not one that is being written, or waits to be put
   * in force or discarded, and not one that is sounder than what took its place and has rotted
   * since.
   */
  removeFormer(): Promise<void>;

  /** Where files end that have lost their end, though others follow them: by their last bytes. */
  shortFiles(): Promise<readonly HistoryPoint[]>;

  /**
   * All records that begin at `from` or behind it, oldest first, each proved or marked as broken.
   * `from` is the end of a record, or `historyStart`.
   */
  replay(from: HistoryPoint): AsyncIterable<HistoryItem>;

  /** Closes the files; does not sync. Later calls throw `STORE_CLOSED`. */
  close(): Promise<void>;
}
