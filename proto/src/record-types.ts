import type { ChunkId, LineageId, Signed } from './types.ts';

/*
 * Records at rest at the collector, and files that are carried by hand.
 */

/**
 * An accepted commit in the collector's journal: bytes as received, its leaf of the log, and the
 * receipt that was sent.
 */
export interface StoredCommit {
  readonly commit: Uint8Array;
  readonly leaf: Uint8Array;
  readonly receipt: Signed;
}

/** An audit event in the collector's journal with its leaf of the log. */
export interface StoredEvent {
  readonly event: Uint8Array;
  readonly leaf: Uint8Array;
}

/**
 * Who uploaded which chunks since the previous such record: makes upload ownership survive a
 * restart and a rebuild.
 */
export interface StoredUploads {
  readonly lineageId: LineageId;
  readonly ids: readonly ChunkId[];
}

/**
 * Pages of which everything below was found in their lineage's set, and what they say of chunks
 * that no commit had referred to before: so that nobody has to read a page to replay a history.
 */
export interface StoredReferences {
  readonly lineageId: LineageId;
  readonly pages: readonly ChunkId[];
  readonly chunks: readonly ChunkId[];
  /** Plaintext bytes of each of the chunks. */
  readonly plainSizes: readonly number[];
}

/**
 * One commit in the answer to an operator's question for an agent's state: enough to verify it
 * without asking again.
 */
export interface StateRecord {
  readonly enrolment: Signed;
  readonly binding: Signed;
  readonly commit: Uint8Array;
  readonly receipt: Signed;
  /** Slots of interest (live at the asked time, or versions of the asked file). */
  readonly live: readonly number[];
  /** The version time of each slot in `live`, in the same order. */
  readonly versionTimesMs: readonly number[];
}

/** `queue`: from an agent to its collector. `receipts`: the answer. */
export type CarriedKind = 'queue' | 'receipts';

/** The last bytes of a carried file: SHA-256 of all before, and the sender's signature over it. */
export interface CarriedTrailer {
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
}

/** A carried file as a whole. */
export interface CarriedFile {
  readonly kind: CarriedKind;
  /** Encoded frames (header and body). */
  readonly frames: readonly Uint8Array[];
  readonly trailer: CarriedTrailer;
}
