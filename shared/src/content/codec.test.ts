import { buffer } from 'node:stream/consumers';
import { constants, createZstdCompress, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipped, noise, ofHex, readings, table, toHex, trace } from '../../testing/bytes.ts';
import { vectors } from '../../testing/vectors.ts';
import { sha256 } from '../crypto/primitives.ts';
import { decode, ENCODER_VERSION, encode } from './codec.ts';

const MI_B = 1024 * 1024;
const withByte = (codec: number, body: Uint8Array) => Uint8Array.of(codec, ...body);
const code = (expected: string) => expect.objectContaining({ code: expected });

/** Bytes that zstd level 1 makes of it. */
function zstdAlone(plain: Uint8Array): number {
  return zstdCompressSync(plain, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }).length;
}

describe('the codec', () => {
  it('P2: gives any content back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (plain) => {
        expect(toHex(decode(encode(plain, ENCODER_VERSION), plain.length))).toBe(toHex(plain));
      }),
      { verbose: true },
    );
  });

  it.each([0, 1, 2, 63, 65_535, 65_536, 65_537, MI_B, 4 * MI_B])(
    'P2: gives %i bytes of readings and of noise back',
    (size) => {
      for (const plain of [readings('sizes', size), noise('sizes', size), new Uint8Array(size)]) {
        expect(sha256(decode(encode(plain, ENCODER_VERSION), size))).toEqual(sha256(plain));
      }
    },
  );

  it('P2: gives traces and tables back, wherever a cut left them', () => {
    const makes = [
      trace('cuts/16/2', 40_000),
      trace('cuts/80/2', 40_000),
      trace('cuts/5/4', 40_000),
      table('12', 40_000),
      table('63', 40_000),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...makes), fc.nat(40), fc.nat(39_000), (make, from, length) => {
        const plain = make.subarray(from, from + length);
        const encoded = encode(plain, ENCODER_VERSION);
        expect(toHex(sha256(decode(encoded, plain.length)))).toBe(toHex(sha256(plain)));
        if (plain.length > 0)
          expect(() => decode(encoded, plain.length - 1)).toThrow(code('SEAL_CODEC_TOO_LARGE'));
      }),
      { verbose: true },
    );
  });

  it('gives the same bytes whatever was encoded or decoded before, and memory of their own', () => {
    const plain = trace('alone/16/2', 100_000);
    const first = encode(plain, ENCODER_VERSION);
    const copy = Uint8Array.from(first);
    expect(() => decode(flipped(encode(table('12', 50_000), ENCODER_VERSION), 40), 50_000)).toThrow(
      code('SEAL_CODEC_CORRUPT'),
    );
    expect(() => decode(encode(readings('other', 70_000), ENCODER_VERSION), 69_999)).toThrow(
      code('SEAL_CODEC_TOO_LARGE'),
    );
    const decoded = decode(first, plain.length);
    encode(noise('other', 200_000), ENCODER_VERSION);
    decode(encode(trace('other/16/2', 150_000), ENCODER_VERSION), 150_000);
    expect(encode(plain, ENCODER_VERSION)).toEqual(copy);
    expect(first).toEqual(copy);
    expect(decoded).toEqual(plain);
    expect(first.buffer.byteLength).toBe(first.length);
  });

  it('puts numbers in order: traces and tables take less than by zstd alone', () => {
    for (const [plain, least] of [
      [trace('order/16/2', 300_001).subarray(1), 0.62],
      [trace('order/80/2', 300_000), 0.75],
      [trace('order/5/4', 300_000), 0.85],
      [table('12', 300_000), 0.3],
    ] as const) {
      expect(encode(plain, ENCODER_VERSION).length).toBeLessThan(zstdAlone(plain) * least);
    }
  });

  it('stores what does not shrink: one byte more, never worse', () => {
    for (const size of [0, 1, 20, 1000, 100_000, MI_B]) {
      const encoded = encode(noise('random', size), ENCODER_VERSION);
      expect(encoded.length).toBe(size + 1);
      expect(encoded[0]).toBe(0);
    }
  });

  it('compresses what shrinks', () => {
    const encoded = encode(readings('shrinks', MI_B), ENCODER_VERSION);
    expect(encoded[0]).not.toBe(0);
    expect(encoded.length).toBeLessThan(MI_B * 0.75);
  });

  it('refuses a bomb while it unfolds, whatever size its header claims', () => {
    const bomb = withByte(1, zstdCompressSync(new Uint8Array(64 * MI_B)));
    expect(bomb.length).toBeLessThan(10_000);
    expect(() => decode(bomb, MI_B)).toThrow(code('SEAL_CODEC_TOO_LARGE'));
    expect(() => decode(encode(readings('one more', 1000), ENCODER_VERSION), 999)).toThrow(
      code('SEAL_CODEC_TOO_LARGE'),
    );
    expect(() => decode(encode(noise('one more', 1000), ENCODER_VERSION), 999)).toThrow(
      code('SEAL_CODEC_TOO_LARGE'),
    );
    expect(() => decode(encode(readings('none', 1000), ENCODER_VERSION), 0)).toThrow(
      code('SEAL_CODEC_TOO_LARGE'),
    );
  });

  it('refuses a frame that asks for more window than any chunk needs', async () => {
    const stream = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } });
    stream.write(readings('wide', 10_000));
    stream.end();
    const wide = withByte(1, await buffer(stream));
    expect(() => decode(wide, MI_B)).toThrow(code('SEAL_CODEC_CORRUPT'));
  });

  it('refuses every codec byte that this release does not write: other compressors, other filters, padding', () => {
    for (let byte = 0; byte < 256; byte += 1) {
      const known = (byte & 0x0f) <= 2 && byte >>> 4 <= 2;
      if (byte === 0) continue;
      expect(() => decode(withByte(byte, noise('unknown', 30)), 1000)).toThrow(
        code(known ? 'SEAL_CODEC_CORRUPT' : 'SEAL_CODEC_UNKNOWN'),
      );
    }
  });

  it('refuses what is damaged anywhere, or gives other bytes of no more than the size: never more, never another error', () => {
    const seeds = [
      encode(trace('hostile/16/2', 20_000), ENCODER_VERSION),
      encode(table('12', 9_000), ENCODER_VERSION),
      encode(trace('hostile/80/2', 20_000), ENCODER_VERSION),
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.nat(),
        fc.nat(255),
        fc.nat(20_000),
        (seed, at, byte, maxPlain) => {
          const damaged = Uint8Array.from(seed);
          damaged[at % Math.min(seed.length, 64)] = byte;
          try {
            expect(decode(damaged, maxPlain).length).toBeLessThanOrEqual(maxPlain);
          } catch (error) {
            expect(['SEAL_CODEC_CORRUPT', 'SEAL_CODEC_UNKNOWN', 'SEAL_CODEC_TOO_LARGE']).toContain(
              (error as { code: unknown }).code,
            );
          }
        },
      ),
      { verbose: true, numRuns: 500 },
    );
  });

  it('refuses an unknown encoder version', () => {
    expect(() => encode(noise('version', 10), 2)).toThrow(code('SEAL_VERSION_UNKNOWN'));
    expect(() => encode(noise('version', 10), 0)).toThrow(code('SEAL_VERSION_UNKNOWN'));
  });

  it('refuses compressed content that is cut off, has something behind it, or is none', () => {
    const encoded = encode(readings('damaged', 10_000), ENCODER_VERSION);
    expect(() => decode(new Uint8Array(0), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
    expect(() => decode(encoded.subarray(0, 1), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
    expect(() => decode(encoded.subarray(0, encoded.length - 1), 10_000)).toThrow(
      code('SEAL_CODEC_CORRUPT'),
    );
    expect(() => decode(Uint8Array.of(...encoded, 0), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
    expect(() => decode(Uint8Array.of(...encoded, ...encoded.subarray(1)), 20_000)).toThrow(
      code('SEAL_CODEC_CORRUPT'),
    );
    expect(() => decode(flipped(encoded, 2), 10_000)).toThrow(code('SEAL_CODEC_CORRUPT'));
  });
});

interface CodecVectors {
  readonly cases: {
    name: string;
    make: keyof typeof makers;
    seed: string;
    size: number;
    from?: number;
    encodedSize: number;
    encodedSha256: string;
    encoded?: string;
  }[];
}
const makers = { noise, readings, trace, table };

describe('the encoder, frozen (with zstd 1.5.7)', () => {
  it.each(vectors<CodecVectors>('codec-1').cases)(
    'encodes $name as it always did, and decodes it',
    ({ make, seed, size, from = 0, encodedSize, encodedSha256, encoded }) => {
      const plain = makers[make](seed, from + size).subarray(from);
      const result = encode(plain, ENCODER_VERSION);
      expect(result.length).toBe(encodedSize);
      expect(toHex(sha256(result))).toBe(encodedSha256);
      if (encoded !== undefined) expect(toHex(result)).toBe(encoded);
      expect(toHex(sha256(decode(result, size)))).toBe(toHex(sha256(plain)));
    },
  );
});

interface DecodeVectors {
  readonly filters: { name: string; encoded: string; plain: string }[];
  readonly refused: { name: string; encoded: string; maxPlain: number; code: string }[];
}

describe('decoding, frozen', () => {
  const { filters, refused } = vectors<DecodeVectors>('codec-decode');

  it.each(filters)('P2: undoes $name', ({ encoded, plain }) => {
    expect(toHex(decode(ofHex(encoded), plain.length / 2))).toBe(plain);
  });

  it.each(refused)('refuses $name', ({ encoded, maxPlain, code: expected }) => {
    expect(() => decode(ofHex(encoded), maxPlain)).toThrow(code(expected));
  });
});
