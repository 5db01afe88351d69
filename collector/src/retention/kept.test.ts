import { describe, expect, it } from 'vitest';
import {
  type Arrival,
  dated,
  factsOf,
  type RetentionCase,
  rulesIn,
} from '../../testing/retention/histories.ts';
import { type FileHold, keptFor, tellReasons } from './kept.ts';
import type { SetPolicy } from './ruling.ts';

/** One example for each reason; `promises.test.ts` has the rest. */

const ms = (text: string): number => Date.parse(text.length <= 10 ? text : `${text}Z`);
const day = (at: number): string =>
  Number.isFinite(at)
    ? new Date(at).toISOString().replace('T00:00:00.000Z', '').slice(0, 19)
    : 'open';

const since = (text: string, setAt = '2000-01-01'): SetPolicy[] => {
  const rules = rulesIn(`retention:\n  rules:\n    - ${text.replaceAll('\n', '\n    - ')}\n`);
  return [{ revision: 1, setAtMs: ms(setAt), rules, grace: undefined }];
};

/** One version a line: when it was captured and received, what it is, its class. */
const arrived = (...lines: readonly string[]): Arrival[] =>
  lines.map((line) => {
    const [at = '', kind = 'whole', className = 'raw'] = line.split(' ');
    const kinds = { whole: 'whole', growing: 'growing', gone: 'gone' } as const;
    return {
      ...{ claimMs: ms(at), receivedMs: ms(at), className },
      kind: kinds[kind as keyof typeof kinds],
    };
  });

function reasons(
  arrivals: readonly Arrival[],
  policies: readonly SetPolicy[],
  nowText: string,
  more: Partial<RetentionCase> = {},
): string[][] {
  const nowMs = ms(nowText);
  const world = { versions: dated(arrivals), policies, holds: [], isDecided: true, nowMs, ...more };
  const facts = factsOf(world, nowMs);
  const told = facts.versions.map((): string[] => []);
  tellReasons(facts, (at, reason, untilMs) => told[at]?.push(`${reason} ${day(untilMs)}`));
  return told;
}

const WITHIN = '{keep: {within: 10d}}';

describe('a version stays', () => {
  it('while it is the newest of its file', () => {
    expect(reasons(arrived('2026-01-01'), since(WITHIN), '2030-01-01')).toEqual([['newest open']]);
  });

  it('for the term of "within" from the receipt of what replaced it, however late that came', () => {
    const [first, second] = arrived('2026-01-01', '2026-01-02');
    const late = [first, { ...second, receivedMs: ms('2026-03-01') }] as Arrival[];
    expect(reasons(late, since(WITHIN), '2026-03-01')[0]).toEqual(['within 2026-03-11']);
  });

  it('as the state at the end of so many days, weeks, months and years, busy or not', () => {
    const rule = '{keep: {within: 7d, daily: 3, weekly: 2, monthly: 2, yearly: 2}}';
    // Current from a Wednesday to the Thursday three weeks on, over the end of the year.
    const told = reasons(arrived('2026-12-30', '2027-01-21T10:00:00'), since(rule), '2027-02-01');
    expect(told[0]).toEqual([
      'within 2027-01-28T10:00:00',
      'daily 2027-01-24',
      'weekly 2027-02-01',
      'monthly 2027-03-01',
      'yearly 2029-01-01',
    ]);
    // Never current at the end of a day.
    const brief = arrived('2026-12-30T08:00:00', '2026-12-30T09:00:00');
    expect(reasons(brief, since(rule), '2027-02-01')[0]).toEqual(['within 2027-01-06T09:00:00']);
    // Current at the last instant of a day, and at no other.
    const last = arrived('2026-12-30T23:59:59.999', '2026-12-31');
    expect(reasons(last, since(rule), '2027-02-01')[0]).toEqual([
      'within 2027-01-07',
      'daily 2027-01-03',
    ]);
  });

  it('as one of the newest contents, of which "gone" is none', () => {
    const rule = '{keep: {within: 7d, last: 2}}';
    const told = reasons(
      arrived('2026-01-01', '2026-01-02', '2026-01-03 gone', '2026-01-04'),
      since(rule),
      '2027-01-01',
    );
    expect(told.map((each) => each.includes('last open'))).toEqual([false, true, false, true]);
  });

  it('as the last content of a file that is gone, for ever or for a term from that receipt', () => {
    const file = arrived('2026-01-01', '2026-01-02', '2026-01-05 gone');
    const forever = reasons(file, since('{keep: {within: 7d}}'), '2030-01-01');
    expect(forever[1]).toContain('gone open');
    expect(forever[2]).toEqual(['before open']);
    const term = reasons(file, since('{keep: {within: 7d}, gone: 2mo}'), '2030-01-01');
    expect(term[0]).toEqual(['within 2026-01-09']);
    expect(term[1]).toEqual(['gone 2026-03-05', 'within 2026-01-12']);
    expect(term[2]).toEqual(['before 2026-03-05']);
  });

  it('as the last content only if it was: not in the place of one that went since', () => {
    const rules = '{match: {class: [raw]}, keep: {within: 7d}}\n{keep: {within: 7d}, gone: 1mo}';
    const versions = dated(arrived('2026-01-01', '2026-01-02 whole other', '2026-01-05 gone'));
    const nowMs = ms('2026-01-08');
    const world = { versions, policies: since(rules), holds: [], isDecided: true, nowMs };
    expect(keptFor(factsOf(world, nowMs)).ends.map(day)).toEqual([
      '2026-01-09',
      '2026-02-05',
      '2026-02-05',
    ]);
    const left = factsOf(world, nowMs, (place) => place !== 1);
    expect(keptFor(left).ends.map(day)).toEqual(['2026-01-09', '2026-01-09']);
  });

  it('as the newest whole one while newer ones are only growing, also when the file is gone then', () => {
    const grows = ['2026-01-01', '2026-01-02', '2026-01-03 growing', '2026-01-04 growing'];
    const rule = '{keep: {within: 7d}, gone: 1mo}';
    const told = reasons(arrived(...grows), since(rule), '2030-01-01');
    expect(told.map(([first]) => first)).toEqual([
      'within 2026-01-09',
      'whole open',
      'within 2026-01-11',
      'newest open',
    ]);
    const gone = reasons(arrived(...grows, '2026-01-05 gone'), since(rule), '2030-01-01');
    expect(gone[1]?.[0]).toBe('whole 2026-02-05');
    expect(gone[3]?.[0]).toBe('gone 2026-02-05');
  });

  it('for its lock from its receipt, a "gone" too', () => {
    const file = arrived('2026-01-01', '2026-01-02 gone', '2026-01-03');
    const told = reasons(file, since('{lock: 1y, keep: {within: 7d}}'), '2026-02-01');
    expect(told[0]?.[0]).toBe('lock 2027-01-01');
    expect(told[1]).toEqual(['lock 2027-01-02', 'before 2027-01-01']);
  });

  it('under a hold, by its class and by when it was current', () => {
    const file = arrived('2026-01-01', '2026-02-01 whole other', '2026-03-01');
    const hold = (more: Partial<FileHold>): readonly boolean[] =>
      reasons(file, since(WITHIN), '2030-01-01', {
        holds: [{ name: 'x', classes: undefined, fromMs: -Infinity, toMs: Infinity, ...more }],
      }).map((each) => each.includes('hold open'));
    expect(hold({})).toEqual([true, true, true]);
    expect(hold({ classes: new Set(['other']) })).toEqual([false, true, false]);
    expect(hold({ fromMs: ms('2026-02-15') })).toEqual([false, true, true]);
    expect(hold({ toMs: ms('2026-02-01') })).toEqual([true, true, false]);
    expect(hold({ fromMs: ms('2026-01-10'), toMs: ms('2026-01-11') })).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('where no rule fits, no policy was set, the rule says all, or nobody has decided about its history', () => {
    const file = arrived('2026-01-01', '2026-01-02 gone', '2026-01-03');
    const open = (told: readonly string[][]) => told.map(([first]) => first);
    expect(open(reasons(file, [], '2030-01-01'))).toEqual([
      'no-rule open',
      'no-rule open',
      'newest open',
    ]);
    const other = '{match: {class: [other]}, keep: {within: 7d}}';
    expect(open(reasons(file, since(other), '2030-01-01'))[0]).toBe('no-rule open');
    expect(open(reasons(file, since('{keep: all}'), '2030-01-01'))[1]).toBe('all open');
    const undecided = reasons(file, since(WITHIN), '2030-01-01', { isDecided: false });
    expect(open(undecided)).toEqual(['undecided open', 'undecided open', 'undecided open']);
  });

  it('by the rule of its own class, whatever the class of what comes after', () => {
    const rules = '{match: {class: [raw]}, keep: {within: 90d}}\n{keep: {within: 7d}}';
    const told = reasons(
      arrived('2026-01-01', '2026-01-02 whole other', '2026-01-03'),
      since(rules),
      '2026-02-01',
    );
    expect(told.map(([first]) => first)).toEqual([
      'within 2026-04-02',
      'within 2026-01-10',
      'newest open',
    ]);
  });

  it('by a policy that was replaced, for seven days from then on', () => {
    const second = since(WITHIN, '2026-06-01').map((policy) => ({ ...policy, revision: 2 }));
    const policies = [...since('{keep: all}'), ...second];
    const file = arrived('2026-01-01', '2026-01-02');
    expect(reasons(file, policies, '2026-06-02')[0]).toEqual([
      'all 2026-06-08',
      'within 2026-01-12',
    ]);
    expect(reasons(file, policies, '2026-06-08')[0]).toEqual(['within 2026-01-12']);
  });

  it('as long as a row of a folder result names it', () => {
    const nowMs = ms('2026-02-01');
    const world = {
      ...{ versions: dated(arrived('2026-01-01', '2026-01-02')), policies: since(WITHIN) },
      ...{ holds: [], isDecided: true, nowMs },
    };
    const facts = factsOf(world, nowMs);
    const [first, ...rest] = facts.versions;
    if (first === undefined) throw new Error('none');
    const named = { ...facts, versions: [{ ...first, resultUntilMs: ms('2029-01-01') }, ...rest] };
    expect(keptFor(named).ends.map(day)).toEqual(['2029-01-01', 'open']);
  });
});

it('a "gone" with nothing before it goes: it says no more than that there is nothing', () => {
  expect(reasons(arrived('2026-01-01 gone'), since(WITHIN), '2026-01-02')).toEqual([[]]);
  const world = { versions: dated(arrived('2026-01-01 gone')), policies: since(WITHIN) };
  const facts = factsOf({ ...world, holds: [], isDecided: true, nowMs: 0 }, ms('2026-01-02'));
  expect(keptFor(facts).ends).toEqual([-Infinity]);
});
