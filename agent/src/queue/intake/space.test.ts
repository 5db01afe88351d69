import { describe, expect, test } from 'vitest';
import {
  dropsOldestKept,
  passingBytes,
  type QueueBudget,
  segmentBytesFor,
  spaceFor,
} from './space.ts';

const budget: QueueBudget = { maxBytes: 1000, minFreeBytes: 100, classes: { half: 0.5, none: 0 } };

describe('I-A10: what a class may add', () => {
  const space = (used: number, free: number, className = 'default', ofClass = 0, passing = false) =>
    spaceFor(budget, { usedBytes: used, freeBytes: free }, className, ofClass, passing);

  test.each([
    { is: 'the budget', space: space(0, 5000), bytes: 1000, limit: 'budget' },
    { is: 'what is left of the budget', space: space(999, 5000), bytes: 1, limit: 'budget' },
    { is: 'nothing once it is used', space: space(1000, 5000), bytes: 0, limit: 'budget' },
    { is: 'nothing when it is overdrawn', space: space(1200, 5000), bytes: 0, limit: 'budget' },
    { is: 'what the disk has above its floor', space: space(0, 101), bytes: 1, limit: 'disk' },
    { is: 'nothing at the floor', space: space(0, 100), bytes: 0, limit: 'disk' },
    { is: 'the share of its class', space: space(0, 5000, 'half'), bytes: 500, limit: 'budget' },
    { is: 'what is left of it', space: space(499, 5000, 'half', 499), bytes: 1, limit: 'budget' },
    { is: 'nothing of no share', space: space(0, 5000, 'none'), bytes: 0, limit: 'budget' },
    // Half of 80 + 20 may be on its way, and 20 are.
    { is: 'what may pass', space: space(20, 80, 'default', 20, true), bytes: 30, limit: 'disk' },
    {
      is: 'not less for passing',
      space: space(0, 5000, 'half', 0, true),
      bytes: 500,
      limit: 'budget',
    },
  ])('is $is', ({ space: { bytes, limit }, ...expected }) => {
    expect({ bytes, limit }).toEqual({ bytes: expected.bytes, limit: expected.limit });
  });

  test('below the floor is half of the disk at most, and a gibibyte at most', () => {
    expect(passingBytes(80, 20)).toBe(50);
    expect(passingBytes(2 ** 40, 0)).toBe(2 ** 30);
  });
});

describe('the oldest kept segment', () => {
  const drops = (kept: number, used: number, free: number, wanted = 0, most = 400) =>
    dropsOldestKept(budget, { usedBytes: used, freeBytes: free }, kept, most, wanted);

  test('stays within what may be kept', () => {
    expect(drops(400, 0, 5000)).toBe(false);
    expect(drops(401, 0, 5000)).toBe(true);
  });

  test('leaves the budget to what has no receipt', () => {
    expect(drops(400, 600, 5000)).toBe(false);
    expect(drops(400, 601, 5000)).toBe(true);
  });

  test('goes for the floor of the disk, and for what waits to be added', () => {
    expect(drops(1, 0, 100)).toBe(false);
    expect(drops(1, 0, 99)).toBe(true);
    expect(drops(1, 0, 150, 50)).toBe(false);
    expect(drops(1, 0, 150, 51)).toBe(true);
  });

  test('is not asked for when there is none', () => expect(drops(0, 5000, 0, 50)).toBe(false));

  test('only stays within what may be kept when there is no budget', () => {
    const free = { usedBytes: 10 ** 6, freeBytes: 0 };
    expect(dropsOldestKept(undefined, free, 400, 400, 50)).toBe(false);
    expect(dropsOldestKept(undefined, free, 401, 400, 0)).toBe(true);
  });
});

test('segments are small beside the budget, and never smaller than they are worth', () => {
  expect(segmentBytesFor(16 << 20, undefined)).toBe(16 << 20);
  expect(segmentBytesFor(16 << 20, { ...budget, maxBytes: 80 << 20 })).toBe(10 << 20);
  expect(segmentBytesFor(16 << 20, budget)).toBe(4096);
});
