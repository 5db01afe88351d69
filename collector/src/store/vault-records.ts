import type {
  AgentBindingBody,
  AgentId,
  ChainId,
  ChainPoint,
  ChunkId,
  CommitHash,
  EnrolmentCertificateBody,
  GroupCertificateBody,
  GroupId,
  HeartbeatBody,
  LineageId,
  RefusalCode,
  Signed,
  StoredItem,
  StoredKind,
  TreeHead,
} from '@aliquot/proto';
import type { HeldItem } from './packs/pack-store.ts';

export interface CommitOptions {
  /** An operator lets in what an agent that was revoked or replaced had signed. */
  readonly acceptEnded?: boolean;
}

/** Items that stand one behind the other, and their bytes. */
export interface ItemBody {
  readonly items: readonly StoredItem[];
  readonly body: Uint8Array;
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

/** A commit that was accepted and whose record cannot be read any more. */
export interface LostCommit {
  readonly agentId: AgentId;
  readonly sequence: number;
  readonly hash: CommitHash;
  readonly receivedAtMs: number;
  /** How many versions of those that were asked for; `undefined`: nobody knows. */
  readonly versions: number | undefined;
}

/** Hears of commits that a listing passes over, as they cannot be read. */
export type OnLost = (lost: LostCommit) => void;

/**
 * Items that were read together, in order. The bytes are the caller's, also the `ITEM_ROOM_BYTES`
 * in front of each item: there is room for what its next station writes before it.
 */
export type ItemRun =
  | { readonly type: 'run'; readonly bytes: Uint8Array; readonly items: readonly HeldItem[] }
  | { readonly type: 'missing' | 'damaged'; readonly ids: readonly ChunkId[] };

export type CommitOutcome =
  | {
      /** Durable. */
      readonly type: 'accepted';
      readonly receipt: Signed;
      readonly leafIndex: number;
      /** The head just after the leaf, as the receipt names it. */
      readonly head: TreeHead;
      /** Slots that it came without, the first time; none also when all of it is lost. */
      readonly lacking: readonly number[];
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
  /** An operator said that another PC uses this agent's identity: it should be enrolled again. */
  | 'chain-clone'
  /** The agent holds a signed head that the collector's log does not contain. */
  | 'log-rolled-back'
  /** After a rollback a commit came back without versions that nobody has any more. */
  | 'versions-lost'
  /** An operator said that the PC is lost: no sweep waits for what its queue may still refer to. */
  | 'queue-at-risk';

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
  readonly histories: readonly BranchRecord[];
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
export interface BranchRecord {
  readonly branchId: LineageId;
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

/** How far the collection of one lineage's set has come. */
export interface SweepRow {
  /** The newest epoch that was announced to its agents; 0 before the first. */
  readonly announced: number;
  /** The newest epoch of which the sweep has come to its end; 0 before the first. */
  readonly swept: number;
  /** Versions that were dropped since the last announcement, and their bytes as agents claim. */
  readonly droppedVersions: number;
  readonly droppedBytes: bigint;
}

/** How a vault is collected. */
export interface CollectOptions {
  readonly nowMs: number;
  /** Nothing is changed: it is told what would be, once all have answered. */
  readonly dryRun?: boolean;
  /** Also where little would be freed. */
  readonly all?: boolean;
  readonly isStopped?: () => boolean;
}

/** What a collection has done. */
export type CollectStep =
  /** `heldBy`: why none may be. */
  | { readonly type: 'dropped'; readonly versions: number; readonly heldBy: string | undefined }
  | {
      readonly type: 'lineage';
      readonly agent: string;
      /** Of the versions that were dropped since its agents were last asked. */
      readonly droppedBytes: number;
      readonly outcome: SweepOutcome | { readonly type: 'not-worth-it' };
    }
  /** Of a look ahead: what would go of the history by what was dropped until now. */
  | { readonly type: 'history'; readonly bytes: number }
  | { readonly type: 'rewritten'; readonly report: RewriteReport };

/** How the collection of a vault stands. */
export interface CollectStatus {
  readonly isPaused: boolean;
  readonly isRunning: boolean;
  /** Those of which something was dropped, or whose agents were asked. */
  readonly lineages: readonly {
    readonly agent: string;
    readonly progress: SweepRow;
    readonly waits: readonly SweepWait[];
  }[];
}

/** How the sweep of a lineage's set ended. `bytes`: of items that nobody has any more. */
export type SweepOutcome =
  | { readonly type: 'swept'; readonly items: number; readonly bytes: number }
  | { readonly type: 'waits'; readonly waits: readonly SweepWait[] }
  /** No epoch was announced that it could be for. */
  | { readonly type: 'nothing-announced' }
  /** What its versions refer to cannot be read, so nothing may leave. */
  | { readonly type: 'unreadable'; readonly what: string }
  /** It goes on when it is called again. */
  | { readonly type: 'stopped' };

export interface LeafRecord {
  readonly leaf: Uint8Array;
  readonly record:
    | { readonly type: 'commit'; readonly commit: Uint8Array; readonly receipt: Signed }
    | { readonly type: 'event'; readonly event: Uint8Array };
}

export type HeadJudgement = 'consistent' | 'ahead' | 'contradicts' | 'lost';

export interface ReportedHead {
  readonly agentId: AgentId;
  /** Where it is recorded: everything before was here when the agent showed it. */
  readonly leafIndex: number;
  readonly timeMs: number;
  readonly head: TreeHead;
  readonly signedHead: Signed;
  /** Of the one who signed the head: this collector, or one that it succeeds. */
  readonly collectorCertificate: Signed;
}

export interface VaultStats {
  /** Sum of the sizes of all versions of all files. */
  readonly rawBytes: number;
  /**
   * Plaintext bytes of the distinct chunks, and pieces of slabs, that commits reference, by the
   * references' own statement.
   */
  readonly uniqueBytes: number;
  /** Stored bytes of all chunks, pages and slabs. */
  readonly storedBytes: number;
  /** Bytes of all pack files, headers and commits included. */
  readonly packBytes: number;
  readonly chunks: number;
  readonly pages: number;
  readonly slabs: number;
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

/** A logged event, and its leaf. */
export interface PlacedEvent {
  /** The encoded `EventBody`. */
  readonly event: Uint8Array;
  readonly leafIndex: number;
}

/** A logged event with the proof that the log has it. */
export interface ProvedEvent extends PlacedEvent {
  readonly inclusion: readonly Uint8Array[];
}

/** A commit whose record is damaged, as far as its leaf tells. */
export interface BrokenCommit {
  readonly leafIndex: number;
  /** The encoded `LogLeaf`. */
  readonly leaf: Uint8Array;
  readonly sequence: number;
  readonly branchId: LineageId;
}

/** How much of a pack is alive. */
export interface PackSpace {
  readonly pack: number;
  readonly bytes: number;
  /** Of items that no lineage owns, and second copies. */
  readonly deadBytes: number;
  readonly liveItems: number;
}

/** How much of a vault's packs is alive. */
export interface VaultSpace {
  readonly bytes: number;
  /** What the history takes beside the packs. */
  readonly historyBytes: number;
  readonly deadBytes: number;
  /** Disk that is held so that a full one can be emptied; 0: none, or it is lent. */
  readonly reserveBytes: number;
  readonly packs: readonly PackSpace[];
}

/** How packs are rewritten. */
export interface RewriteOptions {
  /** Every pack of which anything is dead, not only those of which 30 % are. */
  readonly all?: boolean;
  /** No other pack is begun when so many bytes were copied. */
  readonly budgetBytes?: number;
  /** As fast as the disk is, where it is not given. */
  readonly bytesPerSecond?: number;
  /** Asked between batches: the work ends where it is, and goes on with the next call. */
  readonly isStopped?: () => boolean;
}

/** What writing files of the history anew came to. */
export interface ThinReport {
  readonly rewrittenFiles: number;
  /** What they have less than before. */
  readonly freedBytes: number;
  readonly writtenBytes: number;
  /** Files that stay as they are, because they cannot be read. */
  readonly kept: readonly { readonly file: number; readonly why: string }[];
  /** Whether every file that is worth it had its turn. */
  readonly isDone: boolean;
}

/** What rewriting came to. */
export interface RewriteReport {
  /** Packs that are gone, and their bytes; what lived in them was copied. */
  readonly removedPacks: number;
  readonly freedBytes: number;
  readonly copiedBytes: number;
  /** Packs that stay as they are: something in them is not understood, or proves nowhere. */
  readonly kept: readonly { readonly pack: number; readonly why: string }[];
  /** A record of the history that has rotted: while it is, nothing counts as dead. */
  readonly unprovedAt: { readonly file: number; readonly offset: number } | undefined;
  /** What became of the history, behind the packs. */
  readonly history: ThinReport;
  /** Whether every pack, and every file of the history, that is worth it had its turn. */
  readonly isDone: boolean;
}
