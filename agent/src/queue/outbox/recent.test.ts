import { asChunkId } from '@aliquot/proto';
import { expect, test } from 'vitest';
import { sample } from '../../../testing/queue/support.ts';
import type { QueuedItem } from '../log/facts.ts';
import { Recent } from './recent.ts';

/** Items of so many bytes, each with an id of its own. */
function items(count: number, bytes: number): QueuedItem[] {
  return Array.from({ length: count }, (_, at) => {
    const id = new Uint8Array(32);
    new DataView(id.buffer).setUint32(0, at);
    return { id: asChunkId(id), kind: 'chunk', sealed: new Uint8Array(bytes) };
  });
}

test('an item that was put lately is given away once', () => {
  const recent = new Recent();
  const [first] = sample('/data/one').items;
  if (first === undefined) throw new Error('no item');
  recent.putItem(first);
  expect(recent.takeItem(first.id)).toBe(first);
  expect(recent.takeItem(first.id)).toBeUndefined();
});

test('from two mebibytes on somebody is told, and may take what is oldest', () => {
  let told = 0;
  const recent = new Recent(() => {
    told += 1;
  });
  const many = items(12, 400_000);
  for (const item of many.slice(0, 5)) recent.putItem(item);
  expect([told, recent.takeItems(1)]).toEqual([0, []]);
  for (const item of many.slice(5)) recent.putItem(item);
  expect(told).toBe(2);
  expect(recent.takeItems(900_000)).toEqual(many.slice(0, 3));
  expect(recent.takeItem(many[1]?.id ?? asChunkId(new Uint8Array(32)))).toBeUndefined();
  expect(recent.takeItems(900_000)).toEqual(many.slice(3, 6));
  expect(recent.takeItems(900_000)).toEqual(many.slice(6, 9));
  expect(recent.takeItems(900_000)).toEqual([]);
});

test('what is kept is bounded: the oldest items and drafts go first', () => {
  const recent = new Recent();
  const many = items(6, 1_750_000);
  for (const item of many) recent.putItem(item);
  expect(many.map((item) => recent.takeItem(item.id) !== undefined)).toEqual([
    false,
    false,
    false,
    true,
    true,
    true,
  ]);
  const tiny = items(20_000, 10);
  for (const item of tiny) recent.putItem(item);
  const kept = tiny.filter((item) => recent.takeItem(item.id) !== undefined);
  expect(kept.length).toBeLessThan(13_000);
  expect(kept.at(-1)).toBe(tiny.at(-1));
  const { draft } = sample('/data/one');
  for (let entry = 1; entry <= 8193; entry += 1)
    recent.putVersions(entry, { drafts: [{ draft, bytes: 1 }] });
  expect([recent.versions(1), recent.versions(2)]).toEqual([
    undefined,
    { drafts: [{ draft, bytes: 1 }] },
  ]);
});

test('drafts of signed versions are forgotten, later ones are not', () => {
  const recent = new Recent();
  const { draft } = sample('/data/one');
  for (const entry of [1, 2, 3]) recent.putVersions(entry, { drafts: [{ draft, bytes: 1 }] });
  recent.signed(2);
  expect([1, 2, 3].map((entry) => recent.versions(entry) !== undefined)).toEqual([
    false,
    false,
    true,
  ]);
});
