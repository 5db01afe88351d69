import type { AgentId, ChainId, LineageId, StoredDropped } from '@aliquot/proto';
import type { FailedWork, OwnWork } from './catalog/failed-works.ts';
import type {
  CollectOptions,
  CollectStatus,
  CollectStep,
  RewriteOptions,
  RewriteReport,
  SweepOutcome,
  SweepRow,
  SweepWait,
  VaultSpace,
} from './vault-records.ts';

/* What collection may do to a vault, and ask of it: parts of `VaultStore`. */

/** What collection may do. */
export interface VaultSweep {
  /** The newest epoch of the sweep that a lineage was told; 0 before the first. */
  gcEpoch(lineageId: LineageId): number;

  /**
   * Announces a new epoch to the agents of a lineage, higher than every one before, and tells every
   * listener. Durable when it resolves.
   */
  announceGcEpoch(lineageId: LineageId, nowMs: number): Promise<number>;

  /** Calls back with each newly announced epoch of a lineage until the answer is called. */
  onGcEpoch(lineageId: LineageId, listener: (epoch: number) => void): () => void;

  /**
   * Notes that a chain has answered an epoch. Epochs above the announced one are ignored. The note
   * may be lost with an older copy of the folder, which only makes the sweep wait for the next
   * session of that agent.
   */
  gcLearned(agentId: AgentId, chainId: ChainId, epoch: number): void;

  /**
   * Who of a lineage still keeps what a sweep for `epoch` would take: nothing may be swept for it
   * before this is empty (I-C11).
   */
  sweepWaitsFor(lineageId: LineageId, epoch: number): SweepWait[];

  /**
   * Drops versions of one history that retention lets go, durably; how many it dropped. None is
   * that is the newest of its file, unless that is "gone" and nothing else is left of it.
   */
  drop(letGo: StoredDropped): Promise<number>;

  /** How far the collection of a lineage's set has come. */
  progress(lineageId: LineageId): SweepRow;

  /**
   * Collects: drops what retention lets go, asks agents, sweeps where all have answered, removes.
   * Tells what it does as it goes on; may be ended anywhere. Does nothing while it is paused. One
   * at a time.
   */
  collect(options: CollectOptions): AsyncGenerator<CollectStep, void, void>;

  status(): CollectStatus;

  /** Stops collection after its step at hand until it is resumed; kept over starts. */
  pause(isPaused: boolean): void;

  /**
   * Sweeps the set of a lineage for its newest epoch (I-C22), in steps beside uploads; durable when
   * it resolves. With `letGo`, versions by leaf, it only counts what would leave if all had
   * answered and those were dropped.
   */
  sweep(
    lineageId: LineageId,
    options?: {
      readonly letGo?: ReadonlyMap<number, Uint8Array> | undefined;
      readonly isStopped?: () => boolean;
    },
  ): Promise<SweepOutcome>;
}

/** What a collector does by itself, and how that went the last time. */
export interface VaultMaintenance {
  /** How it failed; undefined: it came to a good end, or was never tried. Kept over starts. */
  failed(work: OwnWork): FailedWork | undefined;

  /** Notes how it came to its end: without a failure, well. The note may be lost. */
  ended(work: OwnWork, failure: Omit<FailedWork, 'sinceMs'> | undefined): void;
}

/** The bytes of a vault, as collection sees them. */
export interface VaultData {
  /** How much of the packs is dead; cheap enough to ask often. */
  space(): Promise<VaultSpace>;

  /**
   * Removes what is dead: packs of which nothing lives first, then those of which enough is dead,
   * after what lives in them was copied into the newest. Beside uploads and reads. Nothing is
   * removed that anybody owns, by the catalog, by what was just sent, and by the history itself
   * (I-C24), or that does not prove elsewhere (I-C25). May end at any moment: the next call goes
   * on. Errors: `STORE_NO_SPACE`, `STORE_FAILED` (retryable): what is done stays done.
   */
  rewrite(options?: RewriteOptions): Promise<RewriteReport>;

  /**
   * Runs other work of collection that writes: where the disk is full, once more with the reserve.
   * Agents' items and commits are refused (`STORE_NO_SPACE`) until it is taken again, at the end of
   * `rewrite`, or by the first of them that comes when there is room.
   */
  withRoom<T>(work: () => Promise<T>): Promise<T>;
}
