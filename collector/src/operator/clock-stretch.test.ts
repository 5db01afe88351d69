import { describe, expect, it } from 'vitest';
import {
  boundsOf,
  offsetText,
  parseOffset,
  parseSpan,
  requireBetween,
  stretchIn,
} from './clock-stretch.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 30, 12);
const unheard = () => undefined;

describe('the time in which a clock was wrong', () => {
  it('is after one TIME, up to another', () => {
    expect(parseSpan('2036-11-01T00:00:00Z..2036-11-02T00:00:00.5Z', NOW, unheard)).toEqual({
      fromMs: Date.UTC(2036, 10, 1) + 999,
      toMs: Date.UTC(2036, 10, 2) + 599,
    });
    expect(parseSpan('1d..latest', NOW, unheard)).toEqual({ fromMs: NOW - DAY, toMs: undefined });
  });

  it.each(['2036-11-01', '..', '1d..', '..1d', '1d..2d..3d', 'latest..now', '1h..1d', 'x..y'])(
    'is not %s',
    (text) => {
      expect(() => parseSpan(text, NOW, unheard)).toThrowError(/--correct/);
    },
  );

  it('is off by whole units, ahead or behind', () => {
    expect(parseOffset('-20h')).toBe(-20 * HOUR);
    expect(parseOffset('+1y2d30m')).toBe(367 * DAY + HOUR / 2);
    for (const text of ['20h', '-', '-20', '-h', '-20x', '-1.5h', '+-1h'])
      expect(() => parseOffset(text)).toThrowError(/--by cannot be/);
    for (const ms of [-20 * HOUR, 3652 * DAY + 61_000, 0]) {
      expect(parseOffset(offsetText(ms))).toBe(ms);
    }
  });
});

describe('the leaves of a stretch', () => {
  const span = { fromMs: 500, toMs: 600 };

  it('are those that were recorded in it, less those that waited for the clock at its end', () => {
    expect(stretchIn([1, 2, 501, 502, 3], span)).toEqual({ from: 2, end: 4 });
    expect(stretchIn([501, 501, 502, 600], span)).toEqual({ from: 0, end: 4 });
    expect(stretchIn([1, 501, 502, 502, 502], span)).toEqual({ from: 1, end: 3 });
    expect(stretchIn([1, 501, 501], { fromMs: 1, toMs: undefined })).toEqual({ from: 1, end: 2 });
  });

  it('are none, or two stretches: neither can be meant', () => {
    expect(() => stretchIn([1, 500, 601], span)).toThrowError(/nothing that was received/);
    expect(() => stretchIn([501, 2, 502], span)).toThrowError(
      /twice, from leaf 0 and up to leaf 2/,
    );
  });

  it('lie between those beside them, and none is later than now', () => {
    const bounds = (notBeforeMs: number, notAfterMs: number) => ({ notBeforeMs, notAfterMs });
    expect(boundsOf([10, 90], 50)).toEqual(bounds(10, 50));
    expect(boundsOf([10, 40], 50)).toEqual(bounds(10, 40));
    expect(boundsOf([60, 90], 50)).toEqual(bounds(60, 60));
    expect(boundsOf([undefined, undefined], 50)).toEqual(bounds(0, 50));
    for (const some of [
      [5, 10],
      [20, 30],
      [40, 45],
    ] as const)
      expect(() => requireBetween(bounds(10, 40), some)).not.toThrow();
    expect(() => requireBetween(bounds(10, 40), [5, 9])).toThrowError(/all of it before/);
    expect(() => requireBetween(bounds(10, 40), [41, 45])).toThrowError(/all of it after/);
  });
});
