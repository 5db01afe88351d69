import type { FilePort } from '../durable/file-port.ts';
import type { Span } from '../hashing/hasher.ts';

/**
 * What a reader or writer of records may meet that it cannot go on from. `damaged`: bytes that were
 * durable are broken. `foreign`: the file is sound, but of another owner or number. `later`: of a
 * release to come. `tooLarge`: more than its kind may have.
 */
export type RecordFault = 'damaged' | 'foreign' | 'later' | 'tooLarge';

/** One kind of record: its number on disk, and the most that its payload may have. */
export interface KindLimits {
  readonly code: number;
  readonly maxBytes: number;
  /**
   * How a payload is proved where its record's digest is not the SHA-256 of all of it;
   * `undefined` when no payload of this kind looks like these bytes.
   */
  readonly plan?: (payload: Uint8Array) => ProofPlan | undefined;
}

/** What is hashed of one payload, and what the hashes must be. */
export interface ProofPlan {
  readonly spans: readonly Span[];
  /** `hashes`: of the spans, 32 bytes each. The bytes may have moved since the plan was made. */
  holds(payload: Uint8Array, digest: Uint8Array, hashes: Uint8Array): boolean;
}

/** What kind of file this is; FORMAT.md, "Record file". */
export interface FileFormat<K extends string> {
  /** What a person calls such a file: `queue segment`. */
  readonly name: string;
  /** Seven characters at its start, which no other kind of file has. */
  readonly magic: string;
  /** Behind the eight digits of its number: `.seg`. */
  readonly suffix: string;
  readonly kinds: Readonly<Record<K, KindLimits>>;
  /**
   * Whether sound records behind a bad place are kept although nothing says that the place was ever
   * durable: where records do not build on each other. Else they go with the torn tail.
   */
  readonly keepsUnsynced?: boolean;
  /**
   * Whether closed files may be written anew: behind the number of such a file stands its
   * generation, and the highest of a number is in force.
   */
  readonly hasGenerations?: boolean;
  /** The room's own error, with its code and way out, for what `says` tells. */
  error(fault: RecordFault, says: string): Error;
}

/** Where a record's header starts in a folder of numbered files. */
export interface Position {
  readonly file: number;
  readonly offset: number;
}

/** Where the files of a log are, and whose they are. */
export interface RecordFolder<K extends string> {
  readonly port: FilePort;
  readonly dir: string;
  readonly format: FileFormat<K>;
  /**
   * The owner of the files, 16 bytes; by default the one that the oldest sound file names. One of
   * another owner is `foreign`.
   */
  readonly owner?: Uint8Array | undefined;
  /** What new files take when no file here says it: so that logs of one owner may share it. */
  readonly salt?: number | undefined;
  /** Handles kept open between reads; 4 by default. */
  readonly handles?: number | undefined;
}

/** A record before it has its place. */
export interface NewRecord<K extends string> {
  readonly kind: K;
  readonly payload: Uint8Array;
  /** SHA-256 of the payload, where it is known; of a stored item its id. */
  readonly digest?: Uint8Array | undefined;
}

/** Bytes of one file of records, however it is held open. */
export interface RecordSource {
  readonly path: string;
  readonly number: number;
  /** Bytes of the file that may be read. */
  readonly size: number;
  /** Up to `length` bytes at `position` in memory of their own; fewer at the end. */
  read(position: number, length: number): Promise<Buffer>;
}

/** What stands before a record's payload. */
export interface RecordHeader<K extends string> {
  readonly kind: K;
  /** Payload bytes. */
  readonly length: number;
  /**
   * How many leading bytes of its file were on stable storage when the record was written: bytes
   * below that are never a torn tail.
   */
  readonly syncedTo: number;
  /** SHA-256 of the payload, unless its kind has a plan of proof; of a stored item its id. */
  readonly digest: Uint8Array;
}
