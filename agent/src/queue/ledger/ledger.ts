import type { ChunkId } from '@aliquot/proto';
import type { FileReference, KnownStat, LostReason, ProblemRecord } from '../log/facts.ts';
import type { KnownRow } from '../log/known-block.ts';

/*
 * What the agent knows: of every file, of what is not protected and why, of results that wait at
 * their source, of what was lost, and of chunks that need not be stored again.
 *
 * **Durability.** What is written is durable with the next `sync` of the queue, unless a method
 * says that it is durable when it resolves. The cache is never promised to be there.
 *
 * **Repetition.** Every call does what it says once per call; the last word about a path counts.
 *
 * **Concurrency.** All methods may be called at any time; changes happen in the order of the calls.
 * Lists are snapshots of what is durable, and take memory that does not depend on their length.
 *
 * **Errors.** As the queue's (`queue.ts`): `QueueError`, and `FileError` of the durability module.
 */

export interface KnownFile extends KnownStat {
  /** `queued` until the receipt for the newest version is durable on the agent. */
  readonly state: 'queued' | 'safe';
  /** Number of the newest version in queue order. */
  readonly entry: number;
}

export interface FileProblem extends ProblemRecord {
  readonly path: Uint8Array;
}

/**
 * A chunk that some durable version refers to; the key is masked by a value that only the plaintext
 * yields.
 */
export interface CachedChunk {
  readonly id: ChunkId;
  readonly plainSize: number;
  readonly epoch: number;
  readonly maskedKey: Uint8Array;
}

export interface ReferenceTotals {
  readonly files: number;
  readonly bytes: number;
}

export interface LostVersion {
  /** Number of the version in queue order. */
  readonly entry: number;
  /** The path, where a known file still named it. */
  readonly path: Uint8Array | undefined;
  /** `version`: it was captured, and neither collector nor queue nor source has it any more. */
  readonly why: 'version' | LostReason;
}

/** What is known of every file that has a version, as scans compare it. */
export interface KnownFiles {
  known(path: Uint8Array): Promise<KnownFile | undefined>;
  /** Every known path that starts with exactly these bytes, in byte order. */
  knownUnder(prefix: Uint8Array): AsyncIterable<KnownFile>;
  /** The same, many at a time: a scan of a hundred thousand files must not wait for each. */
  knownBatches(prefix: Uint8Array): AsyncIterable<readonly KnownFile[]>;
  /**
   * What is known of a path and of everything that begins with `below`, as blocks (`KnownCursor`):
   * in byte order, as they are written, for whoever compares a million files.
   */
  knownBlocks(path: Uint8Array, below: Uint8Array): AsyncIterable<Uint8Array>;
  /** A file of such a block. */
  knownIn(row: KnownRow): KnownFile;
  /**
   * Records changed stat fields of a known file whose newest version (`entry`) still says all else;
   * makes no version.
   */
  refresh(known: KnownFile): Promise<void>;
}

/** Why paths are not protected (P6). */
export interface ProblemList {
  /** Names the problem of a path, or clears it with `undefined`. A new version clears it too. */
  setProblem(path: Uint8Array, problem: ProblemRecord | undefined): Promise<void>;
  /** Damage of the queue's own files first. */
  problems(): AsyncIterable<FileProblem>;
}

/**
 * What spares reading, sealing and sending again. A hit means: the chunk is in the queue or at the
 * collector, so do not put it. It holds as long as the capture is open that was there before the
 * question (I-A9).
 */
export interface ContentCache {
  /** Looks up chunks by `cacheIndex` values. */
  cacheGetMany(indexes: readonly Uint8Array[]): Promise<readonly (CachedChunk | undefined)[]>;
  /** What `Capture.keepGrowth` kept with a version of this path, if it is still there. */
  growthOf(path: Uint8Array): Promise<Uint8Array | undefined>;
}

export interface Ledger extends KnownFiles, ProblemList, ContentCache {}

/** Settled results that are only at their source, because the queue had no space (P6). */
export interface FileReferences {
  /** Notes one; replaces an earlier one of the path. A version of the path removes it. */
  put(reference: FileReference): Promise<void>;
  /** Removes one without a version: its file is known as it is, or left the configuration. */
  drop(path: Uint8Array): Promise<void>;
  /**
   * Turns one into an entry of `Losses`, durably and in one step: the state that it stood for can
   * no longer be had. Nothing happens when there is none of the path. `growing-torn` needs none: it
   * is about versions.
   */
  lose(path: Uint8Array, why: LostReason): Promise<void>;
  /** Oldest settled first. */
  list(): AsyncIterable<FileReference>;
  /** The one of this path, also when it is not durable yet. */
  get(path: Uint8Array): Promise<FileReference | undefined>;
  totals(): ReferenceTotals;
}

/**
 * What nobody can give any more: named in the chain log, listed until a person has seen it (P6).
 */
export interface Losses {
  /**
   * Durably lists the versions in these slots of a commit, which nobody can give any more; forgets
   * their files. Those that are listed already stay as they are.
   */
  record(sequence: number, slots: readonly number[]): Promise<void>;
  list(): AsyncIterable<LostVersion>;
  /**
   * How many versions were named as lost since this was last asked, or since (and by) the opening:
   * for a command's exit code.
   */
  takeUntold(): number;
  /**
   * A person has seen these of the list, by `entry`; durable. Never takes away what is not among
   * them; of these some may stay for another time.
   */
  acknowledge(seen: readonly number[]): Promise<void>;
  /**
   * Paths of the files in these slots of a commit, in their order, where that is the newest version
   * that is known of them: what should be read again.
   */
  pathsOf(sequence: number, slots: readonly number[]): Promise<readonly (Uint8Array | undefined)[]>;
}
