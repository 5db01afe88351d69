import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { zstdFrameLength } from './zstd-frame.ts';

describe('the length of a Zstandard frame', () => {
  it('is that of the whole frame, whatever follows it, with a checksum and without', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 5000 }),
        fc.boolean(),
        fc.uint8Array({ maxLength: 9 }),
        (plain, checksum, tail) => {
          const frame = zstdCompressSync(plain, {
            params: { [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0 },
          });
          expect(zstdFrameLength(Buffer.concat([frame, tail]))).toBe(frame.length);
        },
      ),
    );
  });

  it('covers frames of many blocks, of one byte repeated, and with every size of the content’s own length', () => {
    for (const size of [0, 1, 255, 256, 65_791, 65_792, 1_000_000]) {
      for (const plain of [
        Buffer.alloc(size, 7),
        Buffer.from(Array.from({ length: size }, (_, index) => (index * 2_654_435_761) >>> 13)),
      ]) {
        const frame = zstdCompressSync(plain);
        expect(zstdFrameLength(frame)).toBe(frame.length);
      }
    }
  });

  it('is unknown for a frame that was cut off anywhere, or that is none', () => {
    const frame = zstdCompressSync(Buffer.from('reading '.repeat(40)));
    for (let length = 0; length < frame.length; length += 1)
      expect(zstdFrameLength(frame.subarray(0, length))).toBeUndefined();
    expect(zstdFrameLength(Buffer.from('not a frame at all'))).toBeUndefined();
    const reserved = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x01, 0x07, 0x00, 0x00]);
    expect(zstdFrameLength(reserved)).toBeUndefined();
  });
});
