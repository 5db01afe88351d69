import { ID_BYTES, rowKind, SUMMARY_MARK_BYTES, type VersionBlock } from '@aliquot/proto';
import { lastSlots, markName } from '@aliquot/shared/commit/last-slots';
import { MarkTable } from '@aliquot/shared/commit/mark-table';
import type { CommitRows } from '@aliquot/shared/commit/rows';
import { type MarkWords, markOf } from '@aliquot/shared/commit/summary';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import type { LogTimes } from '@aliquot/shared/log/log-times';
import { unverified } from '../evidence.ts';
import type { VerifiedRecord } from '../verified.ts';
import { leftOut } from './left-out.ts';
import type { ProvedCommit } from './lineage-proof.ts';

const NO_MARKS: Uint8Array = new Uint8Array(0);

/** A file or result that an answer lacks, and the newest commit about it. */
export interface Missing extends MarkWords {
  readonly commit: ProvedCommit;
  /** The collector says that retention has dropped it. */
  readonly isDropped: boolean;
}

/** What an answer is checked for. */
export interface StateQuestion {
  /** Undefined: now. */
  readonly atMs: number | undefined;
  /** Results by their newest rows, or files, folders and links. */
  readonly results: boolean;
}

/**
 * Holds an answer "what was there at that time" against the commits of a history: of each file that
 * is not gone the newest version must be in it, and no older one. Where histories were joined, the
 * newest of each of their lines counts, and which of those is newer is the collector's word. Of the
 * commit in each line that came first after the time, and of others that bear the same time, rows
 * may be older than it: what they say is not asked for, and what was dropped of them may have been
 * the state of that time.
 */
export class StateCheck {
  readonly #commits = new Map<string, number>();
  readonly #all: readonly ProvedCommit[];
  readonly #size: number;
  readonly #results: boolean;
  /** By the numbers of the lines. */
  readonly #tables = new Map<number, MarkTable>();
  readonly #after = new MarkTable();
  /** What was dropped of rows of those. */
  readonly #droppedAfter = new MarkTable();
  /** Commits that came after the time. */
  readonly #later: ProvedCommit[] = [];
  readonly #afterCommits = new Set<number>();
  /** The last of those that cannot be read: what came before may not be the newest. */
  readonly #lastDamaged: number;

  /** @param size Of the log that the commits are proved against: what comes later is newer. */
  constructor(
    commits: readonly ProvedCommit[],
    size: number,
    times: LogTimes,
    { atMs, results }: StateQuestion,
  ) {
    this.#all = commits;
    this.#size = size;
    this.#results = results;
    this.#lastDamaged = commits.findLastIndex(({ isDamaged }) => isDamaged === true);
    const passed = new Map<number, number>();
    for (const [at, commit] of commits.entries()) {
      const { hash, line, leafIndex, receivedAtMs, summary, lost, dropped } = commit;
      const receiptMs = times.of(leafIndex, receivedAtMs);
      this.#commits.set(mapKey(hash), at);
      if (atMs === undefined || receiptMs <= atMs) {
        const table = this.#tables.get(line) ?? new MarkTable();
        this.#tables.set(line, table);
        table.enter(summary, at, lost, dropped);
        continue;
      }
      this.#later.push(commit);
      if ((passed.get(line) ?? receiptMs) === receiptMs) {
        passed.set(line, receiptMs);
        this.#afterCommits.add(at);
        this.#after.enter(summary, at, lost);
        this.#droppedAfter.enter(dropped, at, NO_MARKS);
      }
    }
  }

  /** Takes in a record of the answer. @throws CommandError for a version that is not the newest. */
  saw({ commit: { hash, header, rows }, live, leafIndex }: VerifiedRecord): void {
    const at = this.#commits.get(mapKey(hash));
    if (at === undefined && leafIndex < this.#size)
      throw unverified(
        `the collector shows commit ${header.sequence} in a history that it does not belong to`,
      );
    const commit = at === undefined ? undefined : this.#all[at];
    const last = commit === undefined ? undefined : lastRows(rows, commit);
    for (const slot of live) {
      const place = rows.placeOf(slot);
      const block = place === undefined ? undefined : rows.blocks[place.index]?.rows;
      if (place === undefined || block === undefined) continue;
      const mark = rowMark(block, place.place);
      if (commit === undefined || at === undefined || this.#afterCommits.has(at)) {
        this.#showEverywhere(mark);
        continue;
      }
      const table = this.#tables.get(commit.line);
      const known = table?.placeOf(mark) ?? -1;
      const isNewest =
        table !== undefined &&
        known !== -1 &&
        table.commitAt(known) === at &&
        !table.isGoneAt(known) &&
        (last === undefined || last.get(markName(mark)) === slot);
      if (!isNewest) throw this.#older(commit, known === -1 ? undefined : table?.commitAt(known));
      table.show(known);
    }
  }

  /** Takes in what was dropped of the same commits meanwhile. */
  learnDropped(commits: readonly ProvedCommit[]): void {
    for (const { hash, line, dropped } of commits) {
      const at = this.#commits.get(mapKey(hash));
      if (at === undefined) continue;
      this.#tables.get(line)?.drop(dropped, at);
      if (this.#afterCommits.has(at)) this.#droppedAfter.enter(dropped, at, NO_MARKS);
    }
  }

  /**
   * What the answer lacks, when all of it was taken in, and of how many files and results it was
   * dropped. Nothing is dropped that is the newest: what says so of that keeps it back.
   */
  finish(): { readonly missing: readonly Missing[]; readonly dropped: number } {
    const missing: Missing[] = [];
    const dropped: Missing[] = [];
    for (const [line, table] of this.#tables) {
      for (const place of table.places()) {
        const mark = table.markAt(place);
        if (isResultMark(mark) !== this.#results) continue;
        if (table.isGoneAt(place) || table.isShownAt(place)) continue;
        if (table.commitAt(place) < this.#lastDamaged) continue;
        const commit = this.#all[table.commitAt(place)];
        if (commit === undefined || this.#isElsewhere(line, mark)) continue;
        const isDropped = table.isDroppedAt(place) || this.#droppedAfter.placeOf(mark) !== -1;
        (isDropped ? dropped : missing).push({ ...mark, commit, isDropped });
      }
    }
    if (dropped.length === 0) return { missing, dropped: 0 };
    const later = new MarkTable();
    for (const { summary, leafIndex, lost } of this.#later) later.enter(summary, leafIndex, lost);
    const newest = dropped.filter((mark) => later.placeOf(mark) === -1);
    return { missing: [...missing, ...newest], dropped: dropped.length - newest.length };
  }

  /** Whether the newest commit about a file says that it is gone. */
  isGone(mark: MarkWords): boolean {
    return [...this.#tables.values()].some((table) => {
      const place = table.placeOf(mark);
      return place !== -1 && table.isGoneAt(place);
    });
  }

  /** Shown, or gone, in another line, or gone in the commit that came first after the time. */
  #isElsewhere(line: number, mark: MarkWords): boolean {
    const later = this.#after.placeOf(mark);
    if (later !== -1 && this.#after.isGoneAt(later)) return true;
    for (const [other, table] of this.#tables) {
      const place = other === line ? -1 : table.placeOf(mark);
      if (place !== -1 && (table.isShownAt(place) || table.isGoneAt(place))) return true;
    }
    return false;
  }

  #showEverywhere(mark: MarkWords): void {
    for (const table of this.#tables.values()) {
      const place = table.placeOf(mark);
      if (place !== -1) table.show(place);
    }
  }

  #older({ agent, sequence }: ProvedCommit, newest: number | undefined): Error {
    const newer = newest === undefined ? undefined : this.#all[newest];
    if (newer === undefined || newer.sequence === sequence)
      return leftOut(`what commit ${sequence} of agent ${agent} says last of one of its files`);
    return leftOut(
      `the version in commit ${newer.sequence} of agent ${newer.agent} of a file, and shows the one in commit ${sequence} as its newest`,
    );
  }
}

/** What a row is about. */
export function rowMark(block: VersionBlock, place: number): MarkWords {
  return markOf(block.ids, ID_BYTES * place, rowKind(block, place) === 'result');
}

export function isResultMark({ low }: MarkWords): boolean {
  return (low & 2) !== 0;
}

/** The last slot of each file and result, where a commit has several of one; else undefined. */
export function lastRows(
  rows: CommitRows,
  { summary }: ProvedCommit,
): ReadonlyMap<string, number> | undefined {
  if (summary.length === SUMMARY_MARK_BYTES * rows.count) return undefined;
  return lastSlots(rows);
}
