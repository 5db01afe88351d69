import { expect, test } from 'vitest';
import { Overlay } from './overlay.ts';

const bytes = (...values: readonly number[]): Buffer => Buffer.from(values);

test('what waits is given in the order of its bytes, those above 127 too, and to a range its own', () => {
  const overlay = new Overlay();
  const keys = [bytes(0xff), bytes(0x80, 1), bytes(0x7f), bytes(0x80), bytes(1, 0xfe), bytes(1)];
  for (const key of keys) overlay.set(key, key);
  overlay.set(bytes(0x80, 1), undefined);

  const within = (gte: Buffer, lt?: Buffer): (readonly [Buffer, Uint8Array | undefined])[] => [
    ...overlay.within(lt === undefined ? { gte } : { gte, lt }),
  ];
  const sorted = [...keys].sort(Buffer.compare);
  expect(within(bytes(0)).map(([key]) => key)).toEqual(sorted);
  expect(within(bytes(0x7f), bytes(0x80, 1)).map(([key]) => key)).toEqual([
    bytes(0x7f),
    bytes(0x80),
  ]);

  // A removal that waits is another thing than no word on the key.
  expect(overlay.get(bytes(0x80, 1))).toBeNull();
  expect(overlay.get(bytes(2))).toBeUndefined();

  overlay.forget({ gte: bytes(0x80), lt: bytes(0xff) });
  expect([...overlay.all()].map(([key]) => key).sort(Buffer.compare)).toEqual([
    ...[bytes(1), bytes(1, 0xfe), bytes(0x7f), bytes(0xff)],
  ]);
});
