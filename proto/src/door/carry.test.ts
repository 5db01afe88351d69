import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipped, refusalOf } from '../../testing/damage.ts';
import {
  encodeCarriedFile,
  encodeCarriedLength,
  MAX_FRAME_BYTES,
  splitCarriedFile,
  splitCarriedFrames,
} from '../index.ts';

const files = fc.record({
  kind: fc.constantFrom('queue' as const, 'receipts' as const),
  frames: fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { maxLength: 6 }),
  trailer: fc.record({
    digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  }),
});

describe('the door of carried files', () => {
  it('gives back every file that it wrote, from a Buffer too', () => {
    fc.assert(
      fc.property(files, (file) => {
        const bytes = encodeCarriedFile(file);
        expect(splitCarriedFile(bytes)).toEqual(file);
        expect(splitCarriedFile(Buffer.from(bytes))).toEqual(file);
      }),
    );
  });

  it('refuses every prefix, and every file with something behind it', () => {
    fc.assert(
      fc.property(files, fc.uint8Array({ minLength: 1, maxLength: 5 }), (file, tail) => {
        const bytes = encodeCarriedFile(file);
        for (let end = 0; end < bytes.length; end += 1)
          expect(refusalOf(() => splitCarriedFile(bytes.slice(0, end)))).toMatch(/^FORMAT_/);
        expect(refusalOf(() => splitCarriedFile(Uint8Array.from([...bytes, ...tail])))).toBe(
          'FORMAT_MALFORMED',
        );
      }),
      { numRuns: 40 },
    );
  });

  it('never accepts a second encoding: whatever damaged bytes split, encodes to those bytes', () => {
    fc.assert(
      fc.property(files, fc.nat(), (file, bit) => {
        const damaged = flipped(encodeCarriedFile(file), bit);
        let split: ReturnType<typeof splitCarriedFile> | undefined;
        const refusal = refusalOf(() => {
          split = splitCarriedFile(damaged);
        });
        if (refusal === undefined && split !== undefined)
          expect(encodeCarriedFile(split)).toEqual(damaged);
      }),
    );
  });

  it('refuses a length above that of a frame before anything is allocated for it', () => {
    expect(refusalOf(() => encodeCarriedLength(MAX_FRAME_BYTES + 1))).toBe('FORMAT_LIMIT');
    expect(refusalOf(() => splitCarriedFrames(Uint8Array.of(0x7f, 0xff, 0xff, 0xff)))).toBe(
      'FORMAT_LIMIT',
    );
    expect(encodeCarriedLength(MAX_FRAME_BYTES)).toEqual(Uint8Array.of(0, 0x80, 0, 0));
  });

  it('takes a part apart, which has no end', () => {
    const part = Uint8Array.of(0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9);
    expect(splitCarriedFrames(part)).toEqual([Uint8Array.of(7, 8), Uint8Array.of(9)]);
    expect(refusalOf(() => splitCarriedFrames(Uint8Array.of(...part, 0, 0, 0, 0)))).toBe(
      'FORMAT_MALFORMED',
    );
    expect(refusalOf(() => splitCarriedFrames(part.slice(0, -1)))).toBe('FORMAT_MALFORMED');
  });
});
