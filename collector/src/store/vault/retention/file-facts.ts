import type { LineageId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  type FileHistoryFacts,
  type FileHold,
  type KeptFor,
  keptFor,
  type VersionFacts,
} from '../../../retention/kept.ts';
import { ResultRows } from '../../../retention/result-rows.ts';
import { type RuledBy, type Ruling, rulingFor, type SetPolicy } from '../../../retention/ruling.ts';
import type { VersionPlace } from '../../catalog/version-rows.ts';
import type { JudgedSubject, JudgedVersion, Subject, VersionMarks } from '../../vault-retention.ts';
import type { VaultCore } from '../core.ts';
import type { ClearNames } from './clear-rows.ts';
import type { ExpiredMarks } from './expired-marks.ts';
import { type DatedFacts, NONE } from './version-columns.ts';

/**
 * What holds say of something of which a version would go; they are asked about nothing else, for
 * it may mean to open a name.
 */
export type HoldsAsked = (
  subject: Subject,
  versions: readonly VersionPlace[],
) => Promise<readonly FileHold[]>;

/** What is asked of a history. */
export interface FactsAsked {
  readonly branchId: LineageId;
  /** The log's time. */
  readonly nowMs: number;
  /** Holds are asked where something goes before this. */
  readonly horizonMs: number;
  /** All that were set, the oldest first. */
  readonly policies: readonly SetPolicy[];
  readonly holds: HoldsAsked;
}

/** Two histories became one, by an operator's word: that replaced versions of both at that time. */
interface Merge {
  readonly place: number;
  readonly timeMs: number;
}

/** A version stands behind all of earlier leaves, and of lower slots of its own. */
export function placeOf({ leafIndex, slot }: VersionPlace): number {
  return leafIndex * SLOTS + slot;
}

const SLOTS = 65_536;
const NO_ID = new Uint8Array(16);
const nobody: RuledBy = { className: '', agent: '', lineageId: NO_ID, sourceId: NO_ID };

/** Makes of versions, as the catalog and their commits have them, what retention judges. */
export class SubjectJudge {
  readonly #asked: FactsAsked;
  readonly #names: ClearNames;
  readonly #marks: ExpiredMarks;
  readonly #isDecided: boolean;
  readonly #merge: Merge | undefined;
  readonly #rulings = new Map<number, Ruling>();
  /** By number of the result; undefined: its rows cannot all be told. */
  readonly #rows = new Map<number, ResultRows | undefined>();

  constructor(core: VaultCore, asked: FactsAsked, names: ClearNames, marks: ExpiredMarks) {
    this.#asked = asked;
    this.#names = names;
    this.#marks = marks;
    const { isDecided, merge } = standingOf(core, asked.branchId);
    this.#isDecided = isDecided;
    this.#merge = merge;
  }

  /**
   * Judges the versions of one subject, the oldest first. Results come before their members, which
   * stay with the rows that name them.
   */
  async judge(
    subject: Pick<Subject, 'id' | 'isResult'>,
    chain: readonly DatedFacts[],
  ): Promise<JudgedSubject> {
    const { branchId, nowMs, horizonMs, holds } = this.#asked;
    const { id, isResult } = subject;
    let ruledBy = NONE;
    const marks: VersionMarks[] = [];
    const versions: VersionFacts[] = [];
    for (const version of chain) {
      // What is gone by an operator's word is of no class of its own.
      if (version.ruledBy !== NONE) ruledBy = version.ruledBy;
      const mark = this.#marks.at(version);
      marks.push(mark);
      versions.push(this.#factsOf(version, this.#rulingOf(ruledBy, nowMs), mark.undoneBy));
    }
    let facts: FileHistoryFacts = { versions, holds: [], isDecided: this.#isDecided, isResult };
    let kept = keptFor(facts);
    if (kept.ends.some((end) => end <= horizonMs)) {
      const held = await holds({ branchId, id, isResult }, chain);
      if (held.length > 0) {
        facts = { versions, holds: held, isDecided: this.#isDecided, isResult };
        kept = keptFor(facts);
      }
    }
    if (isResult) this.#noteRows(id, versions, kept.ends);
    return { branchId, id, isResult, facts, versions: judgedOf(chain, marks, kept) };
  }

  /** The rows of a result cannot all be told: so its members stay. */
  loseRows(id: Uint8Array): void {
    this.#rows.set(this.#names.resultOf(id), undefined);
  }

  #noteRows(id: Uint8Array, versions: readonly VersionFacts[], ends: readonly number[]): void {
    const rows = versions.map(({ place }, at) => ({ place, untilMs: ends[at] ?? Infinity }));
    // Of histories that became one the rows stand in the order of time.
    rows.sort((a, b) => a.place - b.place);
    this.#rows.set(this.#names.resultOf(id), new ResultRows(rows));
  }

  #factsOf(version: DatedFacts, ruling: Ruling, undoneBy: number | undefined): VersionFacts {
    const { timeMs, receivedMs, untilMs, kind, result, replacedPlace } = version;
    const place = placeOf(version);
    let { replacedMs } = version;
    let namedUntil = replacedPlace;
    const merge = this.#merge;
    if (replacedPlace !== Infinity) {
      replacedMs = Math.max(replacedMs, receivedMs);
      // It was the newest of its own history until then.
      if (merge !== undefined && Math.max(place, replacedPlace) < merge.place) {
        replacedMs = Math.max(replacedMs, merge.timeMs);
        namedUntil = merge.place;
      }
    }
    // What is gone is no member: it stays with what was there before it.
    const resultUntilMs =
      kind === 'gone' ? undefined : this.#resultUntil(result, place, namedUntil);
    // One object and no other on the way there: there are millions.
    return {
      timeMs,
      receivedMs,
      place,
      untilMs,
      replacedMs,
      replacedPlace,
      kind,
      ruling,
      resultUntilMs,
      undoneBy,
    };
  }

  #resultUntil(result: number, place: number, namedUntil: number): number | undefined {
    if (result === NONE || !this.#rows.has(result)) return undefined;
    const rows = this.#rows.get(result);
    return rows === undefined ? Infinity : rows.untilFor(place, namedUntil);
  }

  #rulingOf(ruledBy: number, nowMs: number): Ruling {
    const known = this.#rulings.get(ruledBy);
    if (known !== undefined) return known;
    const by = this.#names.ruledBy(ruledBy) ?? nobody;
    const ruling = rulingFor(this.#asked.policies, by, nowMs);
    this.#rulings.set(ruledBy, ruling);
    return ruling;
  }
}

function judgedOf(
  chain: readonly DatedFacts[],
  marks: readonly VersionMarks[],
  { ends, reasons }: KeptFor,
): JudgedVersion[] {
  return chain.map(({ leafIndex, slot, size }, at): JudgedVersion => {
    const { expiredBy, undoneBy, isVoid } = marks[at] as VersionMarks;
    const [untilMs, reason] = [ends[at] as number, reasons[at]];
    return { leafIndex, slot, size, untilMs, reason, expiredBy, undoneBy, isVoid };
  });
}

/** How a history stands: what is held apart is undecided. */
function standingOf(
  { registry }: VaultCore,
  branchId: LineageId,
): { readonly isDecided: boolean; readonly merge: Merge | undefined } {
  let [isDecided, merge]: [boolean, Merge | undefined] = [true, undefined];
  for (const { agentId } of registry.rows()) {
    const lines = registry.lines(agentId);
    if (lines?.history(branchId)?.state === 'held') isDecided = false;
    if (lines === undefined || !equalBytes(lines.trunkId, branchId)) continue;
    for (const id of lines.branchIds()) {
      const { state, decidedLeaf = 0, decidedAtMs = 0 } = lines.history(id) ?? { state: undefined };
      if (state !== 'restored') continue;
      const place = placeOf({ leafIndex: decidedLeaf, slot: 0 });
      if (merge === undefined || merge.place < place) merge = { place, timeMs: decidedAtMs };
    }
  }
  return { isDecided, merge };
}
