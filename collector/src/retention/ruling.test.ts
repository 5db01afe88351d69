import type { RetentionRule, Term } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { DAY_MS, ruledBy, ruleSources } from '../../testing/retention/histories.ts';
import { rulingFor, type SetPolicy } from './ruling.ts';

const all = { classes: undefined, agents: undefined, sources: undefined };
const days = (count: number): Term => ({ count, unit: 'd' });
const rule = (more: Partial<RetentionRule> = {}): RetentionRule => ({
  match: all,
  lock: undefined,
  keep: 'all',
  gone: 'forever',
  ...more,
});
const policies = (...set: readonly (readonly [number, ...RetentionRule[]])[]): SetPolicy[] =>
  set.map(([day, ...rules], at) => ({
    ...{ revision: at + 1, setAtMs: day * DAY_MS, rules },
    grace: undefined,
  }));
const at = (set: readonly SetPolicy[], day: number) => rulingFor(set, ruledBy, day * DAY_MS);

describe('which rule decides', () => {
  const first = (...rules: readonly RetentionRule[]) =>
    at(policies([0, ...rules]), 100).keeps[0]?.rule;
  const lock = days(1);
  const { here, elsewhere, unknown } = ruleSources;
  const none = { daily: 0, weekly: 0, monthly: 0, yearly: 0, last: 0 };
  const keep = { within: days(7), ...none };

  it('is the first that fits: class, PC and source, each where the rule names it', () => {
    expect(first(rule(), rule({ lock }))?.lock).toBeUndefined();
    expect(first(rule({ match: { ...all, classes: ['other'] } }), rule({ lock }))?.lock).toBe(lock);
    expect(first(rule({ match: { ...all, classes: ['other', 'raw'] }, lock }))?.lock).toBe(lock);
    expect(first(rule({ match: { ...all, agents: ['lcms-*', 'hplc-*'] }, lock }))?.lock).toBe(lock);
    expect(first(rule({ match: { ...all, agents: ['hplc'] }, lock }))).toBeUndefined();
    expect(first(rule({ match: { ...all, sources: here }, lock }))?.lock).toBe(lock);
    expect(first(rule({ match: { ...all, sources: elsewhere }, lock }))).toBeUndefined();
    expect(first(rule({ match: { classes: ['raw'], agents: ['lcms-*'], sources: here } }))).toBe(
      undefined,
    );
  });

  it('I-C27: is none where a rule that names root folders does not know the PC: then everything stays', () => {
    const mayFit = rule({ match: { ...all, sources: unknown }, keep, lock: days(20) });
    const sure = rule({ lock: days(30), keep });
    const set = policies([0, mayFit, sure, rule({ lock: days(40) })]);
    expect(at(set, 100).keeps).toEqual([
      { revision: 1, rule: undefined, isKnown: false, untilMs: Infinity },
    ]);
    // Any of them may be the lock that was promised.
    expect(at(set, 100).locks.map(({ term }) => term.count)).toEqual([20, 30]);
    const otherClass = { classes: ['other'], agents: undefined, sources: unknown };
    const otherPc = { classes: undefined, agents: ['lcms-*'], sources: unknown };
    for (const match of [otherClass, otherPc])
      expect(at(policies([0, rule({ match, keep }), sure]), 100).keeps).toMatchObject([
        { rule: sure, isKnown: true },
      ]);
    expect(at(policies([0, sure, mayFit]), 100).keeps).toMatchObject([{ rule: sure }]);
  });
});

describe('a policy that keeps less', () => {
  const set = policies([10], [20, rule()]);
  const nothing = { revision: 0, rule: undefined, isKnown: true, untilMs: Infinity };

  it('acts after seven days: until then the one before has its say, and before the first everything stays', () => {
    expect(at([], 5).keeps).toEqual([nothing]);
    expect(at(set, 9).keeps).toEqual([nothing]);
    expect(at(set, 10).keeps).toMatchObject([
      { revision: 0, untilMs: 17 * DAY_MS },
      { revision: 1, untilMs: Infinity },
    ]);
    expect(at(set, 17).keeps).toMatchObject([{ revision: 1 }]);
    expect(at(set, 26.9).keeps).toMatchObject([
      { revision: 1, untilMs: 27 * DAY_MS },
      { revision: 2 },
    ]);
    expect(at(set, 27).keeps).toMatchObject([{ revision: 2, rule: rule() }]);
  });

  it('is taken back by setting the earlier one again before that', () => {
    const again = policies([0, rule()], [10], [13, rule()]);
    // The weak one never decides alone.
    for (const day of [10, 13, 16.9, 17, 19, 20, 30])
      expect(at(again, day).keeps.some((keep) => keep.rule?.keep === 'all')).toBe(true);
  });
});

describe('a lock', () => {
  const long = rule({ lock: days(100) });
  const short = rule({ lock: days(10) });

  it('binds a day after it was set', () => {
    expect(at(policies([0, long]), 0.99).locks).toEqual([]);
    expect(at(policies([0, long]), 1).locks).toEqual([
      { revision: 1, term: days(100), untilMs: Infinity },
    ]);
  });

  it('that is taken back within the day never binds, and the one before stays in force', () => {
    const set = policies([0, short], [50, long], [50.5, short]);
    expect(at(set, 60).locks).toEqual([
      { revision: 1, term: days(10), untilMs: 57.5 * DAY_MS },
      { revision: 3, term: days(10), untilMs: Infinity },
    ]);
    expect(at(set, 51.2).locks).toMatchObject([{ revision: 1, untilMs: Infinity }]);
  });

  it('counts for what was received until a shorter one acts: lengthening reaches back, shortening never', () => {
    const set = policies([0, long], [50, short], [80]);
    expect(at(set, 90).locks).toEqual([
      { revision: 1, term: days(100), untilMs: 57 * DAY_MS },
      { revision: 2, term: days(10), untilMs: 87 * DAY_MS },
    ]);
  });

  it('is not in a rule that does not fit', () => {
    const other = rule({ match: { ...all, classes: ['other'] }, lock: days(3) });
    expect(at(policies([0, other, rule()]), 5).locks).toEqual([]);
  });
});
