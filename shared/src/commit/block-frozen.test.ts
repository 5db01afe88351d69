import { decodeBlock } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bareDraft,
  chunkedDraft,
  listOf,
  oneOfEach,
  pieceDraft,
  resultDraft,
} from '../../testing/blocks.ts';
import { ofHex, repeatableRandom, toHex } from '../../testing/bytes.ts';
import { vectors } from '../../testing/vectors.ts';
import { blockHashes, blockRowsHash, openBlock, openRow } from './block-open.ts';
import { proveRow, verifyRowProof } from './block-proof.ts';
import { withoutRows } from './block-purge.ts';
import { BlockBuilder, type RowDraft } from './block-seal.ts';

interface BlockVectors {
  readonly sealed: Record<'listKey' | 'readKey' | 'bytes' | 'root' | 'rowsHash', string>;
  readonly purged: Record<'listKey' | 'readKey' | 'bytes', string> & {
    readonly rows: readonly number[];
  };
}

const { sealed, purged } = vectors<BlockVectors>('block-1');
const keysOf = (keys: Record<'listKey' | 'readKey', string>) => ({
  listKey: ofHex(keys.listKey),
  readKey: ofHex(keys.readKey),
});
const plain = ({ slabKey: _, ...draft }: RowDraft) => draft;

describe('version blocks of version 1, frozen', () => {
  const open = openBlock(decodeBlock(ofHex(sealed.bytes)), keysOf(sealed));

  it('a block is read for ever, and still written the same', () => {
    const rows = Array.from(open.block.kinds, (_, place) => openRow(open, place));
    expect(rows).toEqual(oneOfEach().map(plain));
    expect(toHex(blockHashes(open.block, open.names, open.read).root)).toBe(sealed.root);
    expect(toHex(blockRowsHash(open.block))).toBe(sealed.rowsHash);
    const builder = new BlockBuilder();
    for (const draft of oneOfEach()) builder.add(draft);
    expect(toHex(builder.seal(repeatableRandom('block each')).bytes)).toBe(sealed.bytes);
  });

  it('a purged block likewise', () => {
    const left = openBlock(decodeBlock(ofHex(purged.bytes)), keysOf(purged));
    expect(toHex(blockHashes(left.block, left.names, left.read).root)).toBe(sealed.root);
    const again = withoutRows(open, new Set(purged.rows), repeatableRandom('block purged'));
    expect(toHex(again.bytes)).toBe(purged.bytes);
  });
});

const seed = Number(process.env['ALIQUOT_TEST_SEED'] ?? Date.now() % 2 ** 31);

/** Rows of all kinds in any order; equal paths do not meet in a block. */
const draftOf = fc
  .record({
    name: fc.nat(400),
    what: fc.constantFrom(
      'piece',
      'singly',
      'chunks',
      'growing',
      'empty',
      'gone',
      'link',
      'result',
    ),
    slab: fc.nat(3),
    piece: fc.nat(255),
    deep: fc.nat(3),
    capturedAtMs: fc.nat({ max: 2 ** 42 }),
    mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    mode: fc.nat(0o7777),
  })
  .map(({ name, what, slab, piece, deep, capturedAtMs, mtimeNs, mode }): RowDraft => {
    const path = `/data${'/sub'.repeat(deep)}/${name}`;
    const draft =
      what === 'piece' || what === 'singly'
        ? pieceDraft(path, `${slab}${what}`, piece, what === 'singly')
        : what === 'gone'
          ? bareDraft(path, 'gone')
          : what === 'link'
            ? bareDraft(path, 'symlink')
            : what === 'result'
              ? resultDraft(path)
              : chunkedDraft(path, what === 'empty' ? 0 : 1 + deep, {
                  completion: what === 'growing' ? 'growing' : 'proven',
                });
    const { linkTarget } = draft.list;
    const list = listOf(path, { mtimeNs, mode, linkTarget });
    return { ...draft, list, row: { ...draft.row, capturedAtMs } };
  });

describe(`any rows (seed ${seed})`, () => {
  const property = (drafts: readonly RowDraft[], gone: readonly number[]): void => {
    const random = repeatableRandom('property');
    const builder = new BlockBuilder();
    const taken: RowDraft[] = [];
    for (const draft of drafts) {
      if (!builder.fits(draft)) continue;
      builder.add(draft);
      taken.push(draft);
    }
    const block = builder.seal(random);
    const open = openBlock(decodeBlock(block.bytes), block);
    const rowsOf = (of: typeof open) => Array.from(of.block.kinds, (_, at) => openRow(of, at));
    expect(rowsOf(open)).toEqual(taken.map(plain));
    const numbers = new Set(gone.map((at) => at % taken.length));
    const anew = withoutRows(open, numbers, random);
    const left = openBlock(decodeBlock(anew.bytes), anew);
    expect(rowsOf(left)).toEqual(taken.filter((_, at) => !numbers.has(at)).map(plain));
    expect(blockHashes(left.block, left.names, left.read).root).toEqual(block.root);
    expect(blockRowsHash(left.block)).toEqual(block.rowsHash);
    if (left.block.kinds.length > 0) verifyRowProof(proveRow(left, 0, [block.root], 0), block.root);
  };

  it('come back from a block, before and after a purge, under one root', () => {
    fc.assert(
      fc.property(
        fc.array(draftOf, { minLength: 1, maxLength: 40 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
        property,
      ),
      { seed, numRuns: 60, verbose: true },
    );
  });
});
