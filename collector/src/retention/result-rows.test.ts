import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gap, rule, ruledBy } from '../../testing/retention/histories.ts';
import { countedInstants, plainAfter } from '../../testing/retention/oracle.ts';
import { type FileHistoryFacts, keptFor, type VersionFacts } from './kept.ts';
import { ResultRows } from './result-rows.ts';
import { type Ruling, rulingFor } from './ruling.ts';

describe('a folder result goes or stays whole', () => {
  it('so a row keeps the versions of members that it names: those before it that were not replaced before it', () => {
    const rows = new ResultRows([
      { place: 10, untilMs: 500 },
      { place: 20, untilMs: 900 },
      { place: 30, untilMs: 700 },
    ]);
    expect(rows.untilFor(3, 12)).toBe(500);
    expect(rows.untilFor(3, 25)).toBe(900);
    expect(rows.untilFor(21, Infinity)).toBe(700);
    expect(rows.untilFor(3, Infinity)).toBe(900);
    expect(rows.untilFor(11, 12)).toBeUndefined();
    expect(rows.untilFor(31, Infinity)).toBeUndefined();
    expect(new ResultRows([]).untilFor(1, Infinity)).toBeUndefined();
  });

  it('whatever the rows are: the latest end of those between a version and what replaced it', () => {
    const rows = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer()), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(rows, fc.nat({ max: 120 }), fc.nat({ max: 60 }), (steps, place, length) => {
        let at = 0;
        const list = steps.map(([step, untilMs]) => {
          at += step;
          return { place: at, untilMs };
        });
        const replaced = length === 0 ? Infinity : place + length;
        const named = list.filter((row) => row.place > place && row.place <= replaced);
        const latest =
          named.length === 0 ? undefined : Math.max(...named.map((row) => row.untilMs));
        expect(new ResultRows(list).untilFor(place, replaced)).toBe(latest);
      }),
    );
  });

  it('P2: so each state of it that is promised comes back with all of its members', () => {
    const step = fc.record({
      gap,
      // A row, or a new version of one of three members, which may be gone.
      what: fc.constantFrom('row' as const, 'a' as const, 'b' as const, 'c' as const),
      isGone: fc.nat({ max: 5 }).map((one) => one === 0),
    });
    const steps = fc.array(step, { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(steps, rule, gap, (all, each, later) => {
        const match = { classes: undefined, agents: undefined, sources: undefined };
        const ruled = { ...each, match };
        let timeMs = Date.UTC(2027, 11, 20);
        const there = new Set<string>();
        const accepted = all.map(({ gap: waits, what, isGone }, place) => {
          timeMs += waits;
          if (isGone) there.delete(what);
          else if (what !== 'row') there.add(what);
          // Of what was deleted the row has no members.
          return { timeMs, place, what, isGone: what === 'row' ? there.size === 0 : isGone };
        });
        const nowMs = timeMs + later;
        const policy = { revision: 1, setAtMs: 0, rules: [ruled], grace: undefined };
        const ruling = rulingFor([policy], ruledBy, nowMs);
        const of = (what: string) => accepted.filter((one) => one.what === what);

        const rows = of('row');
        const rowEnds = keptFor(factsIn(rows, ruling)).ends;
        const named = new ResultRows(
          rows.map(({ place }, at) => ({ place, untilMs: rowEnds[at] ?? -Infinity })),
        );
        const left = new Set<number>();
        for (const member of ['a', 'b', 'c']) {
          const facts = factsIn(of(member), ruling, named);
          for (const [at, end] of keptFor(facts).ends.entries())
            if (end > nowMs) left.add(facts.versions[at]?.place ?? -1);
        }
        const wholeRow = (place: number): void => {
          for (const member of ['a', 'b', 'c']) {
            const version = of(member).findLast((one) => one.place < place);
            if (version !== undefined && !version.isGone) expect(left).toContain(version.place);
          }
        };
        for (const [at, end] of rowEnds.entries()) if (end > nowMs) wholeRow(rows[at]?.place ?? -1);

        const { keep, gone } = ruled;
        const last = rows.at(-2);
        if (gone === 'forever' && rows.at(-1)?.isGone === true && last?.isGone === false) {
          expect(rowEnds.at(-2)).toBe(Infinity);
          wholeRow(last.place);
        }
        if (keep === 'all') return;
        const instants = accepted.flatMap((one) => [one.timeMs, one.timeMs + 1, nowMs]);
        const promised = instants.filter(
          (ms) => plainAfter(ms, keep.within) > nowMs && ms <= nowMs,
        );
        for (const ms of [...promised, ...countedInstants(ruled, nowMs)]) {
          const at = rows.findLastIndex((row) => row.timeMs <= ms);
          if (at < 0 || rows[at]?.isGone === true) continue;
          expect(rowEnds[at]).toBeGreaterThan(nowMs);
          wholeRow(rows[at]?.place ?? -1);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

interface Accepted {
  readonly timeMs: number;
  readonly place: number;
  readonly isGone: boolean;
}

function factsIn(list: readonly Accepted[], ruling: Ruling, named?: ResultRows): FileHistoryFacts {
  const versions = list.map(({ timeMs, place, isGone }, at): VersionFacts => {
    const next = list[at + 1];
    return {
      ...{ timeMs, receivedMs: timeMs, place, ruling, kind: isGone ? 'gone' : 'whole' },
      ...{ untilMs: next?.timeMs ?? Infinity, replacedMs: next?.timeMs ?? Infinity },
      replacedPlace: next?.place ?? Infinity,
      resultUntilMs: named?.untilFor(place, next?.place ?? Infinity),
    };
  });
  return { versions, holds: [], isDecided: true };
}
