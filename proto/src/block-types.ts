/**
 * The typed values of a version block: FORMAT.md, "VersionBlock". A block holds up to 256 versions
 * of one agent, sealed once. A *row* is one of them: what stands of it in clear, its names, its
 * keys.
 */
import type { Entry, References, ResultId, SourceId } from './types.ts';

/** `open`: members are still to come, or could not be read. */
export type ResultProgress = 'open' | 'closed';

/**
 * Why a result counts as finished: by the profile's proof, by the instrument's word that it stopped
 * without completing, by quiet time only, or not at all.
 */
export type ResultGrade = 'proven' | 'ended' | 'assumed' | 'interrupted';

/** What only the row of a result says. */
export interface ResultFacts {
  readonly progress: ResultProgress;
  readonly grade: ResultGrade;
  readonly members: number;
  /**
   * Merkle root over the hashes of the clear rows of its members' newest versions, in the order of
   * their file ids: proves without a key that it is whole.
   */
  readonly membersRoot: Uint8Array;
}

/** What a row of a result says in clear. It follows its members, a new version each time. */
export interface ResultRow extends ResultFacts {
  readonly kind: 'result';
  readonly sourceId: SourceId;
  readonly class: string;
  readonly resultId: ResultId;
  /** Bytes of its members together. */
  readonly size: number;
  readonly capturedAtMs: number;
}

export type BlockRow = Entry | ResultRow;

/** What stays of a row that a logged purge took away. */
export interface PurgedRow {
  readonly number: number;
  /** SHA-256 of its clear row: keeps the proof of a result that it belonged to. */
  readonly clearHash: Uint8Array;
  /** Its leaf: keeps the entries root. */
  readonly leaf: Uint8Array;
}

/** A slab that rows of a block name. */
export interface BlockSlab {
  readonly id: Uint8Array;
  readonly epoch: number;
  /**
   * The read segment holds a key for each piece that is named, not the slab's: its maker had no
   * other, or has no right to.
   */
  readonly keyedSingly: boolean;
}

/** Which columns of a block a row's content stands in. */
export type ContentForm = 'none' | 'piece' | 'references';

/**
 * A block taken apart as far as it stands in clear; the columns have one place for each row that is
 * left. Views over the block's bytes where they are bytes. `blockRow` gives one row.
 */
export interface VersionBlock {
  readonly bytes: Uint8Array;
  /** Rows, the purged ones too: 1 to 256. */
  readonly count: number;
  /**
   * A purge has sealed it anew: its salts are written out, and the bytes are not the agent's. None
   * of its own rows need have gone: it may have named a slab of which a piece was purged.
   */
  readonly isPurged: boolean;
  readonly purged: readonly PurgedRow[];
  /** The row's number by place. */
  readonly numbers: Uint16Array;
  /** All that the two sealed segments authenticate. */
  readonly clear: Uint8Array;
  /** Sealed; empty when every row was purged. */
  readonly list: Uint8Array;
  readonly read: Uint8Array;
  readonly sources: readonly { readonly sourceId: SourceId; readonly class: string }[];
  readonly slabs: readonly BlockSlab[];
  readonly results: readonly ResultId[];
  /** Kind, completion, form of the content, membership: one byte each, as FORMAT.md says. */
  readonly kinds: Uint8Array;
  readonly sourceOf: Uint8Array;
  /** 16 bytes each; of a result its own id. */
  readonly ids: Uint8Array;
  readonly sizes: Float64Array;
  readonly capturedMs: Float64Array;
  /** Index in `slabs`; -1 where the content is no piece. */
  readonly slabOf: Int16Array;
  /** The piece's place in its slab, from 0. */
  readonly pieceOf: Uint8Array;
  /** Index in `results`; -1 for a row that is no member of any. */
  readonly resultOf: Int16Array;
  /** By place: content that is neither nothing nor a piece. */
  readonly references: ReadonlyMap<number, References>;
  readonly resultRows: ReadonlyMap<number, ResultFacts>;
}

/** What a file of a result is to it; `none`: it belongs to no result, or nobody has said. */
export type ResultPart = 'none' | 'raw' | 'results' | 'other';

/** Why a result stands as it does, in sealed words: of a result's row only. */
export interface ResultEvidence {
  readonly profile: string;
  readonly profileVersion: string;
  /** The line of text that decided; empty where none did. */
  readonly evidence: string;
  /** In the instrument's own words; empty where it says nothing. */
  readonly started: string;
  readonly ended: string;
}
