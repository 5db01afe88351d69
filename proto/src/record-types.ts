import type { ChunkId, LineageId, PurgeId, Signed, VaultId } from './types.ts';

/*
 * Records at rest at the collector, and files that are carried by hand.
 */

/**
 * An accepted commit in the collector's journal: bytes as received, its leaf of the log, and the
 * receipt that was sent. Of a thinned one (`facts` are there) the commit is what is left of it.
 */
export interface StoredCommit {
  readonly commit: Uint8Array;
  readonly leaf: Uint8Array;
  readonly receipt: Signed;
  /** By rising block; none of a commit that is whole. */
  readonly facts?: readonly BlockFacts[] | undefined;
}

/** What a replay needs of the rows that are not left in a block of a thinned commit. */
export interface BlockFacts {
  /** Its number in the commit, from 0 on. */
  readonly block: number;
  /** `encodeRowFacts` of them. */
  readonly rows: Uint8Array;
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

/** Some slots of one leaf of the log: versions of a commit, or files that an event is about. */
export interface LeafSlots {
  readonly leafIndex: number;
  /** Bit i mod 8 of byte i / 8 is set for slot i; the last byte is not 0. */
  readonly slots: Uint8Array;
}

/**
 * Versions of one history that collection took out of the catalog, because a run of retention had
 * let them go.
 */
export interface StoredDropped {
  /** The number of that run. */
  readonly run: number;
  /** The history: the lineage's own, or one held apart. */
  readonly branchId: LineageId;
  /** In rising order. */
  readonly leaves: readonly LeafSlots[];
}

/** A commit as it stands since a purge, in the history before the event that approves it. */
export interface StoredPurged {
  readonly purgeId: PurgeId;
  /** From 0 on, in the order of the leaves. */
  readonly part: number;
  readonly leafIndex: number;
  /** What of it is purged: a bit for each slot; none where blocks were only keyed anew. */
  readonly slots: Uint8Array;
  /** A SignedCommit of which blocks are sealed anew. */
  readonly commit: Uint8Array;
}

/**
 * Items that left a lineage's set, because no version of it reaches them any more. Pages come
 * before what lies below them.
 */
export interface StoredSwept {
  readonly lineageId: LineageId;
  /** The epoch that its agents have answered. */
  readonly gcEpoch: number;
  readonly ids: readonly ChunkId[];
  /** Pages that stay though nothing reaches them: what lies below them is to be proved again. */
  readonly unwalked: readonly ChunkId[];
  /** The sweep for this epoch has come to its end. */
  readonly isEnd: boolean;
  /** When it was recorded, by the collector's clock. */
  readonly timeMs: number;
}

/**
 * Versions of one history that a run of retention expired, all sent by one PC. The event of the run
 * follows; without it they say nothing.
 */
export interface StoredExpired {
  readonly run: number;
  /** Which of the records of its run, from 0 on. */
  readonly part: number;
  readonly branchId: LineageId;
  /** The name of the PC. */
  readonly agent: string;
  /** By rising leaf. */
  readonly leaves: readonly LeafSlots[];
}

/**
 * What ended for good in a vault, kept beside its packs: events `agentRevoked` and `groupEnded`,
 * encoded, of each agent and group one.
 */
export interface EventBook {
  readonly vaultId: VaultId;
  readonly events: readonly Uint8Array[];
  /** SHA-256 of the encoding before it. */
  readonly sum: Uint8Array;
}

/**
 * A purge that was approved, kept beside the history: its order and its approval, encoded events,
 * and the commits that came with it, encoded `StoredPurged`s.
 */
export interface KeptPurge {
  readonly vaultId: VaultId;
  readonly order: Uint8Array;
  readonly approval: Uint8Array;
  readonly commits: readonly Uint8Array[];
  /** SHA-256 of the encoding before it. */
  readonly sum: Uint8Array;
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

/**
 * One commit in the answer to an operator's question which commits an agent has: enough to prove
 * that none is left out, and which files it is about.
 */
export interface HistoryCommit {
  /** The encoded header, whose hash is the commit's. */
  readonly header: Uint8Array;
  readonly signature: Uint8Array;
  /** Where its leaf is. */
  readonly leafIndex: number;
  /** The time of its leaf and its receipt. */
  readonly receivedAtMs: number;
  /** The history that it belongs to: the lineage's own, or one held apart. */
  readonly branchId: LineageId;
  /** The summary that `summaryHash` of the header covers; empty when all of it is lost. */
  readonly summary: Uint8Array;
  /**
   * Marks of the summary of which no row is left, by the collector's word: only where there is a
   * loss.
   */
  readonly lost: Uint8Array;
  /** What its leaf names in the place of its hash: its agent declared some of it, or all, lost. */
  readonly lossHash: Uint8Array | undefined;
  /**
   * Marks of files and results of which retention has dropped rows here, by the collector's word.
   * The lowest bit is set where other rows of it are left in the commit.
   */
  readonly dropped: Uint8Array;
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
