import { retentionTemplates } from '@aliquot/shared/settings/retention-templates';
import { describe, expect, it } from 'vitest';
import {
  type Arrival,
  DAY_MS,
  dated,
  factsOf,
  type RetentionCase,
  rulesIn,
} from '../../testing/retention/histories.ts';
import { keptFor } from './kept.ts';

/**
 * Somebody holds a PC and everything on it, and wants the collector to let go of what it has. The
 * rules are the template "raw", and one beside it that keeps little of another class.
 */

const NOON = Date.UTC(2026, 10, 30, 12);
const HOUR_MS = DAY_MS / 24;
const WITHIN_DAYS = 90;

const raw = retentionTemplates.find(({ name }) => name === 'raw')?.text ?? '';
const rules = rulesIn(
  `${raw.replace('lock: 1y, ', '')}    - {match: {class: [temporary]}, keep: {within: 7d}, gone: 7d}\n`,
);
const policies = [{ revision: 1, setAtMs: 0, rules, grace: undefined }];

const whole = (atMs: number, more: Partial<Arrival> = {}): Arrival => ({
  ...{ claimMs: atMs, receivedMs: atMs, kind: 'whole', className: 'raw' },
  ...more,
});

/** What an honest PC had sent: a result, once a day for a while. */
const honest: readonly Arrival[] = Array.from({ length: 5 }, (_, day) =>
  whole(NOON - (5 - day) * DAY_MS),
);
const LAST = honest.length - 1;

/** How many days from `fromMs` on each honest version stays, after what the attacker sends. */
function daysKept(attack: readonly Arrival[], fromMs: number): number[] {
  const versions = dated([...honest, ...attack]);
  const nowMs = versions.at(-1)?.receivedMs ?? 0;
  const world: RetentionCase = { versions, policies, holds: [], isDecided: true, nowMs };
  const ends = keptFor(factsOf(world, nowMs)).ends;
  return ends.slice(0, honest.length).map((end) => (end - fromMs) / DAY_MS);
}

describe('whoever holds a PC changes nothing that should be kept', () => {
  it('by versions dated into the future', () => {
    const attack = [whole(NOON, { claimMs: Date.UTC(2100, 0, 1) }), whole(NOON + HOUR_MS)];
    expect(daysKept(attack, NOON)[LAST]).toBeGreaterThanOrEqual(WITHIN_DAYS);
  });

  it('by versions dated back after 40 silent days, into which the days of the last good one fall', () => {
    const silent = NOON + 40 * DAY_MS;
    const attack = Array.from({ length: 40 }, (_, day) =>
      whole(silent, { claimMs: NOON - 5 * DAY_MS + day * DAY_MS }),
    );
    // By version times it lost all of its days, and its replacement is 45 days old.
    expect(daysKept(attack, silent)[LAST]).toBeGreaterThanOrEqual(WITHIN_DAYS);
  });

  it('by 10,000 versions of one file', () => {
    const flood = Array.from({ length: 10_000 }, (_, at) => whole(NOON + at * 1000));
    const kept = daysKept(flood, NOON);
    expect(kept[LAST]).toBeGreaterThanOrEqual(WITHIN_DAYS);
    // The days before it keep their states, which no number of versions pushes out.
    for (const [at, days] of kept.slice(0, LAST).entries())
      expect(days).toBeGreaterThanOrEqual(WITHIN_DAYS - honest.length + at);
  });

  it('by saying that everything is gone', () => {
    const kept = daysKept([whole(NOON, { kind: 'gone' })], NOON);
    expect(kept[LAST]).toBe(Infinity);
    // Nor by putting something else there then.
    const replaced = daysKept([whole(NOON, { kind: 'gone' }), whole(NOON + HOUR_MS)], NOON);
    expect(replaced[LAST]).toBeGreaterThanOrEqual(WITHIN_DAYS);
  });

  it('by sending the file under a class that keeps little', () => {
    const other = whole(NOON, { className: 'temporary' });
    expect(daysKept([other], NOON)[LAST]).toBeGreaterThanOrEqual(WITHIN_DAYS);
    // Also where that is then gone: the class of "gone" says nothing of what was before.
    const gone = whole(NOON + HOUR_MS, { className: 'temporary', kind: 'gone' });
    expect(daysKept([other, gone], NOON)[LAST]).toBeGreaterThanOrEqual(WITHIN_DAYS);
    const onlyGone = whole(NOON, { className: 'temporary', kind: 'gone' });
    expect(daysKept([onlyGone], NOON)[LAST]).toBe(Infinity);
  });

  it('by versions that claim only to grow', () => {
    const growing = Array.from({ length: 5 }, (_, at) =>
      whole(NOON + at * DAY_MS, { kind: 'growing' }),
    );
    expect(daysKept(growing, NOON)[LAST]).toBe(Infinity);
  });

  it('where somebody notices within the lock, by anything at all', () => {
    const locked = rules.map((rule) => ({ ...rule, lock: { count: 1, unit: 'y' as const } }));
    const attack = [whole(NOON, { className: 'temporary' }), whole(NOON + 1, { kind: 'gone' })];
    const versions = dated([...honest, ...attack]);
    const world = { versions, holds: [], isDecided: true, nowMs: NOON + 1 };
    const set = [{ revision: 1, setAtMs: 0, rules: locked, grace: undefined }];
    const ends = keptFor(factsOf({ ...world, policies: set }, NOON + 1)).ends;
    for (const [at, { receivedMs }] of honest.entries())
      expect(ends[at]).toBeGreaterThanOrEqual(receivedMs + 365 * DAY_MS);
  });
});
