import { expect, it } from 'vitest';
import { Growth } from './growth.ts';

const DAY = 24 * 3_600_000;
const NOW = Date.UTC(2026, 10, 2, 8);

it('a vault’s growth is what the last two weeks brought, by the day', () => {
  const growth = new Growth();
  expect(growth.perDay(NOW, 5)).toBeUndefined();
  for (let day = 0; day < 40; day += 1)
    growth.note(NOW + day * DAY, day < 20 ? 0 : (day - 20) * 1000);
  expect(growth.perDay(NOW + 39 * DAY, 19_000)).toBeCloseTo(1000, -2);
});

it('is not known before a day has passed, and never below nothing', () => {
  const growth = new Growth();
  growth.note(NOW, 1000);
  expect(growth.perDay(NOW + 3600_000, 9000)).toBeUndefined();
  expect(growth.perDay(NOW + 3 * DAY, 0)).toBe(0);
});

it('writes a row once a day and removes those that are too old, or of a clock that ran ahead', () => {
  const growth = new Growth();
  expect(growth.note(NOW, 1)).toEqual([{ day: Math.floor(NOW / DAY), bytes: 1 }]);
  expect(growth.note(NOW + 1, 2)).toEqual([]);
  expect(growth.note(NOW + 20 * DAY, 3)).toHaveLength(2);
  expect(growth.note(NOW + 2 * DAY, 3)).toHaveLength(2);
});
