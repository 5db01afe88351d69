import { expect, test } from 'vitest';
import { median } from './statistics.ts';

test('the median is the middle value, whatever the order', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([7])).toBe(7);
});

test('the median of an even number of values is the mean of the two in the middle', () => {
  expect(median([10, 1, 4, 2])).toBe(3);
});

test('there is no median of nothing', () => {
  expect(median([])).toBeNaN();
});
