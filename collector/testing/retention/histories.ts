import type { KeepRule, RetentionRule, RuleSources, Term } from '@aliquot/proto';
import { clampVersionTime } from '@aliquot/shared/log/version-time';
import { readPolicy } from '@aliquot/shared/settings/policy';
import { inClear } from '@aliquot/shared/settings/retention';
import fc from 'fast-check';
import type { FileHistoryFacts, FileHold, VersionFacts } from '../../src/retention/kept.ts';
import {
  type RuledBy,
  type Ruling,
  rulingFor,
  type SetPolicy,
} from '../../src/retention/ruling.ts';

/**
 * Histories of one file for the tests of retention: what an agent claims, and what is made of it.
 */

export const DAY_MS = 86_400_000;

/** The rules of a policy file, of which no folder is another one's. */
export function rulesIn(text: string): readonly RetentionRule[] {
  const read = readPolicy(text);
  if ('mistakes' in read) throw new Error(JSON.stringify(read.mistakes));
  const { retention } = read.policy;
  return retention === undefined ? [] : inClear(retention, () => ruleSources.here).rules;
}

/** What rules tell the versions of these histories by. */
export const ruledBy: RuledBy = {
  className: 'raw',
  agent: 'hplc-1',
  lineageId: new Uint8Array(16).fill(0x11),
  sourceId: new Uint8Array(16).fill(0x22),
};

/** Sources of a rule: those of these histories, others, or those of PCs that are known to it. */
export const ruleSources = {
  here: sourcesWith(0x11, 0x22),
  elsewhere: sourcesWith(0x11, 0x33),
  unknown: sourcesWith(0x44, 0x22),
} satisfies Readonly<Record<string, RuleSources>>;

function sourcesWith(lineage: number, source: number): RuleSources {
  const mark = (byte: number) => new Uint8Array(8).fill(byte);
  return {
    lineages: Uint8Array.from([...mark(0x05), ...mark(lineage)]),
    sources: Uint8Array.from([...mark(0x01), ...mark(0x02), ...mark(0x08), ...mark(source)]),
  };
}

export interface Arrival {
  readonly claimMs: number;
  readonly receivedMs: number;
  readonly kind: VersionFacts['kind'];
  readonly className: string;
}

/** A version as the collector dates it. */
export interface DatedVersion extends Omit<Arrival, 'claimMs'> {
  readonly timeMs: number;
}

export interface RetentionCase {
  readonly versions: readonly DatedVersion[];
  readonly policies: readonly SetPolicy[];
  readonly holds: readonly FileHold[];
  readonly isDecided: boolean;
  readonly nowMs: number;
}

/** The versions of one file, which came in this order, each receipt a commit. */
export function dated(arrivals: readonly Arrival[]): DatedVersion[] {
  const versions: DatedVersion[] = [];
  let beforeMs: number | undefined;
  let last: DatedVersion | undefined;
  for (const { claimMs, receivedMs, kind, className } of arrivals) {
    if (last !== undefined && last.receivedMs < receivedMs) beforeMs = last.receivedMs;
    const claimed = clampVersionTime(claimMs, beforeMs, receivedMs);
    const timeMs = Math.max(claimed, last?.timeMs ?? 0);
    last = { timeMs, receivedMs, kind, className };
    versions.push(last);
  }
  return versions;
}

/** What retention is told of the versions that are left; all of them unless it is said which. */
export function factsOf(
  { versions, policies, holds, isDecided }: RetentionCase,
  nowMs: number,
  isLeft: (place: number) => boolean = () => true,
): FileHistoryFacts {
  const rulings = new Map<string, Ruling>();
  const rulingOf = (className: string): Ruling => {
    const known = rulings.get(className);
    const ruling = known ?? rulingFor(policies, { ...ruledBy, className }, nowMs);
    rulings.set(className, ruling);
    return ruling;
  };
  const all = versions.map(({ timeMs, receivedMs, kind, className }, place): VersionFacts => {
    const next = versions[place + 1];
    return {
      ...{ timeMs, receivedMs, place, kind, ruling: rulingOf(className) },
      untilMs: next?.timeMs ?? Infinity,
      replacedMs: next?.receivedMs ?? Infinity,
      replacedPlace: next === undefined ? Infinity : place + 1,
      resultUntilMs: undefined,
    };
  });
  return { versions: all.filter(({ place }) => isLeft(place)), holds, isDecided };
}

const term: fc.Arbitrary<Term> = fc.oneof(
  fc.record({ count: fc.integer({ min: 1, max: 60 }), unit: fc.constant('d' as const) }),
  fc.record({ count: fc.integer({ min: 1, max: 9 }), unit: fc.constantFrom('w', 'mo') }),
  fc.record({ count: fc.integer({ min: 1, max: 2 }), unit: fc.constant('y' as const) }),
);
const count = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 5 }));

export const keepRule: fc.Arbitrary<KeepRule> = fc.record({
  within: term,
  ...{ daily: count, weekly: count, monthly: count, yearly: count, last: count },
});

const anyOf = (...names: readonly string[]) =>
  fc.constantFrom(undefined, ...names.map((name) => [name]));

export const rule: fc.Arbitrary<RetentionRule> = fc.record({
  match: fc.record({
    classes: anyOf('raw', 'other'),
    agents: anyOf('hplc-*', 'lcms-*'),
    sources: fc.constantFrom(undefined, ...Object.values(ruleSources)),
  }),
  lock: fc.option(term, { nil: undefined, freq: 2 }),
  keep: fc.oneof(
    { arbitrary: keepRule, weight: 6 },
    { arbitrary: fc.constant('all' as const), weight: 1 },
  ),
  gone: fc.oneof(fc.constant('forever' as const), term),
});

/** Times between two things that happen: none, one, a little, to the day, long. */
export const gap = fc.oneof(
  fc.constantFrom(0, 1, DAY_MS, 7 * DAY_MS, DAY_MS - 1),
  fc.nat({ max: DAY_MS / 12 }),
  fc.nat({ max: 3 * DAY_MS }),
  fc.nat({ max: 40 * DAY_MS }),
  fc.nat({ max: 400 * DAY_MS }),
);

const start = fc
  .tuple(
    fc.constantFrom(
      Date.UTC(2026, 0, 1),
      Date.UTC(2026, 0, 31),
      Date.UTC(2027, 11, 27),
      Date.UTC(2028, 1, 29),
    ),
    fc.oneof(fc.constantFrom(0, DAY_MS - 1), fc.nat({ max: DAY_MS })),
  )
  .map(([day, within]) => day + within);

const kind = fc.oneof(
  { arbitrary: fc.constant('whole' as const), weight: 5 },
  { arbitrary: fc.constantFrom('growing' as const, 'gone' as const), weight: 3 },
);

function arrivals(classNames: readonly string[]): fc.Arbitrary<Arrival[]> {
  const one = fc.record({
    gap,
    // Before the receipt, at it, or years off.
    early: fc.oneof(fc.constant(0), gap, fc.constantFrom(-4e11, 4e11)),
    kind,
    className: fc.constantFrom(...classNames),
  });
  return fc.tuple(start, fc.array(one, { minLength: 1, maxLength: 12 })).map(([first, rest]) => {
    let receivedMs = first;
    return rest.map((each) => {
      receivedMs += each.gap;
      const { kind: of, className } = each;
      return { claimMs: receivedMs - each.early, receivedMs, kind: of, className };
    });
  });
}

function setPolicies(most: number): fc.Arbitrary<SetPolicy[]> {
  const one = fc.record({ gap, rules: fc.array(rule, { maxLength: 3 }) });
  return fc.tuple(start, fc.array(one, { maxLength: most })).map(([first, rest]) => {
    let setAtMs = first;
    return rest.map(({ gap: waits, rules }, at) => {
      setAtMs += waits;
      return { revision: at + 1, setAtMs, rules, grace: undefined };
    });
  });
}

const hold: fc.Arbitrary<FileHold> = fc.record({
  name: fc.constant('a case'),
  classes: fc.constantFrom(undefined, new Set(['raw']), new Set(['other'])),
  fromMs: fc.oneof(fc.constant(-Infinity), start),
  toMs: fc.oneof(fc.constant(Infinity), start),
});

/** Everything at random. */
export const anyCase: fc.Arbitrary<RetentionCase> = fc
  .record({
    arrived: arrivals(['raw', 'other']),
    policies: setPolicies(4),
    holds: fc.oneof(
      { arbitrary: fc.constant([]), weight: 3 },
      { arbitrary: fc.array(hold, { maxLength: 2 }), weight: 1 },
    ),
    isDecided: fc.oneof({ arbitrary: fc.constant(true), weight: 9 }, fc.constant(false)),
    later: gap,
  })
  .map(({ arrived, later, ...world }) => ({
    versions: dated(arrived),
    ...world,
    nowMs: (arrived.at(-1)?.receivedMs ?? 0) + later,
  }));

/** One rule for everything, in force since long ago: what users are promised is about this. */
export function ruledCase(classNames: readonly string[]): fc.Arbitrary<RetentionCase> {
  const policy = fc
    .tuple(...classNames.map((name) => rule.map((each) => ({ ...each, match: matchOf(name) }))))
    .map((rules) => [{ revision: 1, setAtMs: 0, rules, grace: undefined }]);
  return fc
    .record({ arrived: arrivals(classNames), policies: policy, later: gap })
    .map(({ arrived, policies, later }) => ({
      ...{ versions: dated(arrived), policies, holds: [], isDecided: true },
      nowMs: (arrived.at(-1)?.receivedMs ?? 0) + later,
    }));
}

function matchOf(className: string): RetentionRule['match'] {
  return { classes: [className], agents: undefined, sources: undefined };
}
