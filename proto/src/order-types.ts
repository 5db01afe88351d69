import type { FileId, HoldId, LineageId, PurgeId, TreeHead, VaultId } from './types.ts';

/*
 * What people order about what is kept: holds, purges, and runs of retention that may go on.
 */

/**
 * A person's order that something stays, whatever the rules say. What several of its parts name,
 * all of them must fit; what it does not name, anything fits.
 */
export interface HoldBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly holdId: HoldId;
  /** By which people call it; of the holds in force only one has it. */
  readonly name: string;
  readonly reason: string;
  /** Who answers for it. */
  readonly owner: string;
  /** Names of PCs and clones, in which `*` stands for any characters; none: all. */
  readonly agents: readonly string[];
  /** The lineages that these names meant when it was set: a PC that is renamed stays held. */
  readonly lineageIds: readonly LineageId[];
  /** None: all. */
  readonly classes: readonly string[];
  /** What was current at some time from the one to the other, both included. */
  readonly fromMs: number;
  /** `MAX_TIME_MS`: it has no end. */
  readonly toMs: number;
  /** `HoldPaths`, sealed to the catalog key: its ephemeral key, then the box; undefined: any. */
  readonly paths: Uint8Array | undefined;
}

/** Patterns of paths, of which a path must fit one. They name subjects, so they are sealed. */
export interface HoldPaths {
  readonly version: 1;
  readonly globs: readonly string[];
}

/**
 * A part of the authority's word which files a hold's patterns fit, for a collector that cannot
 * open names.
 */
export interface HoldResolutionBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly holdId: HoldId;
  /** All versions that the log had then were looked at. */
  readonly head: TreeHead;
  /** From 1 to `parts`; it counts when all are there. */
  readonly part: number;
  readonly parts: number;
  /** Of files, and of folder results; rising. */
  readonly fileIds: readonly FileId[];
}

/** The word of the authority, or of an operator, that a hold is over. */
export interface HoldReleaseBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly holdId: HoldId;
  readonly releasedAtMs: number;
  readonly reason: string;
}

/** An operator's order that files and folder results of a PC go, names and all. */
export interface PurgeOrderBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly purgeId: PurgeId;
  readonly lineageId: LineageId;
  /** Every version of them goes that the log had then: what comes later is not meant. */
  readonly head: TreeHead;
  /** Of files, and of folder results; rising. No path stands here: it is what shall go. */
  readonly fileIds: readonly FileId[];
  readonly orderedAtMs: number;
  readonly reason: string;
}

/** Another operator's word that what was ordered is done, with these commits sealed anew. */
export interface PurgeApprovalBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly purgeId: PurgeId;
  /** SHA-256 over the records of the commits that come with it. */
  readonly sum: Uint8Array;
  readonly approvedAtMs: number;
}

/** The word of the authority, or of an operator, that a purge is not to be done. */
export interface PurgeCancelBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly purgeId: PurgeId;
  readonly cancelledAtMs: number;
  readonly reason: string;
}

/**
 * Why a run of retention waits: too many of the bytes of the vault would go or of the versions of a
 * PC, in this run or together with what others of the last days let go.
 */
export type RetentionBrakeKind = 'bytes' | 'versions' | 'bytes-in-days' | 'versions-in-days';

/** One brake that holds a run of retention. */
export interface RetentionBrake {
  readonly kind: RetentionBrakeKind;
  /** The name of the PC; empty where it is the whole vault's. */
  readonly agent: string;
  /** Bytes or versions that there are, and how many of them would go. */
  readonly of: number;
  readonly expiring: number;
}

/** An operator's word that what a run would let go may go. */
export interface RetentionApprovalBody {
  readonly version: 1;
  readonly vaultId: VaultId;
  readonly run: number;
  /** As the event of the run has it. */
  readonly sum: Uint8Array;
  readonly approvedAtMs: number;
}
