import type { RetentionRule } from '@aliquot/proto';
import { after, periodAt, periodStart } from './calendar.ts';
import type { RuledKeep, Ruling } from './ruling.ts';

/*
 * What is kept, and why: the one place that decides it. Times are milliseconds since 1970; Infinity
 * is an end that time alone does not bring.
 */

/**
 * A version of one file of one history, as it bears on whether it stays. A row of a folder result
 * is one too: closed it is whole, open it is growing, closed without members it is gone.
 */
export interface VersionFacts {
  /** From when it is current: never before the version before it. */
  readonly timeMs: number;
  readonly receivedMs: number;
  /** Where it stands in the order of acceptance (`RowEnd`). */
  readonly place: number;
  /**
   * Time, receipt and place of what replaced it, whether that is still there or went; Infinity:
   * nothing did. So what went does not lengthen the time for which others were current.
   */
  readonly untilMs: number;
  readonly replacedMs: number;
  readonly replacedPlace: number;
  readonly kind: 'whole' | 'growing' | 'gone';
  readonly ruling: Ruling;
  /** When the last row that names it as a member goes (`ResultRows`); undefined: none does. */
  readonly resultUntilMs: number | undefined;
  /** A run that had expired it and was undone; undefined: none. */
  readonly undoneBy?: number | undefined;
}

/** A hold whose agents and paths cover the file. */
export interface FileHold {
  readonly name: string;
  /** Undefined: all. */
  readonly classes: ReadonlySet<string> | undefined;
  /**
   * What was current at some time from `fromMs` to `toMs`, both included; -Infinity, Infinity: any.
   */
  readonly fromMs: number;
  readonly toMs: number;
}

/** The versions of one file of one history that are there. */
export interface FileHistoryFacts {
  /** The oldest first. */
  readonly versions: readonly VersionFacts[];
  readonly holds: readonly FileHold[];
  /** False: a branch of which nobody has said whose it is. */
  readonly isDecided: boolean;
  /**
   * Of a folder result the newest row stays, also the one by which it was deleted: without a key
   * nothing says that there was none behind it, so to drop it would look as if it was kept back.
   */
  readonly isResult?: boolean;
}

/**
 * Why a version stays. `newest`: it is. `gone`: the last content of a file that is gone. `whole`:
 * newer ones are only growing. `before`: a "gone", as long as what is before it. `result`: a row of
 * a folder result names it. `undone`: a run that let it go was. `no-rule`: none fits, or none was
 * set. `unknown`: a rule names root folders, and the policy was set before the PC was there.
 * `undecided`: its history is. The others are words of a rule, or of a hold.
 */
export type KeepReason =
  | 'newest'
  | 'gone'
  | 'whole'
  | 'before'
  | 'result'
  | 'undone'
  | 'no-rule'
  | 'unknown'
  | 'undecided'
  | 'hold'
  | 'lock'
  | 'all'
  | 'within'
  | 'daily'
  | 'weekly'
  | 'monthly'
  | 'yearly'
  | 'last';

/**
 * Hears a reason. The version at place `at` stays for it while the time is before `untilMs`. `by`
 * is the revision of the policy, the number of the run, or the name of the hold.
 */
export type ReasonListener = (
  at: number,
  reason: KeepReason,
  untilMs: number,
  by: number | string | undefined,
) => void;

/**
 * Tells every reason for which each version of a file stays, and until when; those that have ended
 * too. A version stays until the last of its ends, and nothing else keeps it, or removes it.
 *
 * What a version owes to another is read off the list, and stays true of what is left after some
 * went: a version is told by what replaced it, not by what stands behind it now. Only `last` may
 * say more of what is left, where versions are of several classes.
 *
 * `aliquot explain` shows them.
 */
export function tellReasons(file: FileHistoryFacts, listener: ReasonListener): void {
  const judge = new Judge(file, listener);
  for (let at = 0; at < file.versions.length; at += 1) judge.tell(at);
}

/** Until when versions stay, in the order of the list, and for which reason that long. */
export interface KeptFor {
  readonly ends: readonly number[];
  /** The first of those that end last. */
  readonly reasons: readonly (KeepReason | undefined)[];
}

/** What `tellReasons` comes to. A version goes when its end has come. */
export function keptFor(file: FileHistoryFacts): KeptFor {
  const ends = new Array<number>(file.versions.length).fill(-Infinity);
  const reasons = new Array<KeepReason | undefined>(file.versions.length).fill(undefined);
  tellReasons(file, (at, reason, untilMs) => {
    if (untilMs <= (ends[at] ?? Infinity)) return;
    ends[at] = untilMs;
    reasons[at] = reason;
  });
  return { ends, reasons };
}

const countedPeriods = [
  { period: 'day', word: 'daily' },
  { period: 'week', word: 'weekly' },
  { period: 'month', word: 'monthly' },
  { period: 'year', word: 'yearly' },
] as const;

const NOWHERE = -1;

class Judge {
  readonly #file: FileHistoryFacts;
  readonly #listener: ReasonListener;
  /** Places in the list, or `NOWHERE`. */
  #newest = NOWHERE;
  #lastContent = NOWHERE;
  #lastWhole = NOWHERE;
  /** The receipt of the "gone" that ends the file; undefined: it is there. */
  #goneMs: number | undefined;
  /** How many contents there are from here on. */
  #contents = 0;
  /** The latest end of the version at hand, and of those since the last "gone" before it. */
  #end = -Infinity;
  #stretchEnd = -Infinity;

  constructor(file: FileHistoryFacts, listener: ReasonListener) {
    this.#file = file;
    this.#listener = listener;
    const { versions } = file;
    for (const { kind } of versions) if (kind !== 'gone') this.#contents += 1;
    this.#findNewest();
  }

  #findNewest(): void {
    const { versions } = this.#file;
    const at = versions.length - 1;
    const newest = versions[at];
    if (newest?.replacedPlace !== Infinity) return;
    if (newest.kind !== 'gone') {
      this.#newest = at;
      this.#lastContent = at;
    } else {
      const before = versions[at - 1];
      // Another one may have been the last, and have gone since.
      if (before?.replacedPlace !== newest.place || before.kind === 'gone') return;
      this.#lastContent = at - 1;
      this.#goneMs = newest.receivedMs;
    }
    let whole = this.#lastContent;
    while (versions[whole]?.kind === 'growing') whole -= 1;
    if (versions[whole]?.kind === 'whole' && whole !== this.#lastContent) this.#lastWhole = whole;
  }

  tell(at: number): void {
    const version = this.#file.versions[at];
    if (version === undefined) return;
    this.#end = -Infinity;
    if (!this.#file.isDecided) this.#say(at, 'undecided', Infinity);
    for (const hold of this.#file.holds)
      if (covers(hold, version)) this.#say(at, 'hold', Infinity, hold.name);
    for (const { revision, term, untilMs } of version.ruling.locks)
      if (version.receivedMs < untilMs)
        this.#say(at, 'lock', after(version.receivedMs, term), revision);
    if (version.undoneBy !== undefined) this.#say(at, 'undone', Infinity, version.undoneBy);
    if (version.resultUntilMs !== undefined) this.#say(at, 'result', version.resultUntilMs);
    if (version.kind === 'gone') {
      if (this.#file.isResult === true && version.replacedPlace === Infinity)
        this.#say(at, 'newest', Infinity);
      for (const keep of version.ruling.keeps) this.#tellWholly(at, keep);
      if (this.#stretchEnd !== -Infinity) this.#say(at, 'before', this.#stretchEnd);
      this.#stretchEnd = -Infinity;
      return;
    }
    if (at === this.#newest) this.#say(at, 'newest', Infinity);
    if (at === this.#lastWhole) this.#tellLastWhole(at);
    for (const keep of version.ruling.keeps)
      if (!this.#tellWholly(at, keep) && keep.rule !== undefined)
        this.#tellRule(at, version, keep, keep.rule);
    this.#contents -= 1;
    if (this.#end > this.#stretchEnd) this.#stretchEnd = this.#end;
  }

  /** Whether a policy keeps everything of its kind. */
  #tellWholly(at: number, { rule, isKnown, untilMs, revision }: RuledKeep): boolean {
    if (rule !== undefined && rule.keep !== 'all') return false;
    const ofNone = isKnown ? 'no-rule' : 'unknown';
    this.#say(at, rule === undefined ? ofNone : 'all', untilMs, revision);
    return true;
  }

  /** What is whole stays as long as the growing one that stands on it, by what keeps that. */
  #tellLastWhole(at: number): void {
    const last = this.#file.versions[this.#lastContent];
    if (last === undefined) return;
    if (this.#goneMs === undefined) {
      this.#say(at, 'whole', Infinity);
      return;
    }
    for (const ruled of last.ruling.keeps)
      this.#sayOf(ruled, at, 'whole', goneEnd(ruled.rule, this.#goneMs));
  }

  #tellRule(at: number, version: VersionFacts, ruled: RuledKeep, rule: RetentionRule): void {
    const { keep } = rule;
    if (keep === 'all') return;
    if (at === this.#lastContent && this.#goneMs !== undefined)
      this.#sayOf(ruled, at, 'gone', goneEnd(rule, this.#goneMs));
    if (this.#contents <= keep.last) this.#sayOf(ruled, at, 'last', Infinity);
    if (version.replacedPlace === Infinity) return;
    this.#sayOf(ruled, at, 'within', after(version.replacedMs, keep.within));
    // Without a day's end in it there is no end of a week, a month or a year either.
    if (periodAt('day', version.timeMs) === periodAt('day', version.untilMs)) return;
    for (const { period, word } of countedPeriods) {
      const count = keep[word];
      if (count === 0) continue;
      const last = periodAt(period, version.untilMs);
      if (periodAt(period, version.timeMs) < last)
        this.#sayOf(ruled, at, word, periodStart(period, last + count));
    }
  }

  /** What one policy says: one that was replaced has its say for some days only. */
  #sayOf({ untilMs, revision }: RuledKeep, at: number, reason: KeepReason, endMs: number): void {
    this.#say(at, reason, Math.min(endMs, untilMs), revision);
  }

  #say(at: number, reason: KeepReason, untilMs: number, by?: number | string): void {
    if (untilMs > this.#end) this.#end = untilMs;
    this.#listener(at, reason, untilMs, by);
  }
}

function goneEnd(rule: RetentionRule | undefined, goneMs: number): number {
  return rule === undefined || rule.gone === 'forever' ? Infinity : after(goneMs, rule.gone);
}

function covers({ classes, fromMs, toMs }: FileHold, version: VersionFacts): boolean {
  if (classes !== undefined && !classes.has(version.ruling.className)) return false;
  return version.timeMs <= toMs && version.untilMs > fromMs;
}
