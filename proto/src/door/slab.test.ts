import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slabPieces } from '../../testing/arbitraries.ts';
import { flipped, refusalOf } from '../../testing/damage.ts';
import { decodeSlab, encodeSlab, pieceOf, type SlabPiece } from '../index.ts';

const piecesOf = (bytes: Uint8Array): SlabPiece[] => {
  const slab = decodeSlab(bytes);
  return Array.from({ length: slab.count }, (_, index) => pieceOf(slab, index));
};
const piece = (length: number, fill: number): SlabPiece => ({
  length,
  hash: new Uint8Array(32).fill(fill),
  sealed: new Uint8Array(length).fill(fill),
});
const without = (pieces: readonly SlabPiece[], missing: number): SlabPiece[] =>
  pieces.map((one, index) => (index === missing ? { ...one, sealed: undefined } : one));

describe('a slab', () => {
  it('comes back with its pieces, those that are not here by length and hash', () => {
    fc.assert(
      fc.property(slabPieces, (pieces) => {
        expect(piecesOf(encodeSlab(pieces))).toEqual(pieces);
      }),
    );
  });

  it('has one directory, and so one id, whichever of its pieces are here', () => {
    fc.assert(
      fc.property(slabPieces, (pieces) => {
        const whole = pieces.map((one) => ({ ...one, sealed: new Uint8Array(one.length) }));
        const directory = decodeSlab(encodeSlab(pieces)).directory;
        expect(directory).toEqual(decodeSlab(encodeSlab(whole)).directory);
        expect(directory).toEqual(encodeSlab(whole).subarray(0, 8 + 35 * pieces.length));
      }),
    );
  });

  it('has one encoding: damaged bytes that decode are another slab of exactly those bytes', () => {
    fc.assert(
      fc.property(slabPieces, fc.nat(), (pieces, bit) => {
        const damaged = flipped(encodeSlab(pieces), bit);
        if (refusalOf(() => decodeSlab(damaged)) === undefined)
          expect(encodeSlab(piecesOf(damaged))).toEqual(damaged);
      }),
      { numRuns: 500 },
    );
  });

  it('refuses every prefix, and anything behind it, with holes and without', () => {
    const pieces = [piece(5, 1), piece(9, 2), piece(2, 3)];
    for (const slab of [encodeSlab(pieces), encodeSlab(without(pieces, 1))]) {
      for (let length = 0; length < slab.length; length += 1)
        expect(refusalOf(() => decodeSlab(slab.subarray(0, length)))).toBe('FORMAT_MALFORMED');
      expect(refusalOf(() => decodeSlab(Uint8Array.from([...slab, 0])))).toBe('FORMAT_MALFORMED');
    }
  });

  it('refuses a slab without a piece, and a piece of other bytes than it says', () => {
    const only = piece(5, 1);
    expect(refusalOf(() => encodeSlab([{ ...only, sealed: undefined }]))).toBe('FORMAT_MALFORMED');
    expect(refusalOf(() => encodeSlab([{ ...only, length: 6 }]))).toBe('FORMAT_MALFORMED');
    expect(refusalOf(() => encodeSlab([{ ...only, hash: new Uint8Array(31) }]))).toBe(
      'FORMAT_MALFORMED',
    );
  });

  it('refuses holes that are none, marks behind the last piece, and an unknown form', () => {
    const holed = encodeSlab(without([piece(5, 1), piece(9, 2), piece(2, 3)], 2));
    const bitmapAt = 8 + 35 * 3;
    const changed = (at: number, byte: number) => {
      const bytes = Uint8Array.from(holed);
      bytes[at] = byte;
      return refusalOf(() => decodeSlab(bytes));
    };
    expect(holed[bitmapAt]).toBe(0b011);
    expect(changed(bitmapAt, 0b1011)).toBe('FORMAT_MALFORMED');
    expect(changed(bitmapAt, 0)).toBe('FORMAT_MALFORMED');
    expect(changed(5, 2)).toBe('FORMAT_UNKNOWN_VERSION');
    expect(changed(4, 2)).toBe('FORMAT_UNKNOWN_VERSION');
    const full = Uint8Array.from([...holed, 3, 3]);
    full[bitmapAt] = 0b111;
    expect(refusalOf(() => decodeSlab(full))).toBe('FORMAT_MALFORMED');
  });

  it('gives plain byte arrays when it is handed a Buffer', () => {
    const bytes = encodeSlab([piece(5, 1)]);
    expect(piecesOf(Buffer.from(bytes))).toEqual(piecesOf(bytes));
  });

  it('refuses random bytes with a FormatError only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        refusalOf(() => decodeSlab(Uint8Array.from([0x41, 0x4c, 0x51, 0x42, 1, ...bytes])));
        refusalOf(() => decodeSlab(bytes));
      }),
    );
  });
});
