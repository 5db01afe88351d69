import { describe, expect, it } from 'vitest';
import { parseDuration, parseTime } from './time.ts';

const now = Date.UTC(2026, 10, 21, 20, 15);
const hour = 3_600_000;

describe('a TIME', () => {
  it.each([
    ['2026-11-20T10:00:00Z', Date.UTC(2026, 10, 20, 10)],
    ['2026-11-20t10:00:00.25z', Date.UTC(2026, 10, 20, 10, 0, 0, 250)],
    ['2026-11-20T10:00:00.123456789+02:00', Date.UTC(2026, 10, 20, 8, 0, 0, 123)],
    ['2026-11-20 10:00:00-05:30', Date.UTC(2026, 10, 20, 15, 30)],
    ['2026-11-20T10:00Z', Date.UTC(2026, 10, 20, 10)],
    ['3d', now - 72 * hour],
    ['2w', now - 14 * 24 * hour],
    ['12h', now - 12 * hour],
    ['30m', now - hour / 2],
    ['0s', now],
    ['latest', undefined],
  ])('%s is understood', (text, ms) => {
    expect(parseTime(text, now)).toBe(ms);
  });

  it('without an offset is local', () => {
    expect(parseTime('2026-11-20T10:00:00', now)).toBe(new Date(2026, 10, 20, 10).getTime());
  });

  it('that is a date means the end of that day, so that what the day brought is included', () => {
    expect(parseTime('2026-11-20', now)).toBe(new Date(2026, 10, 21).getTime() - 1);
    expect(parseTime('2024-02-29', now)).toBe(new Date(2024, 2, 1).getTime() - 1);
  });

  it.each([
    '',
    'yesterday',
    '2026-02-30',
    '2026-13-01',
    '2026-11-20T25:00:00Z',
    '2026-11-20T10:60:00Z',
    '3',
    '3y',
    '-3d',
    '1.5d',
    'd',
    'LATEST',
    '20261120',
  ])('"%s" is refused, with what is accepted', (text) => {
    expect(() => parseTime(text, now, '--at')).toThrow(
      expect.objectContaining({ code: 'USAGE_INVALID', message: expect.stringContaining('--at cannot be') }),
    );
  });
});

describe('a duration', () => {
  it.each([
    ['24h', 24 * hour],
    ['90s', 90_000],
    ['1w', 168 * hour],
  ])('%s is understood', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '24', 'h', '1h30m', '1e3s'])('"%s" is refused', (text) => {
    expect(() => parseDuration(text, '--expires')).toThrow('--expires cannot be');
  });
});
