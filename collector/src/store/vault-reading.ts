import type { ChunkId, FileId, LineageId, ResultId, StateRecord } from '@aliquot/proto';
import type {
  BrokenCommit,
  ItemRun,
  LostCommit,
  OnLost,
  ProvedEvent,
  ReadItem,
} from './vault-records.ts';

/**
 * Reading back what is held. A commit whose record has rotted is told to `onLost`, and everything
 * else follows; `STORE_DAMAGED` where nobody listens.
 */
export interface VaultReading {
  /** Those of `ids` that are held and sound, in pack order; the others follow by id only. */
  readItems(ids: readonly ChunkId[]): AsyncIterable<ReadItem>;

  /**
   * The same in the order of `ids`, many at a time as they lie in the packs, and not proved: for
   * callers that pass them on to somebody who opens them.
   */
  readRuns(ids: readonly ChunkId[]): AsyncIterable<ItemRun>;

  /**
   * The lineage's files as they were at `atMs` (undefined: now): for each file the newest version
   * not later than that, unless it is "gone". Grouped by commit, oldest commit first; memory stays
   * bounded for `undefined`, 24 bytes a file else.
   */
  state(branchId: LineageId, atMs: number | undefined, onLost?: OnLost): AsyncIterable<StateRecord>;

  /**
   * The same of the files that `beside` has no version of: what a branch held apart inherits from
   * the trunk.
   */
  stateWithout(
    branchId: LineageId,
    beside: LineageId,
    atMs: number | undefined,
    onLost?: OnLost,
  ): AsyncIterable<StateRecord>;

  /** Every version of one file, "gone" included, oldest first. */
  versions(branchId: LineageId, fileId: FileId, onLost?: OnLost): AsyncIterable<StateRecord>;

  /** The results of a history as they stood at `atMs` (undefined: now), grouped by commit. */
  results(
    branchId: LineageId,
    atMs: number | undefined,
    onLost?: OnLost,
  ): AsyncIterable<StateRecord>;

  /** Every version of one result, oldest first. */
  resultVersions(
    branchId: LineageId,
    resultId: ResultId,
    onLost?: OnLost,
  ): AsyncIterable<StateRecord>;

  /** Commits that were found to be damaged, whoever found it. */
  lostCommits(): LostCommit[];

  /**
   * Every version of every file of a history, "gone" included, grouped by commit, newest commit
   * first. 24 bytes a version.
   */
  everyVersion(branchId: LineageId, onLost?: OnLost): AsyncIterable<StateRecord>;

  /**
   * Every commit of a lineage, on whichever branch, between two sizes of the log, without its rows:
   * encoded `HistoryCommit`, in the order of the leaves.
   */
  commits(
    lineageId: LineageId,
    from: number,
    size: number,
  ): AsyncIterable<Uint8Array | BrokenCommit>;

  /** The events up to a size of the log by which files of a history are gone now. */
  goneEvents(branchId: LineageId, size: number): Promise<ProvedEvent[]>;
}
