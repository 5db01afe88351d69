import type { RetentionRule } from '@aliquot/proto';
import { countedInstants, plainAfter } from '../../collector/testing/retention/oracle.ts';
import {
  currentAt,
  placeOf,
  type RecordedSubject,
  type RecordedVersion,
  type YearsRecord,
} from './record.ts';

/*
 * What has to stay, by the sentences of docs/retention.md and from what the scenario has recorded
 * by itself. Nothing here is shared with what decides in the collector but the shape of a rule.
 */

export const DAY_MS = 86_400_000;

export interface BookPolicy {
  readonly setMs: number;
  readonly rules: readonly RetentionRule[];
}

/** A hold, as whoever set it means it. */
export interface BookHold {
  readonly name: string;
  /** Those of the PCs that it names; undefined: all. */
  readonly lineages: ReadonlySet<string> | undefined;
  /** Undefined: everything; else a folder, and all below it. */
  readonly folder: string | undefined;
  readonly classes: ReadonlySet<string> | undefined;
  readonly fromMs: number;
  readonly toMs: number;
}

/** What was decided until now. */
export interface Decided {
  readonly policies: readonly BookPolicy[];
  readonly holds: readonly BookHold[];
}

interface Keeper {
  readonly rules: readonly RetentionRule[];
  readonly instants: Map<RetentionRule, readonly number[]>;
}

/** The book as it reads at one time. */
export class Book {
  readonly nowMs: number;
  readonly #decided: Decided;
  /** The policy of seven days ago, and all since; undefined: none was set then. */
  readonly #keepers: readonly (Keeper | undefined)[];
  /** By subject, whether each version stays; for results only, which are asked again. */
  readonly #rows = new Map<RecordedSubject, readonly boolean[]>();
  readonly #rules = new Map<string, RetentionRule | undefined>();

  constructor(decided: Decided, nowMs: number) {
    this.nowMs = nowMs;
    this.#decided = decided;
    const { policies } = decided;
    const since = nowMs - 7 * DAY_MS;
    const then = policies.findLast(({ setMs }) => setMs <= since);
    this.#keepers = [then, ...policies.filter(({ setMs }) => setMs > since)].map(
      (policy) => policy && { rules: policy.rules, instants: new Map() },
    );
  }

  /** For each version of a subject whether it stays; of what was dropped nothing is said. */
  stays(record: YearsRecord, subject: RecordedSubject): readonly boolean[] {
    const known = this.#rows.get(subject);
    if (known !== undefined) return known;
    const { versions } = subject;
    const stays = versions.map(
      (one, at) =>
        one.isDropped || one.isUndone || this.#isHeld(subject, at) || this.#isLocked(one),
    );
    if (subject.isResult || versions.at(-1)?.kind !== 'gone') stays[versions.length - 1] = true;
    this.#byRules(versions, stays);
    this.#asMembers(record, subject, stays);
    this.#goneWithThem(versions, stays);
    if (subject.isResult) this.#rows.set(subject, stays);
    return stays;
  }

  /** Whether a lock or a hold covers a version: not even a purge takes it then. */
  isBound(subject: RecordedSubject, at: number): boolean {
    const one = subject.versions[at];
    return one !== undefined && (this.#isHeld(subject, at) || this.#isLocked(one));
  }

  #byRules(versions: readonly RecordedVersion[], stays: boolean[]): void {
    const newest = versions.length - 1;
    const isGone = versions[newest]?.kind === 'gone';
    const last = isGone ? newest - 1 : newest;
    for (const keeper of this.#keepers) {
      this.#within(keeper, versions, stays);
      this.#endings(keeper, versions, stays, { last, isGone });
      if (stays.includes(false)) this.#atInstants(keeper, versions, stays);
    }
  }

  /** Where no rule fits, or all is kept; what was replaced lately; the newest ones. */
  #within(
    keeper: Keeper | undefined,
    versions: readonly RecordedVersion[],
    stays: boolean[],
  ): void {
    let contents = 0;
    for (let at = versions.length - 1; at >= 0; at -= 1) {
      const one = versions[at];
      if (one === undefined) continue;
      const isContent = one.kind !== 'gone';
      if (isContent && !one.isDropped) contents += 1;
      if (stays[at] === true) continue;
      const rule = this.#ruleOf(keeper, one);
      if (rule === undefined || rule.keep === 'all') {
        stays[at] = true;
        continue;
      }
      if (!isContent) continue;
      const replaced = versions[at + 1];
      const until =
        replaced === undefined ? Infinity : plainAfter(replaced.receivedMs, rule.keep.within);
      stays[at] = this.nowMs < until || contents <= rule.keep.last;
    }
  }

  /** The last content of what is gone, and the newest whole one below what only grows. */
  #endings(
    keeper: Keeper | undefined,
    versions: readonly RecordedVersion[],
    stays: boolean[],
    { last, isGone }: { readonly last: number; readonly isGone: boolean },
  ): void {
    const lastOne = versions[last];
    if (lastOne === undefined || lastOne.kind === 'gone') return;
    const rule = this.#ruleOf(keeper, lastOne);
    const goneMs = versions[last + 1]?.receivedMs ?? 0;
    const ends =
      !isGone || rule === undefined || rule.keep === 'all' || rule.gone === 'forever'
        ? Infinity
        : plainAfter(goneMs, rule.gone);
    if (this.nowMs >= ends) return;
    stays[last] = true;
    let whole = last;
    while (versions[whole]?.kind === 'growing') whole -= 1;
    if (versions[whole]?.kind === 'whole') stays[whole] = true;
  }

  /** What was current at the end of each day, week, month and year that counts. */
  #atInstants(
    keeper: Keeper | undefined,
    versions: readonly RecordedVersion[],
    stays: boolean[],
  ): void {
    if (keeper === undefined) return;
    const rules = new Set(versions.map((one) => this.#ruleOf(keeper, one)));
    for (const rule of rules) {
      if (rule === undefined) continue;
      const instants = keeper.instants.get(rule) ?? countedInstants(rule, this.nowMs);
      keeper.instants.set(rule, instants);
      for (const ms of instants) {
        const at = currentAt(versions, ms);
        const one = versions[at];
        if (one !== undefined && one.kind !== 'gone' && this.#ruleOf(keeper, one) === rule)
          stays[at] = true;
      }
    }
  }

  /** A state of a folder result stays whole: its row keeps what stood before it. */
  #asMembers(record: YearsRecord, subject: RecordedSubject, stays: boolean[]): void {
    const result = record.resultOf(subject);
    if (result === undefined) return;
    const rows = this.stays(record, result);
    for (const [at, row] of result.versions.entries()) {
      if (rows[at] !== true || row.isDropped) continue;
      const named = subject.versions.findLastIndex((one) => placeOf(one) < placeOf(row));
      if (named >= 0 && subject.versions[named]?.kind !== 'gone') stays[named] = true;
    }
  }

  /** That a file is gone stays as long as anything of what was there before. */
  #goneWithThem(versions: readonly RecordedVersion[], stays: boolean[]): void {
    let any = false;
    for (const [at, one] of versions.entries()) {
      if (one.kind !== 'gone') {
        any ||= stays[at] === true && !one.isDropped;
        continue;
      }
      if (any) stays[at] = true;
      any = false;
    }
  }

  #isLocked({ receivedMs, pc, className }: RecordedVersion): boolean {
    const { policies } = this.#decided;
    const bound = policies.filter(({ setMs }, at) => {
      const binds = setMs + DAY_MS;
      return binds <= this.nowMs && binds <= (policies[at + 1]?.setMs ?? Infinity);
    });
    return bound.some(({ rules }, at) => {
      const lock = rules.find((rule) => fits(rule, pc, className))?.lock;
      const next = bound[at + 1];
      const reaches = next === undefined || receivedMs < next.setMs + 7 * DAY_MS;
      return lock !== undefined && reaches && this.nowMs < plainAfter(receivedMs, lock);
    });
  }

  #isHeld({ lineage, path, versions }: RecordedSubject, at: number): boolean {
    const one = versions[at];
    if (one === undefined) return false;
    const untilMs = versions[at + 1]?.timeMs ?? Infinity;
    return this.#decided.holds.some(
      ({ lineages, folder, classes, fromMs, toMs }) =>
        lineages?.has(lineage) !== false &&
        classes?.has(one.className) !== false &&
        (folder === undefined || path === folder || path.startsWith(`${folder}/`)) &&
        one.timeMs <= toMs &&
        untilMs > fromMs,
    );
  }

  /** The rule that decides; undefined: none fits, or there was no policy. */
  #ruleOf(
    keeper: Keeper | undefined,
    { pc, className }: RecordedVersion,
  ): RetentionRule | undefined {
    if (keeper === undefined) return undefined;
    const key = `${this.#keepers.indexOf(keeper)} ${pc} ${className}`;
    if (!this.#rules.has(key))
      this.#rules.set(
        key,
        keeper.rules.find((rule) => fits(rule, pc, className)),
      );
    return this.#rules.get(key);
  }
}

/** Patterns of these scenarios end with the only star, or have none. */
function fits({ match: { classes, agents } }: RetentionRule, pc: string, of: string): boolean {
  const isNamed = (pattern: string): boolean =>
    pattern.endsWith('*') ? pc.startsWith(pattern.slice(0, -1)) : pc === pattern;
  return classes?.includes(of) !== false && agents?.some(isNamed) !== false;
}
