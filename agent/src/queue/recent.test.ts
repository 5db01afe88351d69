import { expect, test } from 'vitest';
import { Recent } from './recent.ts';
import { sample } from './test-support.ts';

test('an item that was put lately is given away once', () => {
  const recent = new Recent();
  const [first] = sample('/data/one').items;
  if (first === undefined) throw new Error('no item');
  recent.putItem(first);
  expect(recent.takeItem(first.id)).toBe(first);
  expect(recent.takeItem(first.id)).toBeUndefined();
});

test('what is kept is bounded: the oldest items and drafts go first', () => {
  const recent = new Recent();
  const many = Array.from({ length: 6 }, (_, at) => sample(`/data/large ${at}`, 1, 3_500_000)).flatMap((file) => file.items);
  for (const item of many) recent.putItem(item);
  const kept = many.map((item) => recent.takeItem(item.id) !== undefined);
  expect(kept).toEqual([false, false, true, true, true, true]);
  const { draft } = sample('/data/one');
  for (let entry = 1; entry <= 4097; entry += 1) recent.putDraft(entry, { draft, bytes: 1 });
  expect([recent.draft(1), recent.draft(2)]).toEqual([undefined, { draft, bytes: 1 }]);
});

test('drafts of signed versions are forgotten, later ones are not', () => {
  const recent = new Recent();
  const { draft } = sample('/data/one');
  for (const entry of [1, 2, 3]) recent.putDraft(entry, { draft, bytes: 1 });
  recent.signed(2);
  expect([1, 2, 3].map((entry) => recent.draft(entry) !== undefined)).toEqual([false, false, true]);
});
