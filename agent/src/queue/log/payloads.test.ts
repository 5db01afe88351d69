import { describe, expect, test } from 'vitest';
import { sample } from '../../../testing/queue/support.ts';
import { decodeLostRecord } from './lost-payloads.ts';
import {
  decodeKnown,
  decodeProblem,
  decodeSignedRecord,
  decodeVersion,
  encodeKnown,
  encodeProblem,
} from './payloads.ts';

describe('payloads', () => {
  const known = { ...sample('/data/ä').known, mtimeNs: -5n, ino: 2n ** 64n - 1n };

  test('of a known file come back as they were', () => {
    const read = decodeKnown(encodeKnown(9, known));
    expect(read).toMatchObject({
      entry: 9,
      stat: { mtimeNs: -5n, ino: 2n ** 64n - 1n, size: 200, kind: 'file', mode: 0o644 },
    });
    expect(Buffer.from(read.stat.path).toString()).toBe('/data/ä');
    expect(Buffer.compare(encodeKnown(9, read.stat), encodeKnown(9, known))).toBe(0);
  });

  test('cut anywhere, lengthened, or of another layout are refused', () => {
    const bytes = encodeKnown(9, known);
    for (let length = 0; length < bytes.length; length += 1) {
      for (const decode of [
        decodeKnown,
        decodeVersion,
        decodeSignedRecord,
        decodeLostRecord,
        decodeProblem,
      ]) {
        expect(() => decode(bytes.subarray(0, length))).toThrow(
          expect.objectContaining({ code: 'QUEUE_DAMAGED' }),
        );
      }
    }
    expect(() => decodeKnown(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(/left over/);
    expect(() => decodeKnown(Buffer.concat([Buffer.from([2]), bytes.subarray(1)]))).toThrow(
      /layout/,
    );
  });

  test('never allocate what a length merely claims', () => {
    const huge = Buffer.from('01ffffffff', 'hex');
    expect(() => decodeProblem(huge)).toThrow(/limit/);
    expect(() => decodeLostRecord(huge)).toThrow(/too many/);
  });

  test('a path that is empty or too long is not taken', () => {
    expect(() => encodeProblem(new Uint8Array(), undefined)).toThrow(
      expect.objectContaining({ code: 'QUEUE_REFUSED' }),
    );
    expect(() => encodeProblem(new Uint8Array(40_000), undefined)).toThrow(
      expect.objectContaining({ code: 'QUEUE_REFUSED' }),
    );
  });
});
