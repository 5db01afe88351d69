import { courtesySchema } from '@aliquot/shared/settings/courtesy';
import { expect, test } from 'vitest';
import { limitsAt } from './limits.ts';

/** 2026-06-01 is a Monday. */
const at = (day: number, hour: number, minute = 0): number =>
  new Date(2026, 5, day, hour, minute).getTime();
const mbit = (settings: object, nowMs: number): number | undefined => {
  const rate = limitsAt(courtesySchema('posix').parse(settings), nowMs).bytesPerMs;
  return rate === undefined ? undefined : (rate * 8000) / 1_000_000;
};

const office = {
  maxMbitPerSecond: 100,
  timeWindows: [{ from: '08:00', to: '18:00', days: 'mon-fri', maxMbitPerSecond: 20 }],
};

test('without settings nothing is limited', () => {
  expect(limitsAt(courtesySchema('posix').parse({}), at(1, 12))).toEqual({
    cpuShare: undefined,
    bytesPerMs: undefined,
  });
});

for (const [when, nowMs, expected] of [
  ['the minute before a window', at(1, 7, 59), 100],
  ['its first minute', at(1, 8), 20],
  ['its last minute', at(1, 17, 59), 20],
  ['the minute after it', at(1, 18), 100],
  ['a day that is not its own', at(6, 12), 100],
] as const)
  test(`the line is limited by the hour: ${when}`, () =>
    expect(mbit(office, nowMs)).toBeCloseTo(expected));

test('a window over midnight belongs to the day on which it begins', () => {
  const night = { timeWindows: [{ from: '22:00', to: '06:00', days: 'fri', maxMbitPerSecond: 5 }] };
  expect(
    [at(5, 21, 59), at(5, 22), at(6, 5, 59), at(6, 6), at(5, 3), at(6, 23)].map((now) =>
      mbit(night, now),
    ),
  ).toEqual([undefined, 5, 5, undefined, undefined, undefined]);
});

test('a window that ends at midnight ends there, and one from midnight to midnight is a whole day', () => {
  const evening = { timeWindows: [{ from: '20:00', to: '24:00', maxMbitPerSecond: 5 }] };
  expect([mbit(evening, at(1, 23, 59)), mbit(evening, at(2, 0))]).toEqual([5, undefined]);
  const sunday = {
    timeWindows: [{ from: '00:00', to: '24:00', days: 'sun', maxMbitPerSecond: 5 }],
  };
  expect([
    mbit(sunday, at(6, 23, 59)),
    mbit(sunday, at(7, 0)),
    mbit(sunday, at(7, 23, 59)),
    mbit(sunday, at(8, 0)),
  ]).toEqual([undefined, 5, 5, undefined]);
});

test('the first window that holds decides, each limit by itself', () => {
  const both = {
    maxCpuPercent: 200,
    timeWindows: [
      { from: '08:00', to: '18:00', maxMbitPerSecond: 20 },
      { from: '00:00', to: '24:00', maxMbitPerSecond: 50, maxCpuPercent: 25 },
    ],
  };
  expect(mbit(both, at(1, 12))).toBe(20);
  expect(mbit(both, at(1, 19))).toBe(50);
  expect(limitsAt(courtesySchema('posix').parse(both), at(1, 12)).cpuShare).toBe(0.25);
});

test('days are read as ranges, lists and ranges over the weekend', () => {
  const days = (text: string) =>
    courtesySchema('posix').parse({
      timeWindows: [{ from: '00:00', to: '01:00', days: text, maxCpuPercent: 1 }],
    });
  expect(days('mon-fri').timeWindows[0]?.days).toEqual([1, 2, 3, 4, 5]);
  expect(days('Sat, sun').timeWindows[0]?.days).toEqual([0, 6]);
  expect(days('fri-mon').timeWindows[0]?.days).toEqual([0, 1, 5, 6]);
});
