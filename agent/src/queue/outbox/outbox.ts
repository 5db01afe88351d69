import type {
  ChainId,
  ChainPoint,
  ChunkId,
  CommitHash,
  EntryDraft,
  ReceiptBody,
  ResultId,
  Signed,
} from '@aliquot/proto';
import type { SealedBlock } from '@aliquot/shared/commit/block-seal';
import type { QueuedItem } from '../log/facts.ts';
import type { QueuedDraft } from '../log/result-draft.ts';
import type { OwnVersion, WantedVersions } from './own-versions.ts';
import type { OwnCommit } from './receipted-commits.ts';
import type { ResultMembers } from './results.ts';

/*
 * The way out: what is queued becomes signed commits, and leaves with their receipts.
 *
 * **Durability.** A commit is durable in the chain log before anybody sees it, and is given byte
 * for byte the same until its receipt (I-A4). A receipt, a fork, a rollback and an epoch are
 * durable when the method resolves. Entries leave the queue with a durable receipt and not before
 * (I-A2).
 *
 * **Repetition.** Learning the same receipt, rollback, fork or epoch again changes nothing.
 *
 * **Concurrency.** All methods may be called at any time, also while captures go on.
 *
 * **Errors.** As the queue's (`queue.ts`); `QUEUE_FOREIGN_RECEIPT` for a receipt that is not of
 * this chain.
 */
export interface Outbox {
  /**
   * The commit to send: the oldest signed one without a receipt, else a new one from the oldest
   * entries, else undefined. What it will cover is read back and proved before (I-A12).
   */
  nextCommit(signer: CommitSigner): Promise<QueuedCommit | undefined>;
  /** Reads back everything that waits, and names what is unreadable (I-A12), before a repair. */
  proveAll(): Promise<void>;
  /**
   * Whether a new commit would be a full one, or as full as it gets: nothing is being captured. Who
   * does not wait for that sends many small ones, and each costs both sides a few syncs.
   */
  isDue(): boolean;
  /**
   * Signs everything that is queued now, in as many commits as it takes, without waiting for
   * receipts; each commit is durable before the next is made. The answer is how many were made.
   */
  signAll(signer: CommitSigner): Promise<number>;
  /** Every signed commit without a receipt, in order; one is held at a time. */
  unreceipted(): AsyncIterable<QueuedCommit>;
  /**
   * A signed commit by sequence, byte for byte as it was first sent. Sequences go on across the
   * chains of an installation.
   */
  signedCommit(sequence: number): Promise<QueuedCommit | undefined>;
  /** Takes a receipt that the caller has verified; only then its entries leave the queue. */
  receipted(receipt: Signed, body: ReceiptBody): Promise<void>;
  /**
   * The collector has lost what came after this commit (a rollback): those versions and their files
   * are pending again, and their commits are given by `nextCommit` once more. Of what an earlier
   * agent of this folder signed the files are forgotten instead, so that the next scan captures
   * them again. Does nothing when nothing later was receipted.
   */
  unreceipt(sequence: number): Promise<void>;
  /** Sequence of the newest commit with a durable receipt (0: none). */
  receiptedSequence(): number;
  lastReceipt(): LastReceipt | undefined;
  /**
   * Every version of these files that this installation captured, oldest first, with what is known
   * of their receipts. Reads the whole chain log.
   */
  ownVersions(wanted: WantedVersions): Promise<readonly OwnVersion[]>;
  /**
   * Every commit that has a receipt of a time or before (0: any receipt), in their order. Reads the
   * whole chain log.
   */
  receiptedCommits(atMs: number): AsyncIterable<OwnCommit>;
}

/** Sealed items of what is queued, for sending. */
export interface QueuedItems {
  /** Whether a queued or kept segment holds them. */
  hasItems(ids: readonly ChunkId[]): Promise<readonly boolean[]>;
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
}

/** The chain that commits go on. */
export interface CommitChain {
  /** Newest signed commit of this installation, receipted or not, with the chain that it is on. */
  head(): ChainPoint | undefined;
  /** The chain that the next new commit goes on, and where that chain began. */
  present(): Chain;
  /**
   * Goes on under a new chain, durably (I-A8): the collector knows another history under the old
   * chain id. What is signed stays as it is; the next new commit is the first of the new chain.
   * Does nothing when this is the present chain.
   */
  fork(fork: ChainFork): Promise<void>;
  /**
   * Goes on under the chain of another agent, durably, with everything that is queued and known:
   * this folder was enrolled again in place. Does nothing when it does already. Errors:
   * `QUEUE_REFUSED` while signed commits wait for their receipts.
   */
  inherit(chainId: ChainId): Promise<void>;
}

/** Epochs of the collector's sweep (I-A9). */
export interface SweepEpochs {
  /** The newest epoch that was learnt, 0 when none. */
  newest(): number;
  /**
   * Learns durably that chunks which only older versions use may be swept: from here on nothing
   * that the cache knew is used. An epoch that is not newer changes nothing.
   */
  learn(epoch: number): Promise<void>;
  /**
   * The epoch to answer the collector with, once everything that was captured before it was learnt
   * is receipted; undefined until then. The event `gcReady` tells when that comes.
   */
  answer(): Promise<number | undefined>;
}

export interface QueuedCommit {
  readonly sequence: number;
  readonly hash: CommitHash;
  /** The encoded `SignedCommit`; of one that is lost its header alone. */
  readonly bytes: Uint8Array;
  /**
   * Its record has rotted: its versions are lost, unless the collector has it already. It goes as
   * `CommitSigner.lost` makes it, so that what follows it can go on.
   */
  readonly isLost: boolean;
  readonly entries: number;
}

/** Turns drafts into a signed commit; the queue chooses drafts, sequence and predecessor. */
export interface CommitSigner {
  /** The id of the folder result with this path. */
  resultIdOf(root: Uint8Array): ResultId;
  /** Seals what this process captured ahead of its commit, which this signer has to sign. */
  seal(drafts: readonly EntryDraft[]): readonly SealedBlock[];
  /**
   * Pure apart from randomness and the clock: the queue makes the result durable before anybody
   * sees it (I-A4). The keys of the blocks are wiped, also when it throws.
   */
  sign(request: CommitRequest): { readonly bytes: Uint8Array; readonly hash: CommitHash };
  /** The commit with this agent's signed word that the versions in some slots are lost. */
  withoutVersions(commit: Uint8Array, slots: readonly number[]): Uint8Array;
  /** The same of a commit of which only the header is left: all of it is lost. */
  lost(commit: Uint8Array): Uint8Array;
}

export interface CommitRequest {
  readonly chainId: ChainId;
  readonly sequence: number;
  readonly predecessor: CommitHash;
  /** Set on the first commit of a chain that goes on from another. */
  readonly forkedFrom: ChainPoint | undefined;
  /** Drafts, and blocks that this signer has sealed of others. */
  readonly rows: readonly (QueuedDraft | SealedBlock)[];
  /** What the rows of results are made of, by their slots. */
  readonly results: ReadonlyMap<number, ResultMembers>;
}

export interface LastReceipt {
  readonly sequence: number;
  readonly receivedAtMs: number;
  readonly copies: number;
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
  /** The head that the collector gave, for an installation that has signed nothing itself. */
  readonly named: ChainPoint;
}
