import { MAX_TIME_MS } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainAfter } from '../../testing/retention/oracle.ts';
import { after, type Period, periodAt, periodStart } from './calendar.ts';

const at = (text: string): number => Date.parse(text);
const instant = fc.oneof(
  fc.nat({ max: at('2500-01-01T00:00:00Z') }),
  // Around the ends of months.
  fc
    .tuple(fc.integer({ min: 0, max: 2400 }), fc.integer({ min: -2, max: 2 }))
    .map(([month, off]) => Math.max(0, Date.UTC(1970, month, 1) + off)),
);
const unit = fc.constantFrom('d', 'w', 'mo', 'y');
const term = fc.record({ count: fc.integer({ min: 1, max: 400 }), unit });
const periods = ['day', 'week', 'month', 'year'] as const;

describe('a term', () => {
  it.each([
    ['2026-01-30T10:00:00.123Z', 1, 'd', '2026-01-31T10:00:00.123Z'],
    ['2026-02-27T10:00:00Z', 1, 'w', '2026-03-06T10:00:00Z'],
    ['2026-01-15T10:00:00Z', 1, 'mo', '2026-02-15T10:00:00Z'],
    ['2026-01-31T10:00:00Z', 1, 'mo', '2026-03-01T00:00:00Z'],
    ['2028-01-31T00:00:00Z', 1, 'mo', '2028-03-01T00:00:00Z'],
    ['2028-01-29T23:59:59.999Z', 1, 'mo', '2028-02-29T23:59:59.999Z'],
    ['2026-12-31T10:00:00Z', 2, 'mo', '2027-03-01T00:00:00Z'],
    ['2028-02-29T10:00:00Z', 1, 'y', '2029-03-01T00:00:00Z'],
    ['2028-02-29T10:00:00Z', 4, 'y', '2032-02-29T10:00:00Z'],
    ['1970-01-01T00:00:00Z', 1000, 'y', '2970-01-01T00:00:00Z'],
  ] as const)('from %s on, of %i%s, ends at %s', (from, count, of, end) => {
    expect(new Date(after(at(from), { count, unit: of })).toISOString()).toBe(
      new Date(at(end)).toISOString(),
    );
  });

  it('ends as the calendar of the platform says', () => {
    fc.assert(
      fc.property(instant, term, (ms, one) => {
        expect(after(ms, one)).toBe(plainAfter(ms, one));
      }),
    );
  });

  it('never ends sooner when it begins later or is longer, so that "every state of the last month" holds', () => {
    fc.assert(
      fc.property(instant, fc.nat({ max: 3 * 86_400_000 }), term, (ms, more, one) => {
        expect(after(ms + more, one)).toBeGreaterThanOrEqual(after(ms, one));
        expect(after(ms, { ...one, count: one.count + 1 })).toBeGreaterThan(after(ms, one));
        expect(after(ms, one)).toBeGreaterThan(ms);
      }),
    );
  });
});

describe('days, weeks, months and years', () => {
  it('follow each other without a gap, and each instant lies in one', () => {
    fc.assert(
      fc.property(instant, fc.constantFrom(...periods), (ms, period) => {
        const number = periodAt(period, ms);
        expect(periodStart(period, number)).toBeLessThanOrEqual(ms);
        expect(periodStart(period, number + 1)).toBeGreaterThan(ms);
        expect(periodAt(period, periodStart(period, number))).toBe(number);
        expect(periodAt(period, periodStart(period, number) - 1)).toBe(number - 1);
      }),
    );
  });

  it('begin at midnight in UTC: weeks on a Monday, months on the first, years on 1 January', () => {
    const begins = (period: Period, ms: number) =>
      new Date(periodStart(period, periodAt(period, ms)));
    fc.assert(
      fc.property(instant, (ms) => {
        for (const period of periods)
          expect(begins(period, ms).toISOString()).toMatch(/T00:00:00\.000Z$/);
        expect(begins('week', ms).getUTCDay()).toBe(1);
        expect(begins('month', ms).getUTCDate()).toBe(1);
        expect(begins('year', ms).toISOString()).toMatch(/-01-01T/);
      }),
    );
  });

  it.each([
    // The weeks of ISO 8601 around a turn of the year.
    ['2026-12-31T12:00:00Z', '2026-12-28'],
    ['2027-01-03T23:59:59.999Z', '2026-12-28'],
    ['2027-01-04T00:00:00Z', '2027-01-04'],
    ['2024-12-30T00:00:00Z', '2024-12-30'],
  ])('%s lies in the week that began on %s', (text, monday) => {
    const start = periodStart('week', periodAt('week', at(text)));
    expect(new Date(start).toISOString().slice(0, 10)).toBe(monday);
  });
});

it('what would end behind the last time that can be shown never ends', () => {
  expect(after(MAX_TIME_MS, { count: 1, unit: 'y' })).toBe(Infinity);
  expect(after(MAX_TIME_MS - 40 * 86_400_000, { count: 2, unit: 'mo' })).toBe(Infinity);
  expect(periodStart('year', periodAt('year', MAX_TIME_MS) + 1)).toBe(Infinity);
});
