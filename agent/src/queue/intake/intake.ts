import type { EntryDraft } from '@aliquot/proto';
import type { KnownStat, QueuedItem } from '../log/facts.ts';
import type { VersionHead } from '../log/payloads.ts';
import type { StoredDraft } from '../log/stored.ts';
import type { QueueBudget, SpaceLimit } from './space.ts';

/*
 * The way in: captures, and whether there is space for them.
 *
 * **Durability.** What a capture puts is durable with the next `sync` of the queue; a version never
 * without the items that were put into its capture before it (I-A1).
 *
 * **Repetition.** Putting an item that the queue holds already is free.
 *
 * **Concurrency.** Several captures may be open at once; changes happen in the order of the calls,
 * none need wait for the one before.
 *
 * **Errors.** With a budget, what would pass it is refused with `QUEUE_FULL` (I-A10). Facts without
 * bytes are always taken: gone, problems, references, signed commits, receipts. So a full queue can
 * always be drained. A `FILE_NO_SPACE` from putting something leaves no trace: free space and put
 * it again in a new capture.
 */
export interface QueueIntake {
  /**
   * Starts capturing one version of this policy class (`default` by default). See `Capture`. A user
   * of the cache keeps a capture open from the first question until the version is put; an
   * otherwise unused capture will do (I-A9).
   */
  capture(className?: string): Capture;
  /**
   * What a capture of this class may still add, right now; asks the disk. Tells `space` if it had
   * been full.
   */
  space(className?: string): Promise<SpaceLeft>;
  /**
   * Whether the collector takes what is queued, just now. While it does, a disk below
   * `minFreeBytes` does not stop captures: a part of what is free is let through. Tells `space`
   * when something waits for that.
   */
  drains(isDraining: boolean): void;
  /** What came in and has no receipt yet. */
  pending(): PendingCounts;
  /** What the queue takes on the disk, for people. */
  usage(): Promise<QueueUsage>;
}

/**
 * One version on its way in, or the versions of one slab's files. Put the items (pages after the
 * chunks they name), then the version; or `abort`. Until then the queue holds every segment that
 * the items lie in. Items of an aborted capture are dropped with their segment.
 */
export interface Capture {
  /**
   * Appends sealed chunks, pages or slabs, in order, but for those that the queue holds. The bytes
   * are written or copied before it resolves. `QUEUE_FULL` when they would pass the budget.
   * Whatever it rejects with, the capture has then ended as if aborted, and what was put behind
   * them without waiting is refused.
   */
  putItems(items: readonly QueuedItem[]): Promise<void>;
  /**
   * Remembers chunks for later captures (`encodeCached`); takes effect with `putVersion`, so a hit
   * always names a chunk that some version protects.
   */
  cachePut(pairs: Uint8Array): void;
  /**
   * Remembers how a later capture may continue this version; takes effect with `putVersion`. The
   * bytes must open nothing by themselves (I-A3), and name only chunks and pages that this or an
   * earlier durable version protects.
   */
  keepGrowth(state: Uint8Array): void;
  /**
   * Appends the version and ends the capture. `known` is what the next scan compares with;
   * undefined for kind `gone`, which forgets the path. The path of `known` must equal the draft's.
   */
  putVersion(draft: EntryDraft, known: KnownStat | undefined): Promise<void>;
  /**
   * As `putVersion`, for several versions that need the same items, as files of one slab do: the
   * capture stays open until it is aborted, which leaves alone what was put by then. The items'
   * bytes count for the first of them. Tells of each version, in order, what stopped it; undefined:
   * nothing, it is put. `QUEUE_FULL` ends the capture for all behind it.
   */
  putShared(versions: readonly PutVersion[], slab: WholeSlab | undefined): Promise<PutEnds>;
  abort(): void;
}

/** A version as it is put, with what the next scan compares with. */
export interface PutVersion {
  readonly draft: EntryDraft;
  readonly known: KnownStat | undefined;
}

/** How the puts of versions ended: the error, or undefined. */
export type PutEnds = readonly unknown[];

/** The slab whose pieces are put, each time the same object. */
export interface WholeSlab {
  /** Opens every piece. Kept only where all of them are put in a row. */
  readonly key: Uint8Array;
  readonly pieces: number;
}

export interface PendingCounts {
  /** Versions without a durable receipt. */
  readonly entries: number;
  /** Sealed bytes that were appended for them. */
  readonly bytes: number;
  /** When the oldest of them was captured. */
  readonly oldestMs: number | undefined;
}

export interface SpaceLeft {
  /** Bytes that a capture may add. Below 1: `QUEUE_FULL`. */
  readonly bytes: number;
  /** What says no; undefined while there is space. */
  readonly why: SpaceLimit | undefined;
}

export interface QueueUsage {
  /**
   * What counts against the budget: segments that are needed until a receipt comes, and signed
   * commits without one.
   */
  readonly usedBytes: number;
  /** Segments that stay after their receipts; they go first. */
  readonly keptBytes: number;
  readonly freeBytes: number;
  /** What may be on its way at a time while the disk is below its floor and the queue drains. */
  readonly passingBytes: number;
  /** Undefined: no budget. */
  readonly budget: QueueBudget | undefined;
  /** Sealed bytes without a receipt by policy class. */
  readonly classes: Readonly<Record<string, number>>;
}

/**
 * What the way in hands on, each thing once: it never comes back. Called inside the queue's turn.
 * `outbox` implements it.
 */
export interface Onward {
  /** Seals encoded drafts under a batch key: the payload of their version record. */
  seal(
    fields: Omit<VersionHead, 'batch' | 'nonce'>,
    drafts: readonly Uint8Array[],
  ): Promise<{ readonly head: VersionHead; readonly payload: Uint8Array }>;
  /** An item was appended whose bytes are nobody else's. */
  itemPut(item: QueuedItem): void;
  /** The versions of one record were appended; the first has this number. */
  versionsPut(first: number, drafts: readonly StoredDraft[]): void;
  /** A capture has ended, with its version or without. */
  captureEnded(capture: object): void;
}
