import type { HoldBody, RetentionBrake } from './order-types.ts';
import type {
  AgentId,
  ChainId,
  ChainPoint,
  CollectorId,
  CommitHash,
  FileId,
  GroupId,
  LineageId,
  Signed,
  TreeHead,
  VaultId,
} from './types.ts';

/*
 * What the log of a vault says: heartbeats and receipts, heads, leaves, events.
 */

/** How many paths of an agent have one kind of problem. */
export interface ProblemCount {
  /**
   * Lower-case words with dashes, as `aliquot-agent status --json` gives them. A reader may meet
   * codes that it does not know.
   */
  readonly code: string;
  readonly count: number;
  /** Since when the oldest of them stands, by the agent's clock. */
  readonly sinceMs: number;
}

/**
 * An agent's word at the end of a scan, a backup or a flush: what it knows, and what is not safe.
 */
export interface HeartbeatBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  readonly chainId: ChainId;
  readonly timeMs: number;
  readonly files: number;
  readonly bytes: number;
  readonly queuedEntries: number;
  /** Paths that could not be captured, each with a named problem. */
  readonly unprotected: number;
  readonly chainHead: ChainPoint | undefined;
  readonly treeHead: TreeHead | undefined;
  /** Results that were seen and are not in the queue yet. */
  readonly pending: number;
  /**
   * Results that have not come to rest within their limit: captured as they were, and not whole.
   */
  readonly unsettled: number;
  /** Every named problem by its code, in the order of the codes. */
  readonly problems: readonly ProblemCount[];
}

export interface ReceiptBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly collectorId: CollectorId;
  readonly agentId: AgentId;
  readonly chainId: ChainId;
  readonly sequence: number;
  readonly commitHash: CommitHash;
  /** The collector's clock: locks and the upper clamp of version times count from here. */
  readonly receivedAtMs: number;
  readonly leafIndex: number;
  /** The head just after this leaf: `head.size === leafIndex + 1`. */
  readonly head: TreeHead;
  /** Durable copies at the time of signing. */
  readonly copies: number;
  /**
   * The hash of the agent's statement that versions of this commit are lost, where it came with
   * one: the leaf is for the statement then, and none can be added later.
   */
  readonly lossHash: Uint8Array | undefined;
}

export interface TreeHeadBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly collectorId: CollectorId;
  readonly timeMs: number;
  readonly head: TreeHead;
}

/** A `correction` is an event too, one that corrects the times of others. */
export type LeafType = 'commit' | 'event' | 'correction';

/** One leaf of the log: `subject` is a commit hash, or the SHA-256 of an event's bytes. */
export interface LogLeaf {
  readonly version: 1;
  readonly type: LeafType;
  readonly timeMs: number;
  readonly subject: Uint8Array;
  /** Whose commit it is, so that the leaves alone tell how many commits each agent has. */
  readonly agentId: AgentId | undefined;
}

/**
 * The authority's word that a log lost its tail and goes on: the first leaf of log epoch
 * `logEpoch`.
 */
export interface EpochOpeningBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** The new log epoch. */
  readonly logEpoch: number;
  /** What the collector still has; the opening becomes leaf `base.size`. */
  readonly base: TreeHead;
  /** Heads that the collector had signed and lost, newest first. */
  readonly lost: readonly TreeHead[];
  readonly approvedAtMs: number;
}

/**
 * The authority's word that the collector's clock was wrong for a stretch of the log: what it
 * called `fromMs` was `isMs`. Times of leaves, not leaves, change by it.
 */
export interface ClockCorrectionBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  /** The first leaf of the stretch. */
  readonly fromLeaf: number;
  /** The log up to the end of the stretch: its last leaf is `head.size - 1`. */
  readonly head: TreeHead;
  /** What the clock said in that stretch: later than the one, up to the other. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly isMs: number;
  /** No corrected time is before the one or after the other: those of the leaves beside it. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * What an operator says of a history that is held apart: another PC with the same identity, or the
 * same PC put back.
 */
export type ForkDecision = 'clone' | 'restored';

/** What the audit log records; each is one leaf. */
export type EventBody =
  | {
      readonly type: 'vaultAdded';
      readonly timeMs: number;
      readonly descriptor: Signed;
      readonly collectorCertificate: Signed;
    }
  | { readonly type: 'agentExpected'; readonly timeMs: number; readonly enrolment: Signed }
  | {
      readonly type: 'agentEnrolled';
      readonly timeMs: number;
      readonly enrolment: Signed;
      readonly binding: Signed;
    }
  | {
      readonly type: 'agentRevoked';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly reason: string;
      /** A signed `AgentRevocationBody` that says the same, where a key was at hand. */
      readonly revocation?: Signed | undefined;
      /** The certificate of the operator who signed it; absent: the authority. */
      readonly operator?: Signed | undefined;
    }
  | {
      readonly type: 'headReported';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly head: Signed;
      readonly collectorCertificate: Signed;
    }
  | { readonly type: 'epochOpened'; readonly timeMs: number; readonly opening: Signed }
  /** `at` is the commit that opens the branch held apart. */
  | {
      readonly type: 'chainForked';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly at: ChainPoint;
    }
  | {
      readonly type: 'gcEpochAnnounced';
      readonly timeMs: number;
      readonly gcEpoch: number;
      /** To whose agents. */
      readonly lineageId: LineageId;
    }
  /**
   * Nobody waits for that PC any more before something is swept: what waits in its queue may lack.
   */
  | {
      readonly type: 'agentLost';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly reason: string;
    }
  /** It came back. */
  | { readonly type: 'agentFound'; readonly timeMs: number; readonly agentId: AgentId }
  | {
      readonly type: 'forkDecided';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly branchId: LineageId;
      readonly decision: ForkDecision;
      /** The clone's own name; empty when restored. */
      readonly name: string;
    }
  /**
   * An operator has seen what is wrong with an agent and cannot be mended: versions that are lost,
   * clones.
   */
  | { readonly type: 'problemsAcknowledged'; readonly timeMs: number; readonly agentId: AgentId }
  /** The authority has said where the collector is (`CollectorAddressesBody`). */
  | { readonly type: 'addressesSet'; readonly timeMs: number; readonly addresses: Signed }
  /**
   * An operator says of files that a replaced agent had, and its successor has not found, that they
   * are gone.
   */
  | {
      readonly type: 'filesGone';
      readonly timeMs: number;
      readonly agentId: AgentId;
      readonly fileIds: readonly FileId[];
    }
  /** The policy was set (`PolicyBody`), with its sealed text. */
  | {
      readonly type: 'policySet';
      readonly timeMs: number;
      readonly policy: Signed;
      readonly certificate: Signed | undefined;
      readonly sealed: Uint8Array;
    }
  /** A PC has new settings (`SettingsBody`); `waits`: it gets them when they are promoted. */
  | {
      readonly type: 'settingsSet';
      readonly timeMs: number;
      readonly settings: Signed;
      readonly certificate: Signed | undefined;
      readonly waits: boolean;
    }
  /**
   * What waited is handed out, up to `sequence`: by an operator, or `automatic` after a day without
   * a new problem.
   */
  | {
      readonly type: 'settingsPromoted';
      readonly timeMs: number;
      readonly sequence: number;
      readonly automatic: boolean;
    }
  /**
   * An operator gave the collector a release to hand out; `targetsHash` is the SHA-256 of the
   * vendor's list that came with it.
   */
  | {
      readonly type: 'releaseAdded';
      readonly timeMs: number;
      readonly version: string;
      readonly targetsHash: Uint8Array;
    }
  /** An operator asked an agent how it is; recorded before it is asked. */
  | {
      readonly type: 'diagnosisAsked';
      readonly timeMs: number;
      readonly request: Signed;
      readonly certificate: Signed;
    }
  | { readonly type: 'releaseRemoved'; readonly timeMs: number; readonly version: string }
  /** The collector's clock was held at `heldMs`, and goes on from `timeMs`, as an operator said. */
  | { readonly type: 'clockConfirmed'; readonly timeMs: number; readonly heldMs: number }
  /** Times of a stretch of the log were wrong (`ClockCorrectionBody`). */
  | { readonly type: 'clockCorrected'; readonly timeMs: number; readonly correction: Signed }
  | { readonly type: 'holdSet'; readonly timeMs: number; readonly hold: HoldBody }
  /** A part of a resolution (`HoldResolutionBody`). */
  | { readonly type: 'holdResolved'; readonly timeMs: number; readonly resolution: Signed }
  /** A hold is over (`HoldReleaseBody`). */
  | {
      readonly type: 'holdReleased';
      readonly timeMs: number;
      readonly release: Signed;
      /** The certificate of the operator who signed it; undefined: the authority. */
      readonly operator: Signed | undefined;
    }
  /** Versions are to be purged (`PurgeOrderBody`): nothing is done yet. */
  | {
      readonly type: 'purgeOrdered';
      readonly timeMs: number;
      readonly order: Signed;
      readonly operator: Signed;
    }
  /** They are purged (`PurgeApprovalBody`): their commits stand anew in the records before it. */
  | {
      readonly type: 'purgeApproved';
      readonly timeMs: number;
      readonly approval: Signed;
      readonly operator: Signed;
    }
  /** They stay (`PurgeCancelBody`). */
  | {
      readonly type: 'purgeCancelled';
      readonly timeMs: number;
      readonly cancellation: Signed;
      /** The certificate of the operator who signed it; undefined: the authority. */
      readonly operator: Signed | undefined;
    }
  /**
   * A run of retention: what it expired stands in the records before it. Or it waits for a person,
   * and has expired nothing.
   */
  | {
      readonly type: 'retentionRan';
      readonly timeMs: number;
      /** They rise by one. */
      readonly run: number;
      /** The revision of the policy; 0: none was set. */
      readonly policy: number;
      /** Of what it expired, or would; bytes as PCs claim them, up to 2^53 - 1. */
      readonly versions: number;
      readonly bytes: number;
      /** How many `StoredExpired` stand before it; 0: it waits. */
      readonly records: number;
      /** SHA-256 over the encodings of these, also where it waits and they are not there. */
      readonly sum: Uint8Array;
      /** Until when it can be undone; 0: it waits. */
      readonly undoUntilMs: number;
      /** The run that waited, and whose approval let this one pass; 0: none. */
      readonly approves: number;
      /** Why it waits; none: it does not. */
      readonly brakes: readonly RetentionBrake[];
    }
  /** An operator let a run pass that waited (`RetentionApprovalBody`). */
  | {
      readonly type: 'retentionApproved';
      readonly timeMs: number;
      readonly approval: Signed;
      readonly certificate: Signed | undefined;
    }
  /** What a run expired stays until another policy is set. */
  | { readonly type: 'retentionUndone'; readonly timeMs: number; readonly run: number }
  | { readonly type: 'groupAdded'; readonly timeMs: number; readonly group: Signed }
  | { readonly type: 'groupEnded'; readonly timeMs: number; readonly groupId: GroupId }
  /** A PC of a group that waits for approval; `enrolment` is the group's certificate. */
  | {
      readonly type: 'agentPending';
      readonly timeMs: number;
      readonly enrolment: Signed;
      readonly binding: Signed;
    }
  | {
      readonly type: 'agentApproved';
      readonly timeMs: number;
      readonly approval: Signed;
      readonly operator: Signed | undefined;
    };
