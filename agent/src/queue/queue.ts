import type {
  ChainId,
  ChainPoint,
  ChunkId,
  CommitHash,
  EntryDraft,
  EntryKind,
  FileId,
  ReceiptBody,
  Signed,
  StoredKind,
} from '@aliquot/proto';
import type { OwnVersion } from './outbox/own-versions.ts';

/**
 * The agent's queue: everything that is captured and not yet covered by a receipt, in order, plus
 * what the agent knows about every file. One process, one thread, one `Queue` per data folder.
 *
 * **Durability.** `sync()` resolves after every item and version handed over before the call is on
 * stable storage (invariant I-A1: a version counts as captured only then). Without it nothing is
 * promised, although the queue also syncs by itself now and then. A version is never durable
 * without the items that were put into its capture before it.
 *
 * **Repetition.** Putting an item that the queue holds already is free. Every other call does what
 * it says once per call.
 *
 * **Concurrency.** All methods may be called at any time without waiting for earlier ones; changes
 * happen in the order of the calls. Several captures may be open at once. Reads see every change
 * whose promise has resolved, except known files and problems, which become visible with the
 * `sync()` that makes them durable.
 *
 * **Errors.** `QueueError`, and `FileError` of the durability module as it is. A `FILE_NO_SPACE`
 * from putting something leaves no trace: free space and put it again in a new capture. After a
 * failed flush nobody knows what the disk holds, so every later change is refused. If the disk was
 * full, with `QUEUE_NO_SPACE`, until there is space again: the queue then starts again from what
 * the disk says, and open captures have ended (`QUEUE_CLOSED`). Otherwise with `QUEUE_POISONED`,
 * until the queue is opened again.
 *
 * **Budget.** With `QueueOptions.budget`, what would pass it is refused with `QUEUE_FULL` (I-A10).
 * Facts without bytes are always taken: gone, problems, references, signed commits, receipts. So a
 * full queue can always be drained.
 */
export interface Queue {
  /**
   * Starts capturing one version of this policy class (`default` unless told). See `Capture`.
   * Whoever uses what the cache said keeps a capture open from the first question to the cache
   * until the version is put; an otherwise unused one will do (I-A9).
   */
  capture(className?: string): Capture;
  /**
   * Forgets a known file without recording a fact (its source was taken out of the configuration).
   */
  forget(path: Uint8Array): Promise<void>;
  /**
   * Records changed stat fields of a known file whose newest version (`entry`) still says all else;
   * makes no version.
   */
  refresh(known: KnownFile): Promise<void>;
  /**
   * Names why a path is not protected (P6), or clears it with `undefined`. A new version of the
   * path clears it too.
   */
  setProblem(path: Uint8Array, problem: ProblemRecord | undefined): Promise<void>;
  /** Durable: see above. */
  sync(): Promise<void>;

  known(path: Uint8Array): Promise<KnownFile | undefined>;
  knownMany(paths: readonly Uint8Array[]): Promise<readonly (KnownFile | undefined)[]>;
  /**
   * Every known path that starts with exactly these bytes, in byte order. Snapshot; memory
   * independent of the number.
   */
  knownUnder(prefix: Uint8Array): AsyncIterable<KnownFile>;
  /** The same, many at a time: a scan of a hundred thousand files must not wait for each. */
  knownBatches(prefix: Uint8Array): AsyncIterable<readonly KnownFile[]>;
  problems(): AsyncIterable<FileProblem>;
  /**
   * Every version of these files that this installation captured, oldest first, with what is known
   * of their receipts. Reads the whole chain log.
   */
  ownVersions(fileIds: readonly FileId[]): Promise<readonly OwnVersion[]>;

  /**
   * Looks up chunks by `cacheIndex` values. A hit means: the chunk is in the queue or at the
   * collector, so do not put it.
   */
  cacheGetMany(indexes: readonly Uint8Array[]): Promise<readonly (CachedChunk | undefined)[]>;
  /**
   * What `Capture.keepGrowth` kept with a version of this path, if it is still there: a cache, it
   * may forget. The promise of a hit is the chunk cache's.
   */
  growthOf(path: Uint8Array): Promise<Uint8Array | undefined>;
  hasItem(id: ChunkId): Promise<boolean>;
  /** `hasItem` for many. */
  hasItems(ids: readonly ChunkId[]): Promise<readonly boolean[]>;

  pending(): PendingCounts;
  /**
   * What a capture of this class may still add, right now; asks the disk. Tells `room` if it had
   * been full.
   */
  room(className?: string): Promise<RoomLeft>;
  /**
   * Whether the collector takes what is queued, just now. While it does, a disk below
   * `minFreeBytes` does not stop captures: a part of what is free is let through. Tells `room` when
   * something waits for that.
   */
  drains(isDraining: boolean): void;
  /** What the queue takes on the disk, for people. */
  usage(): Promise<QueueUsage>;

  /**
   * Notes that a settled result could not be captured for want of room, and is only at its source
   * (P6). Durable with the next `sync`. Replaces an earlier reference of the path. A version of the
   * path removes it.
   */
  putReference(reference: FileReference): Promise<void>;
  /**
   * Removes a reference without a version: its file is known as it is, or left the configuration.
   * Durable with the next `sync`.
   */
  dropReference(path: Uint8Array): Promise<void>;
  /**
   * Turns a reference into an entry of `lost`, durably and in one step: the state that it stood for
   * can no longer be had. Nothing happens when there is no reference of the path. `growing-torn`
   * needs none: it is about versions.
   */
  loseReference(path: Uint8Array, why: LostReason): Promise<void>;
  /** Oldest settled first. Snapshot of what is durable; memory independent of the number. */
  references(): AsyncIterable<FileReference>;
  /** The reference of this path, also one that is not durable yet. */
  reference(path: Uint8Array): Promise<FileReference | undefined>;
  referenceTotals(): ReferenceTotals;

  /** Calls back after changes; returns the way to stop it. A listener must not throw. */
  subscribe(listener: (event: QueueEvent) => void): () => void;

  // ---- the sending side (used by the uplink) ----

  /**
   * The commit to send: the oldest signed one without a receipt, else a new one from the oldest
   * entries, else undefined.
   */
  nextCommit(signer: CommitSigner): Promise<QueuedCommit | undefined>;
  /**
   * Signs everything that is queued now, in as many commits as it takes, without waiting for
   * receipts; each commit is durable before the next is made (I-A4). The answer is how many were
   * made.
   */
  signAll(signer: CommitSigner): Promise<number>;
  /** Every signed commit without a receipt, in order; one is held at a time. */
  unreceipted(): AsyncIterable<QueuedCommit>;
  /**
   * A signed commit by sequence, byte for byte as it was first sent. Sequences go on across the
   * chains of an installation.
   */
  signedCommit(sequence: number): Promise<QueuedCommit | undefined>;
  /** An item's sealed bytes while a queued or kept segment holds it; checked against the id. */
  readItem(id: ChunkId): Promise<QueuedItem | undefined>;
  /** `readItem` for many, in their order, one held at a time. */
  readItems(ids: readonly ChunkId[]): AsyncIterable<QueuedItem | undefined>;
  /**
   * Gives away the sealed items that were put last and that nobody has read, the oldest of them
   * first: up to some `bytes`, and none while there is less than a mebibyte. Copies: each stays in
   * its segment, whatever becomes of it; perhaps not durable yet, and perhaps of a capture that
   * will be aborted.
   */
  takeFresh(bytes: number): readonly QueuedItem[];
  /**
   * Makes a verified receipt durable; only then its entries leave the queue (I-A2). Repeating is
   * harmless.
   */
  receipted(receipt: Signed, body: ReceiptBody): Promise<void>;
  /**
   * The collector has lost what came after this commit (a rollback): those versions and their files
   * are pending again, and their commits are given by `nextCommit` once more, byte for byte. Does
   * nothing when nothing later was receipted.
   */
  unreceipt(sequence: number): Promise<void>;
  /** Newest signed commit of this installation, receipted or not, with the chain that it is on. */
  chainHead(): ChainPoint | undefined;
  /** The chain that the next new commit goes on, and where that chain began. */
  chain(): Chain;
  /**
   * Goes on under a new chain, durably (I-A8): the collector knows another history under the old
   * chain id. What is signed stays as it is; the next new commit is the first of the new chain.
   * Does nothing when this is the present chain.
   */
  forkChain(fork: ChainFork): Promise<void>;
  /**
   * Goes on under the chain of another agent, durably, with everything that is queued and known:
   * this folder was enrolled anew in place. Does nothing when it does already. Errors:
   * `QUEUE_REFUSED` while signed commits wait for their receipts.
   */
  inheritChain(chainId: ChainId): Promise<void>;
  /** The newest epoch that was learnt, 0 when none. */
  gcEpoch(): number;
  /**
   * Learns durably that chunks which only older versions use may be swept: from here on nothing
   * that the cache knew is used (I-A9). An epoch that is not newer changes nothing.
   */
  learnGcEpoch(epoch: number): Promise<void>;
  /**
   * The epoch to answer the collector with, once everything that was captured before it was learnt
   * is receipted (I-A9); undefined until then. The event `gcReady` tells when that comes.
   */
  gcAnswer(): Promise<number | undefined>;
  /** Sequence of the newest commit with a durable receipt (0: none). */
  receiptedSequence(): number;
  lastReceipt(): LastReceipt | undefined;

  /**
   * Durably lists versions that a rolled-back collector lost and nobody can give again; forgets
   * their files.
   */
  recordLost(sequence: number, slots: readonly number[]): Promise<void>;
  lost(): AsyncIterable<LostVersion>;
  /**
   * How many versions were named as lost since this was last asked, or since (and by) the opening:
   * for a command's exit code.
   */
  takeUntoldLost(): number;
  /**
   * A person has seen these of the list, by `entry`. Never takes away what is not among them; of
   * these some may stay for another time.
   */
  acknowledgeLost(seen: readonly number[]): Promise<void>;
  /**
   * Paths of known files whose newest version is one of these slots of a commit: what `recover`
   * should read again.
   */
  pathsOf(sequence: number, slots: readonly number[]): Promise<readonly Uint8Array[]>;

  /** Syncs and releases the folder. */
  close(): Promise<void>;
}

/**
 * One version on its way in. Put its items (pages after the chunks they name), then the version; or
 * `abort`. Until then the queue holds every segment that the items lie in. Items of an aborted
 * capture are dropped with their segment.
 */
export interface Capture {
  /**
   * Appends a sealed chunk or page unless the queue holds it. The bytes are written or copied
   * before it resolves. `QUEUE_FULL` when it would pass the budget: the capture has then ended as
   * if aborted.
   */
  putItem(item: QueuedItem): Promise<void>;
  /**
   * Remembers a chunk for later captures; takes effect with `putVersion`, so a hit always names a
   * chunk that some version protects.
   */
  cachePut(index: Uint8Array, chunk: CachedChunk): void;
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
  abort(): void;
}

/** What a scan compares with the file system, as it was at capture. */
export interface KnownStat {
  readonly path: Uint8Array;
  readonly kind: Exclude<EntryKind, 'gone'>;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  /** Permission bits, or the attributes on Windows: what a restore brings back. */
  readonly mode: number;
  /**
   * `contentTag(sha256)` of the file, 32 zero bytes unless `kind` is file. Not the SHA-256 itself:
   * nothing from which a cached key could ever be unmasked lies beside the cache.
   */
  readonly contentTag: Uint8Array;
  readonly capturedAtMs: number;
  /** As in `ListPart`. */
  readonly resultPathLength: number;
}

export interface KnownFile extends KnownStat {
  /** `queued` until the receipt for the newest version is durable on the agent. */
  readonly state: 'queued' | 'safe';
  /** Number of the newest version in queue order. */
  readonly entry: number;
}

export interface ProblemRecord {
  /**
   * Stable identifier, such as `unreadable`, `locked`, `torn`, `special`. 1 to 64 of `[a-z0-9-]`.
   */
  readonly code: string;
  /** One line for a person, at most 500 characters. */
  readonly message: string;
  readonly sinceMs: number;
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

export interface QueuedItem {
  readonly id: ChunkId;
  readonly kind: StoredKind;
  readonly sealed: Uint8Array;
  /** The id was made from these very bytes in this process, so it need not be made once more. */
  readonly named?: boolean;
}

export interface PendingCounts {
  /** Versions without a durable receipt. */
  readonly entries: number;
  /** Sealed bytes that were appended for them. */
  readonly bytes: number;
  /** When the oldest of them was captured. */
  readonly oldestMs: number | undefined;
}

/** How much the queue may take. */
export interface QueueBudget {
  /** Bytes of what has no receipt yet. */
  readonly maxBytes: number;
  /** Bytes that stay free on the disk, as long as that is in the queue's hands. */
  readonly minFreeBytes: number;
  /**
   * Share of `maxBytes`, 0 to 1, that a policy class may fill; 1 for classes that are not named.
   */
  readonly classes: Readonly<Record<string, number>>;
}

/** Why there is not more room: the budget (of all or of the class), or the disk's floor. */
export type RoomLimit = 'budget' | 'disk';

export interface RoomLeft {
  /** Bytes that a capture may add. Below 1: `QUEUE_FULL`. */
  readonly bytes: number;
  /** What says no; undefined while there is room. */
  readonly why: RoomLimit | undefined;
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
  /** Undefined: no budget. */
  readonly budget: QueueBudget | undefined;
  /** Sealed bytes without a receipt by policy class. */
  readonly classes: Readonly<Record<string, number>>;
}

/** A settled result that is only at its source, because the queue had no room for it. */
export interface FileReference {
  readonly path: Uint8Array;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly class: string;
  /** As in `ListPart`. */
  readonly resultPathLength: number;
  readonly settledAtMs: number;
}

export interface ReferenceTotals {
  readonly files: number;
  readonly bytes: number;
}

export interface Chain {
  readonly chainId: ChainId;
  /**
   * The commit that this chain goes on from: ours, or one that the collector named. Undefined for
   * the chain of the enrolment.
   */
  readonly forkedFrom: ChainPoint | undefined;
  /** What it goes on from was signed by the agent that this one took the folder over from. */
  readonly inherited: boolean;
}

export interface ChainFork {
  /** Fresh and random. */
  readonly chainId: ChainId;
  /** The head that the collector told, for an installation that has signed nothing itself. */
  readonly named: ChainPoint;
}

export interface LastReceipt {
  readonly sequence: number;
  readonly receivedAtMs: number;
  readonly copies: number;
}

/**
 * Why a state can no longer be had: its file changed, or went, before there was room for it; or
 * (`growing-torn`) it was captured while it grew, and what came before the appended part had
 * changed meanwhile, so that version may mix two states.
 */
export type LostReason = 'reference-changed' | 'reference-gone' | 'growing-torn';

export interface LostVersion {
  /** Number of the version in queue order. */
  readonly entry: number;
  /** The path, where a known file still named it. */
  readonly path: Uint8Array | undefined;
  /** `version`: it was captured, and neither collector nor queue nor source has it any more. */
  readonly why: 'version' | LostReason;
}

export interface QueuedCommit {
  readonly sequence: number;
  readonly hash: CommitHash;
  /** The encoded `SignedCommit`. */
  readonly bytes: Uint8Array;
  readonly entries: number;
}

export type QueueEvent =
  /** A sync made new versions durable. */
  | { readonly type: 'queued' }
  /** Items were put: about a mebibyte more for `takeFresh`. */
  | { readonly type: 'fresh' }
  /** Versions became safe. */
  | { readonly type: 'receipted'; readonly sequence: number; readonly entries: number }
  | { readonly type: 'lost' }
  /** There may be room again, after `QUEUE_FULL` or while there are references. */
  | { readonly type: 'room' }
  /** `gcAnswer` has an answer. */
  | { readonly type: 'gcReady' };

/** Turns drafts into a signed commit; the queue chooses drafts, sequence and predecessor. */
export interface CommitSigner {
  /**
   * Pure apart from randomness and the clock: the queue makes the result durable before anybody
   * sees it (I-A4).
   */
  sign(request: CommitRequest): { readonly bytes: Uint8Array; readonly hash: CommitHash };
}

export interface CommitRequest {
  readonly chainId: ChainId;
  readonly sequence: number;
  readonly predecessor: CommitHash;
  /** Set on the first commit of a chain that goes on from another. */
  readonly forkedFrom: ChainPoint | undefined;
  readonly drafts: readonly EntryDraft[];
}
