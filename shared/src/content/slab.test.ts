import {
  asChunkId,
  encodeSlab,
  MAX_PIECE_PLAIN_BYTES,
  pieceOf,
  type Ref,
  type SlabPiece,
} from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipped, noise, readings, toHex } from '../../testing/bytes.ts';
import { testVault } from '../../testing/vault.ts';
import { vectors } from '../../testing/vectors.ts';
import { hmacSha256, labelled, sha256, streamCipher } from '../crypto/primitives.ts';
import { decodePiece, encode } from './codec.ts';
import {
  damagedPieces,
  openPiece,
  proveSlab,
  type SealedSlab,
  SlabBuilder,
  slabId,
} from './slab.ts';

const vault = testVault('ours');
const code = (expected: string) => expect.objectContaining({ code: expected });

/** Every slab of these files, in order; `from` is the number of its first. */
function slabsOf(
  files: readonly Uint8Array[],
  keys = vault.keys,
): { readonly slab: SealedSlab; readonly from: number; readonly count: number }[] {
  const builder = new SlabBuilder(keys);
  const slabs: { slab: SealedSlab; from: number; count: number }[] = [];
  let from = 0;
  const seal = (): void => {
    const count = builder.count;
    slabs.push({ slab: builder.seal(), from, count });
    from += count;
  };
  for (const file of files) {
    if (!builder.hasRoom(file.length)) seal();
    if (builder.add(file, sha256(file))) seal();
  }
  if (builder.count > 0) seal();
  return slabs;
}

const oneSlab = (files: readonly Uint8Array[], keys = vault.keys): SealedSlab => {
  const builder = new SlabBuilder(keys);
  for (const file of files) builder.add(file, sha256(file));
  return builder.seal();
};
const refTo = ({ id, epoch }: SealedSlab, plain: Uint8Array): Ref => ({
  id,
  epoch,
  plainSize: plain.length,
});
const keyOf = (slab: SealedSlab, index: number): Uint8Array =>
  slab.pieceKeys[index] ?? new Uint8Array(32);
const piecesOf = (slab: SealedSlab): SlabPiece[] =>
  slab.pieceKeys.map((_, index) => pieceOf(proveSlab(slab.id, slab.sealed), index));
const smallFile = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 40 }),
  fc.integer({ min: 1, max: 9000 }).map((size) => readings(`${size}`, size)),
  fc.integer({ min: 1, max: 9000 }).map((size) => new Uint8Array(size)),
);
const small = (count: number, name: string): Uint8Array[] =>
  Array.from({ length: count }, (_, at) => readings(`${name} ${at}`, 1000 + ((at * 2711) % 7000)));

describe('a slab of small files', () => {
  it('P2: gives each of them back with the key that is its own', () => {
    fc.assert(
      fc.property(fc.array(smallFile, { minLength: 1, maxLength: 12 }), (files) => {
        const slab = oneSlab(files);
        const proved = proveSlab(slab.id, slab.sealed);
        expect(damagedPieces(proved)).toEqual([]);
        for (const [at, file] of files.entries())
          expect(toHex(openPiece(proved, refTo(slab, file), at + 1, keyOf(slab, at)))).toBe(
            toHex(file),
          );
      }),
      { numRuns: 60, verbose: true },
    );
  });

  it('holds the largest piece, of noise and of what unfolds, and pieces of one byte', () => {
    const files = [
      noise('largest', MAX_PIECE_PLAIN_BYTES),
      new Uint8Array(MAX_PIECE_PLAIN_BYTES),
      readings('largest', MAX_PIECE_PLAIN_BYTES),
      Uint8Array.of(7),
    ];
    const slab = oneSlab(files);
    const proved = proveSlab(slab.id, slab.sealed);
    for (const [at, file] of files.entries())
      expect(openPiece(proved, refTo(slab, file), at + 1, keyOf(slab, at))).toEqual(file);
  });

  it('is the same on every agent of a vault, and another in another vault or epoch', () => {
    const files = small(9, 'shared');
    const ours = oneSlab(files);
    expect(oneSlab(files, testVault('ours').keys)).toEqual(ours);
    for (const keys of [testVault('theirs').keys, testVault('ours', 2).keys]) {
      const other = oneSlab(files, keys);
      expect(other.id).not.toEqual(ours.id);
      for (const [at, key] of other.pieceKeys.entries()) expect(key).not.toEqual(keyOf(ours, at));
    }
  });

  it('P3: has keys that follow from all of its pieces: one other byte, and all are others', () => {
    const files = small(5, 'keys');
    const [first = new Uint8Array(0), ...rest] = files;
    const before = oneSlab(files);
    const after = oneSlab([flipped(first, 10), ...rest]);
    for (const [at, key] of after.pieceKeys.entries()) expect(key).not.toEqual(keyOf(before, at));
    const twice = oneSlab([first, first]);
    expect(keyOf(twice, 0)).not.toEqual(keyOf(twice, 1));
  });

  it('has pieces as chunks are encoded, but for the first four bytes of the frame', () => {
    const [file = new Uint8Array(0)] = small(1, 'codec');
    const slab = oneSlab([file]);
    const [piece] = piecesOf(slab);
    const encoded = streamCipher(keyOf(slab, 0), piece?.sealed ?? new Uint8Array(0));
    const chunk = encode(file, 1);
    const magicAt = Buffer.from(chunk).indexOf(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd));
    expect(magicAt).toBeGreaterThan(0);
    expect(encoded).toEqual(
      Uint8Array.from([...chunk.subarray(0, magicAt), ...chunk.subarray(magicAt + 4)]),
    );
    const length = Uint8Array.of(0, 0, encoded.length >>> 8, encoded.length & 0xff);
    const subkey = vault.keys.epochs.get(1)?.slabSubkey ?? new Uint8Array(0);
    const label = labelled('aliquot/v1/slab-key');
    const slabKey = hmacSha256(subkey, label, vault.keys.vaultId, length, encoded);
    expect(streamCipher(slabKey, new Uint8Array(32))).toEqual(keyOf(slab, 0));
  });

  it('P3: does not hold its files in the open', () => {
    const plain = noise('secret content', 4000);
    const sealed = Buffer.from(oneSlab([plain, noise('beside', 99)]).sealed);
    for (let at = 0; at + 8 <= plain.length; at += 8)
      expect(sealed.includes(Buffer.from(plain.subarray(at, at + 8)))).toBe(false);
  });

  it('cannot be made for an epoch whose secret is missing', () => {
    const builder = new SlabBuilder({ ...vault.keys, currentEpoch: 7 });
    builder.add(Uint8Array.of(1), sha256(Uint8Array.of(1)));
    expect(() => builder.seal()).toThrow(code('SEAL_EPOCH_UNKNOWN'));
  });
});

describe('a slab with holes', () => {
  const files = small(9, 'holes');
  const slab = oneSlab(files);
  const pieces = piecesOf(slab);

  it('P2: with each piece missing in turn proves and gives the others, and names the one', () => {
    for (const missing of files.keys()) {
      const holed = encodeSlab(
        pieces.map((piece, at) => (at === missing ? { ...piece, sealed: undefined } : piece)),
      );
      const proved = proveSlab(slab.id, holed);
      expect(damagedPieces(proved)).toEqual([]);
      for (const [at, file] of files.entries()) {
        const open = () => openPiece(proved, refTo(slab, file), at + 1, keyOf(slab, at));
        if (at === missing) expect(open).toThrow(code('SEAL_PIECE_MISSING'));
        else expect(open()).toEqual(file);
      }
    }
  });

  it('has the id that it had whole', () => {
    const holed = encodeSlab(
      pieces.map((piece, at) => (at % 2 === 0 ? { ...piece, sealed: undefined } : piece)),
    );
    expect(slabId(proveSlab(slab.id, holed))).toEqual(slab.id);
  });
});

describe('a slab that was touched', () => {
  const files = [noise('first', 300), noise('second', 40)];
  const slab = oneSlab(files);
  const open = (bytes: Uint8Array, at: number, key = keyOf(slab, at)): Uint8Array =>
    openPiece(proveSlab(slab.id, bytes), refTo(slab, files[at] ?? new Uint8Array(0)), at + 1, key);

  it('P2: loses the piece in which a byte changed, which is named, and no other', () => {
    const directory = 8 + 35 * 2;
    for (let at = directory; at < slab.sealed.length; at += 1) {
      const bytes = flipped(slab.sealed, at, at % 8);
      const hit = at < directory + 301 ? 0 : 1;
      expect(damagedPieces(proveSlab(slab.id, bytes))).toEqual([hit + 1]);
      expect(() => open(bytes, hit)).toThrow(code('SEAL_ID_MISMATCH'));
      expect(open(bytes, 1 - hit)).toEqual(files[1 - hit]);
    }
  });

  it('P2: is refused whole with any byte of its directory changed', () => {
    for (let at = 8; at < 8 + 35 * 2; at += 1) {
      const bytes = flipped(slab.sealed, at, at % 8);
      expect(() => proveSlab(slab.id, bytes)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(SEAL_ID_MISMATCH|FORMAT_)/) }),
      );
    }
  });

  it('P5: gives nothing for pieces swapped within it, nor for one of another slab', () => {
    const [first, second] = piecesOf(slab);
    const [other] = piecesOf(oneSlab([noise('other', 300), noise('beside', 40)]));
    if (first === undefined || second === undefined || other === undefined) throw new Error('none');
    const swapped = encodeSlab([second, first]);
    expect(() => proveSlab(slab.id, swapped)).toThrow(code('SEAL_ID_MISMATCH'));
    const foreign = encodeSlab([{ ...first, sealed: other.sealed }, second]);
    expect(() => open(foreign, 0)).toThrow(code('SEAL_ID_MISMATCH'));
    expect(open(foreign, 1)).toEqual(files[1]);
  });

  it("P4: opens no neighbour with a piece's key, so that a grant of one is of one", () => {
    for (const [at, file] of files.entries()) {
      const key = keyOf(slab, 1 - at);
      let plain: Uint8Array | undefined;
      try {
        plain = open(slab.sealed, at, key);
      } catch (error) {
        expect(error).toEqual(expect.objectContaining({ code: expect.stringMatching(/^SEAL_/) }));
      }
      expect(plain).not.toEqual(file);
    }
  });

  it('P2: is refused for another size than its reference says, and for a place beyond its last', () => {
    const proved = proveSlab(slab.id, slab.sealed);
    const ref = refTo(slab, files[0] ?? new Uint8Array(0));
    expect(() => openPiece(proved, { ...ref, plainSize: 301 }, 1, keyOf(slab, 0))).toThrow(
      code('SEAL_SIZE_MISMATCH'),
    );
    expect(() => openPiece(proved, { ...ref, plainSize: 299 }, 1, keyOf(slab, 0))).toThrow(
      code('SEAL_CODEC_TOO_LARGE'),
    );
    expect(() => openPiece(proved, ref, 3, keyOf(slab, 0))).toThrow(code('SEAL_PIECE_MISSING'));
  });
});

describe('where slabs end', () => {
  const bytesIn = (files: readonly Uint8Array[]) =>
    files.reduce((sum, { length }) => sum + length, 0);

  it('follows from the files: 64 to 128 KiB on average, whatever their size', () => {
    for (const size of [700, 4000, 30_000]) {
      const files = Array.from({ length: Math.ceil(6_000_000 / size) }, (_, at) =>
        noise(`${size} ${at}`, size),
      );
      const average = bytesIn(files) / slabsOf(files).length;
      expect(average).toBeGreaterThan(64 * 1024);
      expect(average).toBeLessThan(128 * 1024);
    }
  });

  it('is behind 256 pieces, and before 256 KiB, at the latest', () => {
    const tiny = Array.from({ length: 600 }, (_, at) => noise(`tiny ${at}`, 3));
    expect(slabsOf(tiny).map(({ count }) => count)).toEqual([256, 256, 88]);
    const files = small(400, 'bounds');
    for (const { from, count } of slabsOf(files))
      expect(bytesIn(files.slice(from, from + count))).toBeLessThanOrEqual(256 * 1024);
  });

  it('is the same again soon after a file that changed, went or came', () => {
    const files = small(600, 'again');
    const ids = (list: readonly Uint8Array[]) => slabsOf(list).map(({ slab }) => toHex(slab.id));
    const before = new Set(ids(files));
    const changes: readonly Uint8Array[][] = [
      files.map((file, at) => (at === 300 ? flipped(file, 5) : file)),
      files.filter((_, at) => at !== 300),
      [...files.slice(0, 300), noise('new', 2000), ...files.slice(300)],
    ];
    for (const changed of changes) {
      const fresh = ids(changed).filter((id) => !before.has(id));
      expect(fresh.length).toBeGreaterThan(0);
      expect(fresh.length).toBeLessThanOrEqual(4);
    }
  });

  it('leaves nothing behind when the builder is cleared', () => {
    const builder = new SlabBuilder(vault.keys);
    const file = noise('left', 500);
    builder.add(noise('forgotten', 900), sha256(noise('forgotten', 900)));
    builder.clear();
    expect([builder.count, builder.plainBytes]).toEqual([0, 0]);
    builder.add(file, sha256(file));
    expect(builder.seal()).toEqual(oneSlab([file]));
  });
});

describe('slabs of format version 1, frozen', () => {
  const frozen = vectors<{
    cases: { name: string; files: string[]; id: string; pieceKeys: string[]; sealed: string }[];
    refused: {
      name: string;
      id: string;
      sealed: string;
      piece: number;
      plainSize: number;
      key: string;
      error: string;
    }[];
  }>('slab-1');
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));

  it.each(frozen.cases)('seals $name as it always did', ({ files, id, pieceKeys, sealed }) => {
    const slab = oneSlab(files.map(bytes));
    expect({
      id: toHex(slab.id),
      pieceKeys: slab.pieceKeys.map(toHex),
      sealed: toHex(slab.sealed),
    }).toEqual({ id, pieceKeys, sealed });
  });

  it.each(frozen.refused)('refuses $name', ({ id, sealed, piece, plainSize, key, error }) => {
    const ref = { id: asChunkId(bytes(id)), plainSize, epoch: 1 };
    expect(() => openPiece(proveSlab(ref.id, bytes(sealed)), ref, piece, bytes(key))).toThrow(
      code(error),
    );
  });
});

describe('an encoded piece', () => {
  it('is refused when it is cut off, empty, or of a codec that nobody knows', () => {
    for (const [encoded, error] of [
      [[], 'SEAL_CODEC_CORRUPT'],
      [[1], 'SEAL_CODEC_CORRUPT'],
      [[1, 0x20], 'SEAL_CODEC_CORRUPT'],
      [[0x81, 1, 2, 3], 'SEAL_CODEC_UNKNOWN'],
      [[3, 1, 2, 3], 'SEAL_CODEC_UNKNOWN'],
      [[0x71, 1, 2, 3], 'SEAL_CODEC_UNKNOWN'],
    ] as const)
      expect(() => decodePiece(Uint8Array.from(encoded), 100)).toThrow(code(error));
  });
});
