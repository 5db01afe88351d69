import type {
  AgentBindingBody,
  AgentId,
  ChainId,
  ChainPoint,
  ChunkId,
  CollectorCertificateBody,
  EnrolmentCertificateBody,
  EventBody,
  FileId,
  GroupCertificateBody,
  GroupId,
  HeartbeatBody,
  LineageId,
  RefusalCode,
  Signed,
  StateRecord,
  StoredItem,
  StoredKind,
  TreeHead,
  VaultDescriptorBody,
} from '@aliquot/proto';
import type { AgentDesk, AgentSaid } from './desk.ts';

export interface CommitOptions {
  /** An operator lets in what an agent that was revoked or replaced had signed. */
  readonly acceptEnded?: boolean;
}

/**
 * What the rest of the collector may ask of one vault's store, and what it may rely on.
 *
 * **Durability.** `putChunks` and `heartbeat` promise nothing beyond this process until a later
 * `sync()`, `commit()` or `appendEvent()` resolves; those three resolve only when everything they
 * cover is on stable storage (I-C1). Heads, proofs, receipts and chain heads that this interface
 * hands out cover durable records only, so whatever was told to an agent survives a crash.
 *
 * **Repetition.** Every call may be repeated: chunks are stored once, a repeated commit gets the
 * same receipt bytes, a repeated event the same leaf.
 *
 * **Concurrency.** Any number of calls may run at once. Appends are serialised inside; many callers
 * share one fdatasync.
 *
 * **Errors.** Refusals of an agent's commit are values (`CommitOutcome`), never exceptions.
 * `StoreError` is thrown for what the caller did wrong (its codes say what) and for a failing disk,
 * where trying again is worthwhile: after `STORE_NO_SPACE` nothing of the call was kept; after
 * `STORE_FAILED` everything not yet synced is dropped (nobody was told of it), and the next call
 * opens the vault anew from what is on the disk, or fails again.
 */
export interface VaultStore {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  /**
   * The authority's certificate for this collector: sent in handshakes, reported heads and bundles.
   */
  readonly certificate: CollectorCertificateBody;
  readonly signedCertificate: Signed;
  /** Opens list parts; `undefined` in a blind vault. */
  readonly catalogSecretKey: Uint8Array | undefined;

  // ---- the agents' way in
  // ------------------------------------------------------------------------------------------

  /**
   * For each id whether it is in the lineage's own set (uploaded by it, or referenced by its
   * commits), in the order asked. What only others have uploaded is `false`, exactly like what
   * nobody has (P4). Uploads of this process count before sync.
   */
  has(lineageId: LineageId, ids: readonly ChunkId[]): Promise<boolean[]>;

  /**
   * Stores sealed bytes and notes that the lineage uploaded them. Checks size, that SHA-256 equals
   * the id and that a page decodes, before anything is written; one bad item refuses the whole call
   * (`STORE_BAD_ITEM`). Not durable on its own.
   */
  putChunks(lineageId: LineageId, items: readonly PutItem[]): Promise<void>;

  /**
   * The same of items that stand one behind the other in one body, which is taken over: nobody else
   * touches it from the call on.
   */
  putBody(lineageId: LineageId, items: readonly StoredItem[], body: Uint8Array): Promise<void>;

  /** Resolves when everything appended before the call is durable. */
  sync(): Promise<void>;
  /**
   * `sync`, and the index written down too: it happens by itself now and then, and saves a start
   * after a crash the replay.
   */
  flush(): Promise<void>;

  /**
   * Judges a commit and, if it is accepted, makes it durable and visible. A repeated commit gets
   * the identical receipt. Validation and appending form one serial section, so two sessions cannot
   * both extend a line. A commit that follows an accepted one which is not the newest any more
   * opens a history of its own, held apart until `forkDecided` (I-C12); so does every commit of an
   * agent that was revoked or replaced, which is accepted only with `acceptEnded`, an operator's
   * word.
   */
  commit(
    agentId: AgentId,
    commitBytes: Uint8Array,
    nowMs: number,
    options?: CommitOptions,
  ): Promise<CommitOutcome>;

  /**
   * Keeps the agent's newest heartbeat; `undefined` when fine. Kept through a restart, but not
   * journalled.
   */
  heartbeat(
    agentId: AgentId,
    signed: Signed,
    nowMs: number,
  ): Promise<{ code: RefusalCode; message: string } | undefined>;

  /**
   * Notes that the agent was heard from (authenticated, and not refused). Cheap; kept through an
   * orderly restart.
   */
  seen(agentId: AgentId, nowMs: number): void;

  // ---- registry and events
  // -----------------------------------------------------------------------------------------

  /**
   * Checks an event (signatures, state it would change), appends it as a leaf of the log and
   * resolves when it is durable. The same event again (same enrolment, same binding, same
   * revocation, same reported head) answers with the first leaf. Throws: `STORE_BAD_EVENT`,
   * `STORE_NAME_TAKEN`, `STORE_UNKNOWN_GROUP`, `STORE_GROUP_ENDED`, `STORE_GROUP_FULL`,
   * `STORE_UNKNOWN_AGENT`, `STORE_REVOKED`, `STORE_OTHER_KEYS`.
   */
  appendEvent(body: EventBody): Promise<{ leafIndex: number }>;
  /**
   * Several at once, none of which may depend on another: all are checked before the first is
   * appended, so one that is refused refuses all. Answers with the last one's leaf. Only a failing
   * disk can keep some and not the others.
   */
  appendEvents(bodies: readonly EventBody[]): Promise<{ leafIndex: number }>;

  /** Every agent ever expected, oldest first. Snapshots: they do not change under the caller. */
  agents(): AgentRecord[];
  agentById(agentId: AgentId): AgentRecord | undefined;
  /**
   * The agent that currently bears the name: enrolled before expected before revoked or replaced;
   * newest first among equals.
   */
  agentByName(name: string): AgentRecord | undefined;
  /** Every group that was ever added, oldest first. */
  groups(): GroupRecord[];
  /**
   * The history beside the trunk that a chain's commits are in; `undefined`: the trunk, or none
   * yet.
   */
  historyOf(agentId: AgentId, chainId: ChainId): HistoryRecord | undefined;
  /** Every history that was ever held apart from an agent, decided ones included. */
  historyIds(agentId: AgentId): LineageId[];
  /**
   * The newest accepted commit of a chain id, durable, for `ready`: `undefined` when there is none.
   */
  chainHead(agentId: AgentId, chainId: ChainId): Promise<ChainPoint | undefined>;

  /** The newest addresses of this collector that the authority signed, for its agents. */
  addresses(): Signed | undefined;

  // ---- the desk
  // ----------------------------------------------------------------------------------------------------

  /** The revision of the newest policy; 0: none was set. */
  policyRevision(): number;
  /** A policy as it was set; undefined when there is none of that revision. */
  policy(revision: number): Promise<Extract<EventBody, { type: 'policySet' }> | undefined>;
  /** What an agent is offered, and what it says of that. */
  desk(agentId: AgentId): AgentDesk;
  /** Whether settings of any agent wait to be promoted. */
  settingsWait(): boolean;
  /**
   * Notes what an agent says of itself. Cheap; kept through an orderly restart, and said again with
   * every session.
   */
  said(agentId: AgentId, said: Partial<AgentSaid>): void;

  // ---- the sweep
  // ---------------------------------------------------------------------------------------------------

  /** The newest announced epoch of the sweep; 0 before the first. */
  gcEpoch(): number;
  /**
   * Announces a new epoch, higher than every one before, and tells every listener. Durable when it
   * resolves.
   */
  announceGcEpoch(nowMs: number): Promise<number>;
  /** Calls back with each newly announced epoch until the answer is called. */
  onGcEpoch(listener: (epoch: number) => void): () => void;
  /**
   * Notes that a chain has answered an epoch. Epochs above the announced one are ignored. The note
   * may be lost with an older copy of the folder, which only makes the sweep wait for the next
   * session of that agent.
   */
  gcLearned(agentId: AgentId, chainId: ChainId, epoch: number): void;
  /**
   * Who still keeps what `epoch` drops from being swept: nothing may be swept for it before this is
   * empty (I-C11).
   */
  sweepWaitsFor(epoch: number): SweepWait[];

  // ---- the log
  // -----------------------------------------------------------------------------------------------------

  /** The newest durable head, signed now. */
  head(nowMs: number): Signed;
  treeHead(): TreeHead;
  inclusion(leafIndex: number, size: number): Promise<Uint8Array[]>;
  consistency(fromSize: number, toSize: number): Promise<Uint8Array[]>;
  rootAt(size: number): Promise<Uint8Array>;
  /** The bytes of one leaf (`LogLeaf`) and of the event or commit that it names. */
  leafAt(leafIndex: number): Promise<LeafRecord>;
  /**
   * What a head that somebody shows means for this log: `consistent`: a prefix of it · `ahead`:
   * larger than it, or of a later epoch · `contradicts`: not a prefix of it · `lost`: neither, but
   * a later epoch opening names it, or a later head of its history, as lost. `ahead` and
   * `contradicts` mean that this collector was put back to an older state (or that it was forked):
   * worth a `headReported`.
   */
  judgeHead(head: TreeHead): Promise<HeadJudgement>;
  /** Epoch openings after `afterEpoch`, oldest first, with their leaves. */
  openings(afterEpoch: number): { opening: Signed; leafIndex: number; leaf: Uint8Array }[];
  /**
   * Heads that agents hold, signed by this vault's collector, which the log does not contain and no
   * opening has named.
   */
  reportedHeads(): ReportedHead[];

  // ---- reading back
  // ------------------------------------------------------------------------------------------------

  /**
   * Sealed bytes, proved against the id; `undefined` when not held. Throws `STORE_DAMAGED` when the
   * record is rotten.
   */
  readItem(id: ChunkId): Promise<{ kind: StoredKind; bytes: Uint8Array } | undefined>;
  /** Those of `ids` that are held and sound, in pack order; the others follow by id only. */
  readItems(ids: readonly ChunkId[]): AsyncIterable<ReadItem>;
  /** As `readItems`, many at a time as they lie in the packs: for who passes them on. */
  readRuns(ids: readonly ChunkId[]): AsyncIterable<ItemRun>;
  /**
   * The lineage's files as they were at `atMs` (undefined: now): for each file the newest version
   * not later than that, unless it is "gone". Grouped by commit, oldest commit first; memory stays
   * bounded for `undefined`, 24 bytes a file else.
   */
  state(historyId: LineageId, atMs: number | undefined): AsyncIterable<StateRecord>;
  /**
   * The same of the files that `beside` has no version of: what a history held apart inherits from
   * the trunk.
   */
  stateWithout(
    historyId: LineageId,
    beside: LineageId,
    atMs: number | undefined,
  ): AsyncIterable<StateRecord>;
  /** Every version of one file, "gone" included, oldest first. */
  versions(historyId: LineageId, fileId: FileId): AsyncIterable<StateRecord>;
  /**
   * Every version of every file of a history, "gone" included, grouped by commit, newest commit
   * first. 24 bytes a version.
   */
  everyVersion(historyId: LineageId): AsyncIterable<StateRecord>;
  stats(): VaultStats;
  /**
   * Bytes a day that the packs have grown by lately; `undefined` while that is not known. Kept as
   * notes, which may be lost.
   */
  growthPerDay(nowMs: number): number | undefined;
}

export interface PutItem {
  readonly id: ChunkId;
  readonly kind: StoredKind;
  readonly bytes: Uint8Array;
}

/**
 * `damaged` and `missing` come without bytes, so that a restore can name what it lacks and go on.
 */
export type ReadItem =
  | {
      readonly type: 'item';
      readonly id: ChunkId;
      readonly kind: StoredKind;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'missing' | 'damaged'; readonly id: ChunkId };

/** Where a sound item lies in the bytes of its run. */
export interface HeldItem {
  readonly id: ChunkId;
  readonly kind: StoredKind;
  readonly offset: number;
  readonly length: number;
}

/**
 * Items that were read together, in order. The bytes are the caller's, also the `ITEM_ROOM_BYTES`
 * in front of each item: there is room for what its next station writes before it.
 */
export type ItemRun =
  | { readonly type: 'run'; readonly bytes: Uint8Array; readonly items: readonly HeldItem[] }
  | { readonly type: 'missing' | 'damaged'; readonly ids: readonly ChunkId[] };

/**
 * What is free in front of each item of a run: a record's header stood there. Test only: that there
 * is room is proved.
 */
export const ITEM_ROOM_BYTES = 52;

export type CommitOutcome =
  | {
      /** Durable. */
      readonly type: 'accepted';
      readonly receipt: Signed;
      readonly leafIndex: number;
      /** The head just after the leaf, as the receipt names it. */
      readonly head: TreeHead;
      /** True when it had been accepted before. */
      readonly repeated: boolean;
      /** Plaintext bytes of the versions that it added, as it says; none when it is repeated. */
      readonly addedBytes: number;
    }
  /**
   * These ids are not in the lineage's set: to be uploaded, then the same commit sent again. At
   * most 4096 are named.
   */
  | { readonly type: 'missing'; readonly ids: readonly ChunkId[] }
  | { readonly type: 'refused'; readonly code: RefusalCode; readonly message: string };

/** `pending`: a PC of a group that an operator has not taken in yet. */
export type AgentState = 'expected' | 'pending' | 'enrolled' | 'revoked' | 'replaced';

export type AgentProblemCode =
  /**
   * Two histories under one identity: a copied folder, a snapshot, or a re-imaged PC; nobody has
   * decided yet which.
   */
  | 'chain-forked'
  /** An operator said that another PC uses this agent's identity: it should be enrolled anew. */
  | 'chain-clone'
  /** The agent holds a signed head that the collector's log does not contain. */
  | 'log-rolled-back'
  /** After a rollback a commit came back without versions that nobody has any more. */
  | 'versions-lost';

export interface AgentProblem {
  readonly code: AgentProblemCode;
  readonly sinceMs: number;
  readonly message: string;
}

export interface AgentRecord {
  readonly agentId: AgentId;
  readonly lineageId: LineageId;
  readonly name: string;
  readonly state: AgentState;
  readonly enrolment: Signed;
  readonly enrolmentBody: EnrolmentCertificateBody;
  readonly expectedAtMs: number;
  /** Present from enrolment on. */
  readonly binding: Signed | undefined;
  readonly bindingBody: AgentBindingBody | undefined;
  /** The certificate by which it came, where that is a group's: `enrolment` then. */
  readonly group: GroupCertificateBody | undefined;
  /** The word that took a pending PC in, and the certificate of the operator whose word it is. */
  readonly approval: Signed | undefined;
  readonly operator: Signed | undefined;
  readonly enrolledAtMs: number | undefined;
  /** When it was revoked or replaced, and why. */
  readonly endedAtMs: number | undefined;
  readonly endReason: string | undefined;
  readonly lastSeenMs: number | undefined;
  readonly lastCommitMs: number | undefined;
  readonly lastReceipt: Signed | undefined;
  readonly chainHead: ChainPoint | undefined;
  readonly heartbeat: HeartbeatBody | undefined;
  /** When that heartbeat arrived, by this collector's clock. */
  readonly heartbeatAtMs: number | undefined;
  /** After which silence somebody should look: by this agent's own rhythm. */
  readonly silenceLimitMs: number;
  /** Live files (directories and links not counted) of the lineage's trunk, and their bytes. */
  readonly files: number;
  readonly bytes: number;
  /** Histories beside the trunk, oldest first: undecided ones and clones. */
  readonly histories: readonly HistoryRecord[];
  readonly problems: readonly AgentProblem[];
}

/** A certificate by which several PCs may enrol. */
export interface GroupRecord {
  readonly groupId: GroupId;
  readonly body: GroupCertificateBody;
  /** How many have come with it. */
  readonly used: number;
  readonly addedAtMs: number;
  readonly endedAtMs: number | undefined;
}

/** A history that goes on under the same identity beside the agent's own. */
export interface HistoryRecord {
  readonly historyId: LineageId;
  /** `held`: nobody has said yet whose it is. */
  readonly state: 'held' | 'clone';
  /** How operators address it: `AGENT~xxxxxxxx`, or the clone's own name. */
  readonly name: string;
  /** The commit that opened it. */
  readonly at: ChainPoint;
  readonly openedAtMs: number;
  readonly head: ChainPoint;
  readonly lastCommitMs: number;
  readonly files: number;
  readonly bytes: number;
}

/**
 * A line of commits that has not answered an epoch of the sweep, and so still keeps what that epoch
 * drops.
 */
export interface SweepWait {
  readonly agent: string;
  /** As operators address the history. */
  readonly history: string;
  /** `undefined` when no commit of the line is here. */
  readonly chainId: ChainId | undefined;
  readonly reason: string;
}

export interface LeafRecord {
  readonly leaf: Uint8Array;
  readonly record:
    | { readonly type: 'commit'; readonly commit: Uint8Array; readonly receipt: Signed }
    | { readonly type: 'event'; readonly event: Uint8Array };
}

export type HeadJudgement = 'consistent' | 'ahead' | 'contradicts' | 'lost';

export interface ReportedHead {
  readonly agentId: AgentId;
  readonly timeMs: number;
  readonly head: TreeHead;
  readonly signedHead: Signed;
  /** Of whoever signed the head: this collector, or one that it succeeds. */
  readonly collectorCertificate: Signed;
}

export interface VaultStats {
  /** Sum of the sizes of all versions of all files. */
  readonly rawBytes: number;
  /**
   * Plaintext bytes of the distinct chunks that commits reference, by the references' own
   * statement.
   */
  readonly uniqueBytes: number;
  /** Sealed bytes of all chunks and pages. */
  readonly storedBytes: number;
  /** Bytes of all pack files, headers and commits included. */
  readonly packBytes: number;
  readonly chunks: number;
  readonly pages: number;
  readonly packs: number;
  readonly commits: number;
  readonly versions: number;
  /** Live files over all lineages, and their bytes. */
  readonly files: number;
  readonly liveBytes: number;
  /** `rawBytes / uniqueBytes`; 1 when nothing is stored. */
  readonly dedupRatio: number;
  /** `uniqueBytes / storedBytes`; 1 when nothing is stored. */
  readonly compressionRatio: number;
  /** Items known to be damaged on this disk. */
  readonly damaged: number;
}
