import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bitsOf, release, releasePart, releaseWhole, shareBuffers } from './bytes.ts';

test('a large buffer of its own is given back at once; small ones, and parts of larger ones, are left alone', () => {
  const large = new Uint8Array(1 << 20);
  release(large);
  expect(large.length).toBe(0);
  const small = new Uint8Array(1000);
  release(small);
  expect(small.length).toBe(1000);
  const part = new Uint8Array(4 << 20).subarray(0, 1 << 20);
  release(part);
  expect(part.length).toBe(1 << 20);
});

test('of a buffer that holds more, even a little, releasing the whole leaves everything alone', () => {
  const whole = new Uint8Array(1 << 20);
  const part = whole.subarray(1);
  releaseWhole(part);
  expect(part.length).toBe((1 << 20) - 1);
  releaseWhole(whole);
  expect(whole.length).toBe(0);
});

test('one that is a whole buffer is given back from 16 KiB on, as a slab is', () => {
  const slab = new Uint8Array(16 << 10);
  releaseWhole(slab);
  expect(slab.length).toBe(0);
  const small = new Uint8Array((16 << 10) - 1);
  releaseWhole(small);
  expect(small.length).toBe((16 << 10) - 1);
});

test('a shared buffer is given back with the last of its parts; one that nobody shares, as a whole', () => {
  const buffer = new Uint8Array(1 << 20);
  const parts = [buffer.subarray(0, 100), buffer.subarray(100, 70_000), buffer.subarray(70_000)];
  shareBuffers(parts);
  for (const part of parts.slice(0, 2)) releasePart(part);
  expect(buffer.length).toBe(1 << 20);
  for (const part of parts.slice(2)) releasePart(part);
  expect(buffer.length).toBe(0);
  const whole = new Uint8Array(1 << 20);
  releasePart(whole.subarray(1));
  expect(whole.length).toBe(1 << 20);
  releasePart(whole);
  expect(whole.length).toBe(0);
});

test.each<[string, readonly number[], readonly number[]]>([
  ['none', [], []],
  ['the first', [0], [0b1]],
  ['the last of a byte', [7], [0b1000_0000]],
  ['the first of the next byte', [8], [0, 0b1]],
  ['some in no order, one of them twice', [17, 0, 3, 17, 10], [0b1001, 0b100, 0b10]],
])('bits of %s take as many bytes as the largest needs', (_of, numbers, bytes) => {
  expect(bitsOf(numbers)).toEqual(Uint8Array.from(bytes));
  expect(bitsOf(new Set(numbers))).toEqual(Uint8Array.from(bytes));
});

test('bits of any slots are those of the slots, and of no others', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 65_535 })), (slots) => {
      const bits = bitsOf(slots);
      const set: number[] = [];
      for (const [at, byte] of bits.entries())
        for (let bit = 0; bit < 8; bit += 1) if (((byte >>> bit) & 1) === 1) set.push(8 * at + bit);
      expect(set).toEqual([...new Set(slots)].sort((a, b) => a - b));
      expect(bits.at(-1)).not.toBe(0);
    }),
  );
});
