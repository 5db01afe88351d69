import type { CommitHash, FileId, LineageId, ResultId } from '@aliquot/proto';
import type { Brake } from '../retention/brakes.ts';
import type { FileHistoryFacts, KeepReason } from '../retention/kept.ts';
import type { SetPolicy } from '../retention/ruling.ts';
import type { DroppedNote } from './catalog/dropped-note.ts';
import type { RunRow } from './catalog/retention-runs.ts';
import type { VersionPlace } from './catalog/version-rows.ts';

/*
 * Runs of retention, as the rest of the collector asks for them: what is kept, what goes, what was
 * decided of that.
 */

/** What retention does to one vault. */
export interface VaultRetention {
  /** Every run that expired something or waited, the oldest first. */
  runs(): readonly RunRow[];

  /**
   * Expires what nothing keeps any more, durably when it resolves, or notes that it waits for a
   * person. A large run is done in parts: again, until it says that nothing is to go. Throws
   * `STORE_RETENTION_HELD`.
   */
  run(nowMs: number): Promise<RetentionOutcome>;

  /** What would be, and nothing is changed. */
  simulate(asked: SimulationAsked): Promise<RetentionFigures>;

  /** Every version of a file or a result, with why it stays. Undefined: there is none. */
  explain(subject: Subject, nowMs: number): Promise<JudgedSubject | UnreadSubject | undefined>;

  /**
   * What was dropped of a file or a result, the oldest first. Catalogs that were made again know
   * nothing of versions whose commits could not be read then.
   */
  dropped(subject: Subject): Promise<readonly DroppedVersion[]>;

  /**
   * By which runs the versions of one lineage were dropped whose commits' hashes begin so; of one
   * slot, or of all.
   */
  droppedById(
    lineageId: LineageId,
    id: { readonly digits: string; readonly slot: number | undefined },
  ): Promise<readonly DroppedPlace[]>;
}

/** A version that was dropped, and the run that had expired it. */
export interface DroppedPlace extends VersionPlace {
  readonly run: number;
  /** The leaf of its approval, where it was purged; then no run has expired it. */
  readonly purge: number | undefined;
  /** The hash of its commit; undefined: an operator's word that its file was gone. */
  readonly commit: CommitHash | undefined;
}

/** The same with what is remembered of it. */
export interface DroppedVersion extends DroppedPlace, DroppedNote {}

/** What a simulation is of. */
export interface SimulationAsked {
  /** The time at which a run would be. */
  readonly nowMs: number;
  /** Until when it is told what goes besides. */
  readonly horizonMs: number;
  /** Instead of those that were set; the oldest first. */
  readonly policies?: readonly SetPolicy[] | undefined;
  /** Only versions of the PC of this name are told; brakes are of all. */
  readonly agent?: string | undefined;
}

/** What came of a run. */
export interface RetentionOutcome {
  /** `nothing`: nothing was to go, and nothing is noted in the log. */
  readonly type: 'nothing' | 'expired' | 'waits';
  readonly run: RunRow | undefined;
  /** Whether more is to go than one run expires. */
  readonly isMore: boolean;
  readonly figures: RetentionFigures;
}

/** So many versions, and their bytes as PCs claim them: what goes frees that much at most. */
export interface VersionAmount {
  readonly versions: number;
  readonly bytes: bigint;
}

/** What all of a vault comes to at a time. */
export interface RetentionFigures {
  readonly nowMs: number;
  /** What would expire at once. */
  readonly going: VersionAmount;
  /** What would besides, until the end of what was asked for. */
  readonly soon: VersionAmount;
  /** What runs have expired already, and is still there. */
  readonly expired: VersionAmount;
  /** What stays, by the reason that ends last. */
  readonly kept: readonly (VersionAmount & { readonly reason: KeepReason })[];
  /** Files and results that cannot all be read, and stay. */
  readonly unread: number;
  /** Which brakes would hold a run now. */
  readonly brakes: readonly Brake[];
  /** Which would, if all that goes by the end of what was asked for went at once. */
  readonly brakesSoon: readonly Brake[];
}

/** A file of a history, or a folder result of it. */
export interface Subject {
  readonly branchId: LineageId;
  readonly isResult: boolean;
  readonly id: FileId | ResultId;
}

/** Something that stays whole, because not all of its versions can be read. */
export interface UnreadSubject extends Subject {
  readonly facts: undefined;
}

/** What bears on whether versions stay, and until when they do. */
export interface JudgedSubject extends Subject {
  readonly facts: FileHistoryFacts;
  /** Beside `facts.versions`. */
  readonly versions: readonly JudgedVersion[];
}

export interface JudgedVersion extends VersionPlace, VersionMarks {
  /** Of its content, as its PC says. */
  readonly size: number;
  /** Until when it stays, and what keeps it that long (`keptFor`). */
  readonly untilMs: number;
  readonly reason: KeepReason | undefined;
}

/** What runs have said of a version. */
export interface VersionMarks {
  /** The run that expired it; undefined: none, or that was undone. */
  readonly expiredBy: number | undefined;
  /** A run that expired it and was undone, as long as that keeps it. */
  readonly undoneBy: number | undefined;
  /** A run had expired it, which rules or holds of later have made void: it expires anew. */
  readonly isVoid: boolean;
}
