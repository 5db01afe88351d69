import type {
  AgentId,
  ChainId,
  ChainPoint,
  ChunkId,
  CollectorCertificateBody,
  EventBody,
  LineageId,
  PurgeId,
  RefusalCode,
  Signed,
  StateRecord,
  StoredPurged,
  TreeHead,
  VaultDescriptorBody,
} from '@aliquot/proto';
import type { LogTimes } from '@aliquot/shared/log/log-times';
import type { SetPolicy } from '../retention/ruling.ts';
import type { AgentDesk, AgentSaid } from './catalog/desk.ts';
import type { HoldRow } from './catalog/hold-row.ts';
import type { PurgeRow } from './catalog/purge-row.ts';
import type { VaultData, VaultMaintenance, VaultSweep } from './vault-collection.ts';
import type { VaultReading } from './vault-reading.ts';
import type {
  AgentRecord,
  BranchRecord,
  CommitOptions,
  CommitOutcome,
  GroupRecord,
  HeadJudgement,
  ItemBody,
  LeafRecord,
  PlacedEvent,
  ProvedEvent,
  PutItem,
  ReportedHead,
  VaultStats,
} from './vault-records.ts';
import type { VaultRetention } from './vault-retention.ts';

/**
 * What the rest of the collector may ask of one vault's store, in parts: each consumer names the
 * parts that it uses, and sees no other. What all of them promise:
 *
 * **Durability.** `putChunks`, `putBodies` and `heartbeat` promise nothing beyond this process
 * until a later `sync()`, `commit()` or `append()` resolves; those three resolve only when
 * everything they cover is on stable storage (I-C1). Heads, proofs, receipts and chain heads that
 * are handed out cover durable records only, so whatever an agent was sent survives a crash.
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
 * `STORE_FAILED` everything not yet synced is dropped (nobody has heard of it yet), and the next
 * call opens the vault again from what is on the disk, or fails again.
 */
export interface VaultStore {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  /**
   * The authority's certificate for this collector: sent in handshakes, reported heads and bundles.
   */
  readonly certificate: CollectorCertificateBody;
  readonly signedCertificate: Signed;
  /** Opens list parts; `undefined` in a blind vault, and where it is lost. */
  readonly catalogSecretKey: Uint8Array | undefined;

  readonly intake: VaultIntake;
  readonly events: VaultEvents;
  readonly register: VaultRegister;
  readonly desk: VaultDesk;
  readonly holds: VaultHolds;
  readonly purges: VaultPurges;
  readonly sweep: VaultSweep;
  readonly retention: VaultRetention;
  readonly maintenance: VaultMaintenance;
  readonly log: VaultLog;
  readonly reading: VaultReading;
  readonly figures: VaultFigures;
  readonly data: VaultData;

  /**
   * `intake.sync`, and the index written down too: it happens by itself now and then, and saves a
   * start after a crash the replay.
   */
  flush(): Promise<void>;
}

/** A vault of which only these parts are seen: what a consumer should ask for. */
export type VaultWith<Part extends keyof VaultStore> = Pick<VaultStore, Part>;

/** What agents may do, once they have proved who they are. */
export interface VaultIntake {
  /**
   * For each id whether it is in the lineage's own set (uploaded by it, or referenced by its
   * commits), in the order asked. What only others have uploaded is `false`, exactly like what
   * nobody has (P4). Uploads of this process count before sync.
   */
  has(lineageId: LineageId, ids: readonly ChunkId[]): Promise<boolean[]>;

  /**
   * Stores sealed bytes and notes that the lineage uploaded them. Checks size, that they prove the
   * id (of a slab all pieces, and none lacks), and that a page decodes, before anything is written;
   * one bad item refuses the whole call (`STORE_BAD_ITEM`). Not durable on its own.
   */
  putChunks(lineageId: LineageId, items: readonly PutItem[]): Promise<void>;

  /**
   * The same of items that stand one behind the other in bodies, which are taken over: nobody else
   * touches them from the call on.
   */
  putBodies(lineageId: LineageId, bodies: readonly ItemBody[]): Promise<void>;

  /** Resolves when everything appended before the call is durable. */
  sync(): Promise<void>;

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
   * Keeps the agent's newest heartbeat; `undefined` when fine. Kept through a restart, but no
   * part of the history.
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

  /**
   * The history beside the trunk that a chain's commits are in; `undefined`: the trunk, or none
   * yet.
   */
  branchOf(agentId: AgentId, chainId: ChainId): BranchRecord | undefined;

  /**
   * The newest accepted commit of a chain id, durable, for `ready`: `undefined` when there is none.
   * Where a commit has lost something since, the one before it: so the agent sends from there
   * again.
   */
  chainHead(agentId: AgentId, chainId: ChainId): Promise<ChainPoint | undefined>;
}

/** What is recorded in the log beside commits: enrolments, ends, decisions, an operator's words. */
export interface VaultEvents {
  /**
   * Checks an event (signatures, state it would change), appends it as a leaf of the log and
   * resolves when it is durable. The same event again (same enrolment, same binding, same
   * revocation, same reported head) answers with the first leaf. Throws: `STORE_BAD_EVENT`,
   * `STORE_NAME_TAKEN`, `STORE_UNKNOWN_GROUP`, `STORE_GROUP_ENDED`, `STORE_GROUP_FULL`,
   * `STORE_UNKNOWN_AGENT`, `STORE_REVOKED`, `STORE_OTHER_KEYS`.
   */
  append(body: EventBody): Promise<{ leafIndex: number }>;

  /**
   * Several at once, none of which may depend on another: all are checked before the first is
   * appended, so one that is refused refuses all. Answers with the last one's leaf. Only a failing
   * disk can keep some and not the others.
   */
  appendAll(bodies: readonly EventBody[]): Promise<{ leafIndex: number }>;

  /**
   * Keeps what somebody signed of an agent that is not known here: it is revoked as soon as it
   * comes. Throws: `STORE_BAD_EVENT`, `CERT_…`.
   */
  foresee(revoked: Extract<EventBody, { type: 'agentRevoked' }>): Promise<void>;
}

/** The agents and groups that a vault knows, and where they find it. */
export interface VaultRegister {
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

  /** Every history that was ever held apart from an agent, decided ones included. */
  branchIds(agentId: AgentId): LineageId[];

  /** The newest addresses of this collector that the authority signed, for its agents. */
  addresses(): Signed | undefined;
}

/** What operators have set for agents: policies, and the settings that were made from them. */
export interface VaultDesk {
  /** The revision of the newest policy; 0: none was set. */
  policyRevision(): number;

  /** A policy as it was set; undefined when there is none of that revision. */
  policy(revision: number): Promise<Extract<EventBody, { type: 'policySet' }> | undefined>;

  /** Every policy that was set, the oldest first, with its rules of retention. */
  policies(): readonly SetPolicy[];

  /** What an agent is offered, and what it says of that. */
  of(agentId: AgentId): AgentDesk;

  /** Whether settings of any agent wait to be promoted. */
  settingsWait(): boolean;

  /**
   * Notes what an agent says of itself. Cheap; kept through an orderly restart, and said again with
   * every session.
   */
  said(agentId: AgentId, said: Partial<AgentSaid>): void;
}

/** What people have said that must stay. */
export interface VaultHolds {
  /** Every hold that was ever set, those that were released too, the oldest first. */
  all(): readonly HoldRow[];
}

/** What operators have said must go, names and all. */
export interface VaultPurges {
  /** Every purge that was ever ordered, the oldest first. */
  all(): readonly PurgeRow[];

  /** Whether the content of an approved one waits for a sweep. */
  isOpen(row: PurgeRow): boolean;

  /**
   * Records an order, as `VaultEvents.append` does. Refused where a lock or a hold covers what it
   * names, and where nobody knows what time it is: `STORE_BAD_EVENT`, `STORE_RETENTION_HELD`.
   */
  order(event: Extract<EventBody, { type: 'purgeOrdered' }>): Promise<{ leafIndex: number }>;

  /**
   * The commits that have something of what was ordered, or the key of a slab of which a piece is
   * to go, in the order of their leaves: `live` is what goes of each. Errors: `STORE_BAD_EVENT`,
   * `STORE_DAMAGED`.
   */
  commits(purgeId: PurgeId): AsyncIterable<StateRecord>;

  /**
   * Records the approval with these commits sealed anew: when it resolves, what was ordered is in
   * no answer any more. The same again answers with the first leaf. Refused as an order is, and
   * where the commits are not just those without what goes.
   */
  approve(
    event: Extract<EventBody, { type: 'purgeApproved' }>,
    commits: readonly StoredPurged[],
  ): Promise<{ leafIndex: number }>;
}

/** The log: its heads, its leaves, and proofs about them. */
export interface VaultLog {
  /** The newest durable head, signed now. */
  head(nowMs: number): Signed;
  treeHead(): TreeHead;
  /** The time of the newest leaf, in milliseconds; `undefined` of an empty log. */
  lastMs(): number | undefined;
  /** What the times of leaves and receipts count as. */
  times(): LogTimes;
  inclusion(leafIndex: number, size: number): Promise<Uint8Array[]>;
  consistency(fromSize: number, toSize: number): Promise<Uint8Array[]>;

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

  /** The bytes of the leaves from one on, up to a size that the log has reached. */
  leaves(from: number, size: number): AsyncIterable<Uint8Array>;

  /** The events among them. */
  events(from: number, size: number): AsyncIterable<PlacedEvent>;

  /** Those that set a policy, up to a size of the log, each with a proof that it has them. */
  policies(size: number): Promise<ProvedEvent[]>;

  /** Orders and approvals of purges that were done, the same; each order before its approval. */
  purges(size: number): Promise<ProvedEvent[]>;

  /** Epoch openings after `afterEpoch`, oldest first, with their leaves. */
  openings(afterEpoch: number): { opening: Signed; leafIndex: number; leaf: Uint8Array }[];

  /**
   * Heads that agents hold, signed by this vault's collector, which the log does not contain and no
   * opening has named.
   */
  reportedHeads(): ReportedHead[];
}

/** How much a vault holds, and how fast it grows. */
export interface VaultFigures {
  stats(): VaultStats;

  /**
   * Bytes a day that the packs have grown by lately; `undefined` while that is not known. Kept as
   * notes, which may be lost.
   */
  growthPerDay(nowMs: number): number | undefined;
}
