import { SUMMARY_MARK_BYTES } from '@aliquot/proto';
import { markName } from '@aliquot/shared/commit/last-slots';
import { MarkTable } from '@aliquot/shared/commit/mark-table';
import type { MarkWords } from '@aliquot/shared/commit/summary';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { unverified } from '../evidence.ts';
import type { VerifiedRecord } from '../verified.ts';
import { leftOut } from './left-out.ts';
import type { ProvedCommit } from './lineage-proof.ts';
import { isResultMark, lastRows, type Missing, rowMark } from './state-check.ts';

/** Stands for a line of what came after the head. */
const NEWER = -1;

/** In which order an answer has its commits. */
export type CommitOrder = 'oldest first' | 'newest first';

interface VersionsAsked {
  /** Of the file or result; undefined: every file. */
  readonly mark: MarkWords | undefined;
  readonly order: CommitOrder;
}

/**
 * Holds an answer "every version", of one file or result or of all files, against the commits of a
 * history: each commit that is about it must come once and in its place, with each of its rows and
 * no others, for the last version of an answer counts as the newest. Where histories were joined,
 * each of their lines has its own order, and how they are mixed is the collector's word.
 */
export class VersionsCheck {
  readonly #commits = new Map<string, ProvedCommit>();
  readonly #wanted = new Map<string, ProvedCommit>();
  readonly #size: number;
  readonly #sign: number;
  /** The leaf that came last of each line; of what is newer than the head under `NEWER`. */
  readonly #lastLeaf = new Map<number, number>();
  readonly #mark: MarkWords | undefined;
  /** Rows that the answer lacks of commits that it shows, by the commit. */
  readonly #short = new Map<string, MarkWords[]>();
  /** By the commit: of which files the answer lacks the last row in it, by their marks' names. */
  readonly #lastLacks = new Map<string, ReadonlySet<string>>();
  /** What was shown of commits that came after the head, by its mark's name. */
  readonly #newer = new Set<string>();
  /** The first commit that is of another history. */
  #foreign: number | undefined;

  /** @param size Of the log that the commits are proved against: what comes later is newer. */
  constructor(commits: readonly ProvedCommit[], size: number, { mark, order }: VersionsAsked) {
    this.#size = size;
    this.#mark = mark;
    this.#sign = order === 'oldest first' ? 1 : -1;
    for (const commit of commits) {
      const key = mapKey(commit.hash);
      this.#commits.set(key, commit);
      if (isAbout(commit, mark)) this.#wanted.set(key, commit);
    }
  }

  #isMeant({ high, low }: MarkWords): boolean {
    const asked = this.#mark;
    if (asked === undefined) return !isResultMark({ high, low });
    return high === asked.high && low === asked.low;
  }

  /** Takes in a record of the answer. @throws CommandError for what it keeps back or misplaces. */
  saw({ commit: { hash, header, rows }, live, leafIndex }: VerifiedRecord): void {
    const key = mapKey(hash);
    const { sequence } = header;
    const commit = this.#commits.get(key);
    if (commit === undefined && leafIndex < this.#size) this.#foreign ??= sequence;
    this.#requireOrder(commit?.line ?? NEWER, commit?.leafIndex ?? leafIndex, sequence);
    const isWanted = this.#wanted.delete(key);
    const named = new Set(live);
    rows.each((block, place, slot) => {
      const isNamed = named.delete(slot);
      const mark = rowMark(block, place);
      const isMeant = this.#isMeant(mark);
      if (isNamed && commit === undefined) this.#newer.add(markName(mark));
      if (isNamed && !isMeant)
        throw unverified(
          `the collector passes something else in commit ${sequence} off as what was asked for`,
        );
      if (isWanted && isMeant && !isNamed) this.#lacks(key, mark);
    });
    // Nor may rows lack in the commit itself but those that were dropped.
    if (isWanted)
      rows.eachMissing((mark) => {
        if (this.#isMeant(mark)) this.#lacks(key, mark);
      });
    const last = isWanted && commit !== undefined ? lastRows(rows, commit) : undefined;
    if (last === undefined) return;
    const shown = new Set(live);
    const lacks = [...last].filter(([, slot]) => !shown.has(slot)).map(([name]) => name);
    this.#lastLacks.set(key, new Set(lacks));
  }

  #lacks(key: string, mark: MarkWords): void {
    if (has(this.#commits.get(key)?.dropped ?? NO_MARKS, mark)) return;
    const short = this.#short.get(key) ?? [];
    this.#short.set(key, short);
    short.push(mark);
  }

  /** Whether the answer lacks something that was not dropped as far as it is known here. */
  get isShort(): boolean {
    return this.#wanted.size > 0 || this.#short.size > 0;
  }

  /** Takes in what was dropped of the same commits meanwhile. */
  learnDropped(commits: readonly ProvedCommit[]): void {
    for (const commit of commits) {
      const key = mapKey(commit.hash);
      if (!this.#commits.has(key)) continue;
      this.#commits.set(key, commit);
      if (!isAbout(commit, this.#mark)) this.#wanted.delete(key);
      const short = this.#short.get(key)?.filter((mark) => !has(commit.dropped, mark)) ?? [];
      if (short.length > 0) this.#short.set(key, short);
      else this.#short.delete(key);
    }
  }

  /**
   * Of what the newest version is said to be dropped: nothing is dropped that is the newest. Where
   * histories were joined, one of their lines having it is enough.
   */
  newestDropped(): readonly Missing[] {
    const commits = [...this.#commits.values()];
    if (!commits.some((one) => hasDropped(one, this.#mark))) return [];
    const lastDamaged = commits.findLastIndex(({ isDamaged }) => isDamaged === true);
    const tables = new Map<number, MarkTable>();
    for (const [at, { line, summary, lost, dropped }] of commits.entries()) {
      if (this.#mark !== undefined && !has(summary, this.#mark)) continue;
      const table = tables.get(line) ?? new MarkTable();
      tables.set(line, table);
      table.enter(summary, at, lost, dropped);
    }
    const isDropped = (table: MarkTable, place: number): boolean => {
      const commit = commits[table.commitAt(place)];
      if (commit === undefined || table.isGoneAt(place) || !table.isDroppedAt(place)) return false;
      const mark = table.markAt(place);
      if (has(commit.dropped, mark, WHOLLY)) return true;
      return this.#lastLacks.get(mapKey(commit.hash))?.has(markName(mark)) === true;
    };
    const found: Missing[] = [];
    for (const [line, table] of tables)
      for (const place of table.places()) {
        const mark = table.markAt(place);
        const commit = commits[table.commitAt(place)];
        if (commit === undefined || !this.#isMeant(mark) || !isDropped(table, place)) continue;
        const isElsewhere = [...tables].some(([of, other]) => {
          const there = of === line ? -1 : other.placeOf(mark);
          return there !== -1 && !isDropped(other, there);
        });
        if (isElsewhere || this.#newer.has(markName(mark))) continue;
        if (table.commitAt(place) > lastDamaged) found.push({ ...mark, commit, isDropped: true });
      }
    return found;
  }

  #requireOwn(): void {
    if (this.#foreign !== undefined)
      throw unverified(
        `the collector shows commit ${this.#foreign} in a history that it does not belong to`,
      );
  }

  #requireOrder(line: number, leafIndex: number, sequence: number): void {
    const last = this.#lastLeaf.get(line);
    if (last !== undefined && this.#sign * (leafIndex - last) <= 0)
      throw unverified(`the collector shows commit ${sequence} twice, or out of its order`);
    this.#lastLeaf.set(line, leafIndex);
  }

  /**
   * When all of the answer was taken in: of how many commits versions were dropped. @throws
   * CommandError for what it lacks or adds.
   */
  finish(): number {
    for (const key of this.#short.keys()) {
      const { sequence, agent } = this.#commits.get(key) ?? { sequence: 0, agent: '' };
      throw leftOut(`a version in commit ${sequence} of agent ${agent}`);
    }
    const missing = [...this.#wanted.values()];
    const newest = missing.at(-1);
    if (newest === undefined) {
      this.#requireOwn();
      return [...this.#commits.values()].filter((one) => hasDropped(one, this.#mark)).length;
    }
    const more = missing.length - 1;
    const others =
      more === 0 ? '' : `, and those in ${more} earlier ${more === 1 ? 'one' : 'ones'}`;
    throw leftOut(`the versions in commit ${newest.sequence} of agent ${newest.agent}${others}`);
  }
}

const NO_MARKS = new Uint8Array(0);

/** Whether rows are left in a commit about that. */
function isAbout(commit: ProvedCommit, mark: MarkWords | undefined): boolean {
  const { summary, lost, dropped } = commit;
  if (mark !== undefined)
    return has(summary, mark) && !has(lost, mark) && !has(dropped, mark, WHOLLY);
  let files = 0;
  for (const low of lows(summary)) files += isResultMark({ high: 0, low }) ? 0 : 1;
  for (const low of lows(lost)) files -= isResultMark({ high: 0, low }) ? 0 : 1;
  for (const low of lows(dropped))
    files -= isResultMark({ high: 0, low }) || (low & PARTLY) !== 0 ? 0 : 1;
  return files > 0;
}

function hasDropped({ dropped }: ProvedCommit, mark: MarkWords | undefined): boolean {
  if (mark !== undefined) return has(dropped, mark);
  for (const low of lows(dropped)) if (!isResultMark({ high: 0, low })) return true;
  return false;
}

/** In a mark of what was dropped: whether other rows of it are left. */
const PARTLY = 1;
const WHOLLY = 0;

function* lows(marks: Uint8Array): Generator<number, void, void> {
  for (let at = SUMMARY_MARK_BYTES - 1; at < marks.length; at += SUMMARY_MARK_BYTES)
    yield marks[at] ?? 0;
}

/** Looks for a mark among some that rise; with this lowest bit, or any. */
function has(marks: Uint8Array, { high, low }: MarkWords, bit?: number): boolean {
  const view = new DataView(marks.buffer, marks.byteOffset, marks.length);
  let [least, most] = [0, marks.length / SUMMARY_MARK_BYTES];
  while (least < most) {
    const middle = (least + most) >>> 1;
    const at = middle * SUMMARY_MARK_BYTES;
    const [midHigh, word] = [view.getUint32(at), view.getUint32(at + 4)];
    const midLow = (word & ~1) >>> 0;
    if (midHigh === high && midLow === low) return bit === undefined || (word & 1) === bit;
    if (midHigh < high || (midHigh === high && midLow < low)) least = middle + 1;
    else most = middle;
  }
  return false;
}
