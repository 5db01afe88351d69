import { buffer } from 'node:stream/consumers';
import { constants, createZstdCompress, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipped, noise, readings, toHex } from '../../test/bytes.ts';
import { vectors } from '../../test/vectors.ts';
import { sha256 } from '../crypto/primitives.ts';
import { decode, encode } from './codec.ts';

const MiB = 1024 * 1024;
const withByte = (codec: number, body: Uint8Array) => Uint8Array.of(codec, ...body);
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('the codec', () => {
  it('P2: gives any content back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (plain) => {
        expect(toHex(decode(encode(plain, 1), plain.length))).toBe(toHex(plain));
      }),
      { verbose: true },
    );
  });

  it.each([0, 1, 2, 63, 65_535, 65_536, 65_537, MiB, 4 * MiB])('P2: gives %i bytes of readings and of noise back', (size) => {
    for (const plain of [readings('sizes', size), noise('sizes', size), new Uint8Array(size)]) {
      expect(sha256(decode(encode(plain, 1), size))).toEqual(sha256(plain));
    }
  });

  it('stores what does not shrink: one byte more, never worse', () => {
    for (const size of [0, 1, 20, 1000, 100_000, MiB]) {
      const encoded = encode(noise('random', size), 1);
      expect(encoded.length).toBe(size + 1);
      expect(encoded[0]).toBe(0);
    }
  });

  it('compresses what shrinks', () => {
    const encoded = encode(readings('shrinks', MiB), 1);
    expect(encoded[0]).toBe(1);
    expect(encoded.length).toBeLessThan(MiB * 0.75);
  });

  it('refuses a bomb while it unfolds, whatever size its header claims', () => {
    const bomb = withByte(1, zstdCompressSync(new Uint8Array(64 * MiB)));
    expect(bomb.length).toBeLessThan(10_000);
    expect(() => decode(bomb, MiB)).toThrow(code('SEAL_CODEC_TOO_LARGE'));
    expect(() => decode(encode(readings('one more', 1000), 1), 999)).toThrow(code('SEAL_CODEC_TOO_LARGE'));
    expect(() => decode(encode(noise('one more', 1000), 1), 999)).toThrow(code('SEAL_CODEC_TOO_LARGE'));
    expect(() => decode(encode(readings('none', 1000), 1), 0)).toThrow(code('SEAL_CODEC_TOO_LARGE'));
  });

  it('refuses a frame that asks for more window than any chunk needs', async () => {
    const stream = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } });
    stream.write(readings('wide', 10_000));
    stream.end();
    const wide = withByte(1, await buffer(stream));
    expect(() => decode(wide, MiB)).toThrow(code('SEAL_CODEC_CORRUPT'));
  });

  it('refuses every codec byte but stored and zstd: other compressors, all filters, padding', () => {
    for (let byte = 2; byte < 256; byte += 1) {
      expect(() => decode(withByte(byte, noise('unknown', 30)), 1000)).toThrow(code('SEAL_CODEC_UNKNOWN'));
    }
  });

  it('refuses an unknown encoder version', () => {
    expect(() => encode(noise('version', 10), 2)).toThrow(code('SEAL_VERSION_UNKNOWN'));
    expect(() => encode(noise('version', 10), 0)).toThrow(code('SEAL_VERSION_UNKNOWN'));
  });

  it('refuses compressed content that is cut off, has something behind it, or is none', () => {
    const encoded = encode(readings('damaged', 10_000), 1);
    expect(() => decode(new Uint8Array(0), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
    expect(() => decode(encoded.subarray(0, 1), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
    expect(() => decode(encoded.subarray(0, encoded.length - 1), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
    expect(() => decode(Uint8Array.of(...encoded, 0), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
    expect(() => decode(Uint8Array.of(...encoded, ...encoded.subarray(1)), 20_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
    expect(() => decode(flipped(encoded, 1), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
  });
});

interface CodecVectors {
  readonly cases: {
    name: string;
    make: 'noise' | 'readings';
    seed: string;
    size: number;
    encodedSize: number;
    encodedSha256: string;
    encoded?: string;
  }[];
}

describe('encoder version 1, frozen (with zstd 1.5.7)', () => {
  it.each(vectors<CodecVectors>('codec-1').cases)(
    'encodes $name as it always did',
    ({ make, seed, size, encodedSize, encodedSha256, encoded }) => {
      const result = encode(make === 'noise' ? noise(seed, size) : readings(seed, size), 1);
      expect(result.length).toBe(encodedSize);
      expect(toHex(sha256(result))).toBe(encodedSha256);
      if (encoded !== undefined) expect(toHex(result)).toBe(encoded);
    },
  );
});
