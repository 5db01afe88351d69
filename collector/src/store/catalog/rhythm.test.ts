import { describe, expect, it } from 'vitest';
import { learn, MAX_WEEKS, type Rhythm, silenceLimitMs } from './rhythm.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A Monday, 08:00. */
const MONDAY = Date.UTC(2026, 10, 2, 8);

/**
 * Lives through signs of life and says after how many hours of silence behind the last one somebody
 * should look.
 */
function limitAfter(times: readonly number[]): number {
  let rhythm: Rhythm | undefined;
  let last: number | undefined;
  for (const time of times) {
    rhythm = learn(rhythm, last, time);
    last = time;
  }
  return silenceLimitMs(rhythm, last) / HOUR;
}

const every = (step: number, from: number, until: number): number[] =>
  Array.from({ length: Math.floor((until - from) / step) + 1 }, (_, at) => from + at * step);
/** A PC that is switched off at night and on weekends, with a scan every five minutes. */
const officeDays = (days: number): number[] =>
  Array.from({ length: days }, (_, day) => day)
    .filter((day) => day % 7 < 5)
    .flatMap((day) => every(5 * MINUTE, MONDAY + day * DAY, MONDAY + day * DAY + 10 * HOUR));

describe('the silence after which somebody should look', () => {
  it('is an hour for a service that always runs, also in its first weeks', () => {
    expect(limitAfter(every(5 * MINUTE, MONDAY, MONDAY + 2 * DAY))).toBe(1);
    expect(limitAfter(every(5 * MINUTE, MONDAY, MONDAY + 40 * DAY))).toBe(1);
  });

  it('is a day while nothing is known', () => {
    expect(limitAfter([MONDAY])).toBe(24);
    expect(limitAfter(every(5 * MINUTE, MONDAY, MONDAY + 10 * HOUR))).toBe(24);
    expect(silenceLimitMs(undefined, undefined)).toBe(DAY);
  });

  it('lets a nightly backup pass one night, and not three', () => {
    const limit = limitAfter(every(DAY, MONDAY, MONDAY + 30 * DAY));
    expect(limit).toBeGreaterThan(25);
    expect(limit).toBeLessThan(48);
  });

  it('knows weekends, and on the first one is patient', () => {
    const weekend = 62;
    expect(limitAfter(officeDays(5))).toBeGreaterThan(weekend);
    const learnt = limitAfter(officeDays(26));
    expect(learnt).toBeGreaterThan(weekend);
    expect(learnt).toBeLessThan(2 * weekend);
  });

  it('knows backups that are made once a week or once a month', () => {
    for (const days of [7, 30]) {
      const limit = limitAfter(every(days * DAY, MONDAY, MONDAY + 10 * days * DAY)) / 24;
      expect(limit).toBeGreaterThan(days * 1.2);
      expect(limit).toBeLessThan(days * 2);
    }
  });

  it('does not take one outage or one holiday for usual', () => {
    const before = every(5 * MINUTE, MONDAY, MONDAY + 30 * DAY);
    const after = every(5 * MINUTE, MONDAY + 45 * DAY, MONDAY + 60 * DAY);
    expect(limitAfter([...before, ...after])).toBe(1);
  });

  it('follows an agent whose rhythm changed, and keeps only a few numbers', () => {
    const nightly = every(DAY, MONDAY, MONDAY + 60 * DAY);
    const always = every(
      5 * MINUTE,
      MONDAY + 60 * DAY,
      MONDAY + 60 * DAY + (MAX_WEEKS + 1) * 7 * DAY,
    );
    expect(limitAfter([...nightly, ...always])).toBe(1);
    let rhythm: Rhythm | undefined;
    for (const time of nightly) rhythm = learn(rhythm, time - DAY, time);
    expect(rhythm?.weeks.length).toBeLessThanOrEqual(MAX_WEEKS);
  });

  it('learns nothing from a clock that was put back', () => {
    const rhythm = learn(learn(undefined, undefined, MONDAY), MONDAY, MONDAY + DAY);
    expect(learn(rhythm, MONDAY + DAY, MONDAY)).toBe(rhythm);
    expect(learn(rhythm, MONDAY, MONDAY - 30 * DAY)).toBe(rhythm);
  });
});
