import { describe, expect, it, vi } from 'vitest';
import { formatInstant, formatLocalInstant, formatLocalTime, formatTime } from './format.ts';
import { parseDuration, parseTime } from './time.ts';

const now = Date.UTC(2026, 10, 21, 20, 15);
const HOUR = 3_600_000;

/** Runs in a time zone: the tests must hold wherever they run, and see clocks that change. */
function inZone<T>(zone: string, work: () => T): T {
  vi.stubEnv('TZ', zone);
  try {
    return work();
  } finally {
    vi.unstubAllEnvs();
  }
}

function told(text: string, nowMs = now): string[] {
  const notes: string[] = [];
  parseTime(text, nowMs, '--at', (note) => notes.push(note));
  return notes;
}

describe('a TIME', () => {
  it.each([
    ['2026-11-20T10:00:00.000Z', Date.UTC(2026, 10, 20, 10)],
    ['2026-11-20 10:00:00.017 UTC', Date.UTC(2026, 10, 20, 10, 0, 0, 17)],
    ['2026-11-20T10:00:00.123456789+02:00', Date.UTC(2026, 10, 20, 8, 0, 0, 123)],
    ['3d', now - 72 * HOUR],
    ['2w', now - 14 * 24 * HOUR],
    ['12h', now - 12 * HOUR],
    ['30m', now - HOUR / 2],
    ['0s', now],
    ['now', now],
    ['latest', undefined],
  ])('%s is understood', (text, ms) => {
    expect(parseTime(text, now)).toBe(ms);
  });

  it.each([
    ['2026-11-20T10:00:00Z', Date.UTC(2026, 10, 20, 10, 0, 1)],
    ['2026-11-20 10:00:00-05:30', Date.UTC(2026, 10, 20, 15, 30, 1)],
    ['2026-11-20t10:00:00.25z', Date.UTC(2026, 10, 20, 10, 0, 0, 260)],
    ['2026-11-20T10:00Z', Date.UTC(2026, 10, 20, 10, 1)],
    ['2026-11-20 10:00 UTC', Date.UTC(2026, 10, 20, 10, 1)],
    ['2026-11-20 9:05 gmt', Date.UTC(2026, 10, 20, 9, 6)],
    ['2026-11-20 UTC', Date.UTC(2026, 10, 21)],
    ['2026-11-20 +01:00', Date.UTC(2026, 10, 20, 23)],
    ['today UTC', Date.UTC(2026, 10, 22)],
    ['yesterday UTC', Date.UTC(2026, 10, 21)],
    ['yesterday 14:10 UTC', Date.UTC(2026, 10, 20, 14, 11)],
    ['Friday UTC', Date.UTC(2026, 10, 21)],
    ['saturday 14:10 UTC', Date.UTC(2026, 10, 14, 14, 11)],
    ['sunday UTC', Date.UTC(2026, 10, 16)],
    ['20:15 UTC', Date.UTC(2026, 10, 21, 20, 16)],
    ['20:16Z', Date.UTC(2026, 10, 20, 20, 17)],
    ['2024-02-29 UTC', Date.UTC(2024, 2, 1)],
  ])(
    '%s means the end of what it names, so that what came within it is included',
    (text, nextMs) => {
      expect(parseTime(text, now)).toBe(nextMs - 1);
    },
  );

  it.each(['UTC', 'America/New_York', 'Asia/Kathmandu'])(
    'is local without a zone, as in %s',
    (zone) => {
      inZone(zone, () => {
        expect(parseTime('2026-11-20T10:00:00', now)).toBe(
          new Date(2026, 10, 20, 10).getTime() + 999,
        );
        expect(parseTime('2026-11-20', now)).toBe(new Date(2026, 10, 21).getTime() - 1);
        expect(parseTime('today', now)).toBe(
          new Date(new Date(now).getFullYear(), 10, new Date(now).getDate() + 1).getTime() - 1,
        );
        expect(parseTime('14:10', now)).toBeLessThan(now + 60_000);
        expect(parseTime('14:10', now)).toBeGreaterThan(now - 24 * HOUR);
      });
    },
  );

  it.each(['UTC', 'America/New_York', 'Asia/Kathmandu'])(
    'that was printed means the same again, in %s',
    (zone) => {
      inZone(zone, () => {
        for (const ms of [
          0,
          1,
          999,
          now,
          now + 17,
          Date.UTC(2026, 10, 1, 5, 30, 3, 7),
          Date.UTC(2026, 10, 1, 6, 30, 3, 7),
        ]) {
          expect(parseTime(formatTime(ms), now)).toBe(ms);
          expect(parseTime(formatInstant(ms), now)).toBe(ms);
          expect(parseTime(formatLocalInstant(ms), now)).toBe(ms);
          expect(parseTime(formatLocalTime(ms), now)).toBe(
            ms - (((ms % 1000) + 1000) % 1000) + 999,
          );
          expect(told(formatTime(ms))).toEqual([]);
          expect(told(formatInstant(ms))).toEqual([]);
        }
      });
    },
  );

  it('of a night in which the clocks changed is one instant, and the answer says which', () => {
    inZone('America/New_York', () => {
      // Set back at 06:00 UTC: 01:30 was at 05:30 UTC and at 06:30 UTC.
      expect(parseTime('2026-11-01 01:30', now)).toBe(Date.UTC(2026, 10, 1, 6, 31) - 1);
      expect(told('2026-11-01 01:30')[0]).toContain(
        'showed it twice, first from 2026-11-01T05:30:00.000Z',
      );
      expect(parseTime('2026-11-01 00:59', now)).toBe(Date.UTC(2026, 10, 1, 5) - 1);
      expect(parseTime('2026-11-01 02:00', now)).toBe(Date.UTC(2026, 10, 1, 7, 1) - 1);
      expect(parseTime('2026-11-01', now)).toBe(Date.UTC(2026, 10, 2, 5) - 1);
      // Set forward at 07:00 UTC: there was no 02:30.
      expect(parseTime('2026-03-08 02:30', now)).toBe(Date.UTC(2026, 2, 8, 7, 31) - 1);
      expect(told('2026-03-08 02:30')[0]).toContain('the clocks skipped that time');
      expect(parseTime('2026-03-08', now)).toBe(Date.UTC(2026, 2, 9, 4) - 1);
    });
    inZone('Australia/Lord_Howe', () => {
      expect(parseTime('2026-04-05 01:45', now)).toBe(Date.UTC(2026, 3, 4, 15, 16) - 1);
    });
    inZone('America/Havana', () => {
      // Midnight itself came twice on 1 November, and never on 8 March.
      expect(parseTime('2026-10-31', now)).toBe(Date.UTC(2026, 10, 1, 4) - 1);
      expect(parseTime('2026-03-07', now)).toBe(Date.UTC(2026, 2, 8, 5) - 1);
    });
  });

  it('says which instant was meant, unless the text itself does', () => {
    inZone('America/New_York', () => {
      expect(told('yesterday 14:10')).toEqual([
        '--at "yesterday 14:10" means 2026-11-20 19:10:59.999 UTC, here 2026-11-20 14:10:59 -05:00',
      ]);
      expect(told('3d')[0]).toContain('means 2026-11-18 20:15:00.000 UTC');
      expect(told('2026-11-20T10:00:00Z')).toEqual([]);
      expect(told('2026-11-20T10:00Z')).toHaveLength(1);
      expect(told('2026-11-20 10:00:00')).toHaveLength(1);
      expect(told('10:00:00 UTC')).toHaveLength(1);
      expect(told('latest')).toEqual([]);
    });
  });

  it.each([
    '',
    'tomorrow',
    'yesterday 25:00',
    'UTC',
    'Z',
    '2026-02-30',
    '2026-13-01',
    '2026-00-10',
    '0026-01-01',
    '2026-11-20T25:00:00Z',
    '2026-11-20T10:60:00Z',
    '2026-11-20T10:00:60Z',
    '2026-11-20T10:00:00+24:00',
    '2026-11-20T10:00:00 CET',
    '3',
    '3q',
    '-3d',
    '1.5d',
    'd',
    'LATEST',
    '20261120',
  ])('"%s" is refused, with what is accepted', (text) => {
    expect(() => parseTime(text, now, '--at')).toThrow(
      expect.objectContaining({
        code: 'USAGE_INVALID',
        message: expect.stringContaining('--at cannot be'),
      }),
    );
  });
});

describe('a duration', () => {
  it.each([
    ['24h', 24 * HOUR],
    ['90s', 90_000],
    ['1w', 168 * HOUR],
  ])('%s is understood', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '24', 'h', '1h30m', '1e3s'])('"%s" is refused', (text) => {
    expect(() => parseDuration(text, '--expires')).toThrow('--expires cannot be');
  });
});
