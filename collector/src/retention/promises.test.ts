import type { KeepRule, RetentionRule } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anyCase,
  DAY_MS,
  type DatedVersion,
  factsOf,
  keepRule,
  type RetentionCase,
  ruledCase,
} from '../../testing/retention/histories.ts';
import {
  countedInstants,
  currentAt,
  plainAfter,
  ruleOf,
  staysByTheBook,
} from '../../testing/retention/oracle.ts';
import { keptFor, tellReasons } from './kept.ts';

/** What docs/retention.md promises, of random histories; a failure prints its seed. */

const many = { numRuns: 1000 };

/** Which of all versions stay at a time, judged with all of them there. */
function stays(world: RetentionCase, nowMs = world.nowMs): boolean[] {
  return keptFor(factsOf(world, nowMs)).ends.map((end) => end > nowMs);
}

/** What a restore finds that asks for an instant: a version that is there and was current then. */
function restoredAt(
  { versions }: RetentionCase,
  isLeft: readonly boolean[],
  ms: number,
): number | undefined {
  const at = versions.findLastIndex(({ timeMs }, place) => {
    const untilMs = versions[place + 1]?.timeMs ?? Infinity;
    return isLeft[place] === true && timeMs <= ms && ms < untilMs;
  });
  return at < 0 || versions[at]?.kind === 'gone' ? undefined : at;
}

/** The content that was there at an instant. */
function contentAt(versions: readonly DatedVersion[], ms: number): number | undefined {
  const at = currentAt(versions, ms);
  return at === undefined || versions[at]?.kind === 'gone' ? undefined : at;
}

/** Where states begin and end, the instants beside, and the present. */
function instantsOf({ versions, nowMs }: RetentionCase): number[] {
  const edges = versions.flatMap(({ timeMs, receivedMs }) => [
    ...[timeMs - 1, timeMs, timeMs + 1],
    ...[receivedMs, timeMs + DAY_MS / 2],
  ]);
  return [...edges, nowMs].filter((ms) => ms <= nowMs);
}

describe('what stays', () => {
  it('is what the book says at each instant, and nothing else', () => {
    fc.assert(
      fc.property(anyCase, (world) => {
        expect(stays(world)).toEqual(staysByTheBook(world));
      }),
      many,
    );
  });

  it('P2: every state of the last D, and at the end of each kept day, week, month and year, is restored by --at', () => {
    fc.assert(
      fc.property(ruledCase(['raw', 'other']), (world) => {
        const isLeft = stays(world);
        const { versions, policies, nowMs } = world;
        const ruleAt = (ms: number): RetentionRule | undefined =>
          ruleOf(policies[0], versions[currentAt(versions, ms) ?? -1]?.className ?? '');
        for (const ms of instantsOf(world)) {
          const keep = ruleAt(ms)?.keep;
          if (keep === undefined || keep === 'all' || plainAfter(ms, keep.within) > nowMs)
            expect(restoredAt(world, isLeft, ms)).toBe(contentAt(versions, ms));
        }
        for (const rule of policies[0]?.rules ?? [])
          for (const ms of countedInstants(rule, nowMs))
            if (ruleAt(ms) === rule)
              expect(restoredAt(world, isLeft, ms)).toBe(contentAt(versions, ms));
      }),
      many,
    );
  });
});

describe('an end that is told', () => {
  const daysAgo = fc.integer({ min: DAY_MS, max: 10 * DAY_MS });

  it('is when the version goes, as long as nothing is set, held or received meanwhile', () => {
    fc.assert(
      fc.property(anyCase, daysAgo, fc.nat({ max: 900 * DAY_MS }), (world, agoMs, later) => {
        // The newest has bound by now, and the one before it may still have its say.
        const moveMs = world.nowMs - agoMs - (world.policies.at(-1)?.setAtMs ?? 0);
        const policies = world.policies.map((policy) => ({
          ...policy,
          setAtMs: policy.setAtMs + moveMs,
        }));
        const settled = { ...world, policies };
        const nowMs = world.nowMs + later;
        const ends = keptFor(factsOf(settled, world.nowMs)).ends;
        expect(ends.map((end) => end > nowMs)).toEqual(stays(settled, nowMs));
      }),
      many,
    );
  });

  it('is the last of the reasons that are told, so runs, simulations and explanations agree', () => {
    fc.assert(
      fc.property(anyCase, (world) => {
        const facts = factsOf(world, world.nowMs);
        const last = facts.versions.map(() => -Infinity);
        tellReasons(facts, (at, _reason, untilMs) => {
          last[at] = Math.max(last[at] ?? -Infinity, untilMs);
        });
        expect(keptFor(facts).ends).toEqual(last);
      }),
    );
  });
});

describe('letting go day by day', () => {
  /** Runs at some times, each with what is there by then; gives what is left after the last. */
  function afterRuns(world: RetentionCase, runs: readonly number[]): boolean[] {
    const left = world.versions.map(() => true);
    for (const nowMs of runs) {
      const versions = world.versions.filter(({ receivedMs }) => receivedMs <= nowMs);
      const isThere = { ...world, versions };
      const facts = factsOf(isThere, nowMs, (place) => left[place] === true);
      for (const [at, end] of keptFor(facts).ends.entries()) {
        const place = facts.versions[at]?.place ?? -1;
        if (end <= nowMs) left[place] = false;
      }
    }
    return left;
  }

  const runsOf = (world: RetentionCase, steps: readonly number[]): number[] => {
    const firstMs = world.versions[0]?.receivedMs ?? 0;
    const span = world.nowMs - firstMs;
    const runs = steps.map((step) => firstMs + Math.floor(span * step)).sort((a, b) => a - b);
    return [...runs, world.nowMs];
  };
  const steps = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });

  it('leaves what one run at the end would leave', () => {
    fc.assert(
      fc.property(ruledCase(['raw']), steps, (world, when) => {
        expect(afterRuns(world, runsOf(world, when))).toEqual(stays(world));
      }),
      many,
    );
  });

  it('leaves no less of a file whose versions are of several classes', () => {
    fc.assert(
      fc.property(ruledCase(['raw', 'other']), steps, (world, when) => {
        const left = afterRuns(world, runsOf(world, when));
        for (const [at, stayed] of stays(world).entries()) if (stayed) expect(left[at]).toBe(true);
      }),
      many,
    );
  });
});

describe('nothing that stayed goes', () => {
  const noLess = (world: RetentionCase, more: Partial<RetentionCase>): void => {
    const now = stays({ ...world, ...more });
    for (const [at, stayed] of stays(world).entries()) if (stayed) expect(now[at]).toBe(true);
  };
  /** Changes one rule of one policy. */
  const changed = (
    world: RetentionCase,
    which: number,
    change: (rule: RetentionRule) => RetentionRule,
  ): Partial<RetentionCase> => {
    let number = 0;
    return {
      policies: world.policies.map((policy) => ({
        ...policy,
        rules: policy.rules.map((rule) => (number++ === which ? change(rule) : rule)),
      })),
    };
  };
  const which = fc.nat({ max: 5 });

  it('when a hold is added', () => {
    fc.assert(
      fc.property(anyCase, anyCase, (world, { holds }) =>
        noLess(world, { holds: [...world.holds, ...holds] }),
      ),
    );
  });

  it('when a lock is lengthened, or begun', () => {
    fc.assert(
      fc.property(anyCase, which, fc.integer({ min: 1, max: 40 }), (world, at, more) =>
        noLess(
          world,
          changed(world, at, (rule) => {
            const lock = rule.lock ?? { count: 0, unit: 'd' };
            return { ...rule, lock: { ...lock, count: lock.count + more } };
          }),
        ),
      ),
      many,
    );
  });

  it('when a rule keeps something more', () => {
    const words = ['daily', 'weekly', 'monthly', 'yearly', 'last'] as const;
    fc.assert(
      fc.property(anyCase, which, keepRule, (world, at, more) =>
        noLess(
          world,
          changed(world, at, (rule) => {
            if (rule.keep === 'all') return { ...rule, gone: 'forever' };
            const { keep } = rule;
            const counts = words.map((word) => [word, Math.max(keep[word], more[word])]);
            const within = { ...keep.within, count: keep.within.count + (more.daily ?? 0) };
            return { ...rule, keep: { ...(Object.fromEntries(counts) as KeepRule), within } };
          }),
        ),
      ),
      many,
    );
  });

  it('when a rule keeps all, or what is gone for ever', () => {
    fc.assert(
      fc.property(anyCase, which, fc.boolean(), (world, at, all) =>
        noLess(
          world,
          changed(world, at, (rule) =>
            all ? { ...rule, keep: 'all' } : { ...rule, gone: 'forever' },
          ),
        ),
      ),
      many,
    );
  });

  it('when a policy is set, for seven days', () => {
    fc.assert(
      fc.property(anyCase, anyCase, fc.nat({ max: 7 * DAY_MS - 1 }), (world, other, ago) => {
        const setAtMs = world.nowMs - ago;
        const policies = world.policies.filter((policy) => policy.setAtMs < setAtMs - DAY_MS);
        const rules = other.policies[0]?.rules ?? [];
        const set = { revision: policies.length + 1, setAtMs, rules, grace: undefined };
        noLess({ ...world, policies }, { policies: [...policies, set] });
      }),
      many,
    );
  });
});
