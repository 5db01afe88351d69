import type { AgentId, ChainPoint, CommitHash, LineageId, Signed } from '@aliquot/proto';
import type { AgentState, SweepRow } from '../vault-records.ts';

export interface LineageRow {
  /** What stands for the history in the keys of its versions: given with its first commit. */
  readonly number: number;
  /** Live files and their bytes. */
  readonly files: number;
  readonly bytes: bigint;
  /** The time of its newest receipt. */
  readonly lastReceiptMs: number | undefined;
  /** What versions were captured after, of every receipt that bears that time. */
  readonly afterMs: number | undefined;
}

/** A history that has no commit yet. */
export function newLineage(number: number): LineageRow {
  return { number, files: 0, bytes: 0n, lastReceiptMs: undefined, afterMs: undefined };
}

export interface AgentRow {
  readonly agentId: AgentId;
  readonly lineageId: LineageId;
  readonly name: string;
  readonly state: AgentState;
  readonly expectedLeaf: number;
  readonly enrolledLeaf: number | undefined;
  readonly expectedAtMs: number;
  readonly enrolledAtMs: number | undefined;
  /** Revoked or replaced: when, why, by which leaf. */
  readonly endedAtMs: number | undefined;
  readonly endedLeaf: number | undefined;
  readonly endReason: string;
  readonly enrolment: Signed;
  readonly binding: Signed | undefined;
  /** The word that took a pending PC in, and the certificate of the operator whose word it is. */
  readonly approval: Signed | undefined;
  readonly operator: Signed | undefined;
}

/** The head of a line of commits. */
export interface ChainRow {
  readonly head: ChainPoint;
  readonly leafIndex: number;
  readonly receivedAtMs: number;
  readonly receipt: Signed;
}

/** Where an accepted commit is, and in which history it was entered. */
export interface LinkRow {
  readonly leafIndex: number;
  /** As its receipt has it, not corrected. */
  readonly receivedAtMs: number;
  readonly branchId: LineageId;
}

/** An accepted commit whose record cannot be read any more. */
export interface BrokenRow {
  readonly agentId: AgentId;
  readonly branchId: LineageId;
  readonly sequence: number;
  readonly hash: CommitHash;
  /** As its receipt has it, not corrected. */
  readonly receivedAtMs: number;
  /** Whether its versions are in the catalog: they are not where that was made without it. */
  readonly isEntered: boolean;
}

/** A moment outside of the log: by the collector's clock, and how many leaves there were. */
export interface NotedMoment {
  readonly timeMs: number;
  readonly leaves: number;
}

/** The newest accepted commit of one chain id, which an agent that announces the chain gets. */
export interface ChainHeadRow {
  readonly head: ChainPoint;
  /** Whose commit it is; all zero once the trunk has gone on elsewhere. */
  readonly branchId: LineageId;
}

/**
 * A history beside the trunk: held apart, decided to be a clone's for good, or merged into the
 * trunk.
 */
export interface BranchRow {
  readonly branchId: LineageId;
  readonly state: 'held' | 'clone' | 'restored';
  /** The commit that opened it. */
  readonly at: ChainPoint;
  readonly openedAtMs: number;
  readonly openedLeaf: number;
  readonly decidedAtMs: number | undefined;
  readonly decidedLeaf: number | undefined;
  /** A clone's own name. */
  readonly name: string;
  /** Of a clone: the leaf at which an operator said that it is known. */
  readonly acknowledgedLeaf: number | undefined;
}

/** Bytes are what agents claim, so they may come to anything; the rest counts what is stored. */
export interface Sums {
  readonly rawBytes: bigint;
  readonly uniqueBytes: bigint;
  readonly commits: number;
  readonly versions: number;
  readonly files: number;
  readonly liveBytes: bigint;
  /** Histories that were given a number. */
  readonly histories: number;
  /** Leaves of the log. */
  readonly leaves: number;
  readonly logEpoch: number;
  /** What the newest leaf's time counts as: later ones are not earlier. */
  readonly lastLeafMs: number;
}

export const neverSwept: SweepRow = {
  ...{ announced: 0, swept: 0, droppedVersions: 0, droppedBytes: 0n },
};

/** What the packs hold, each item once. */
export interface ItemSums {
  readonly storedBytes: bigint;
  readonly chunks: number;
  readonly pages: number;
  readonly slabs: number;
}

/** What of a pack is alive: items that lineages own and that are read there. */
export interface LivePack {
  readonly items: number;
  /** Of their records; their rows in the pack's index come on top. */
  readonly bytes: number;
}

export const noItems: ItemSums = { storedBytes: 0n, chunks: 0, pages: 0, slabs: 0 };

/**
 * The newest epoch of the sweep that a chain answered, in which epoch of the log, and whose commits
 * it bore then.
 */
export interface LearnedRow {
  readonly epoch: number;
  readonly logEpoch: number;
  readonly branchId: LineageId;
}

/** A commit that came back after a rollback without some of its versions. */
export interface LostRow {
  readonly sequence: number;
  readonly versions: number;
  readonly timeMs: number;
}

export const noSums: Sums = {
  rawBytes: 0n,
  uniqueBytes: 0n,
  commits: 0,
  versions: 0,
  files: 0,
  liveBytes: 0n,
  histories: 0,
  leaves: 0,
  logEpoch: 1,
  lastLeafMs: 0,
};
