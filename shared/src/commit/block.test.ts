import {
  type BlockRow,
  blockRowCount,
  decodeBlock,
  type Entry,
  setSegmentLengths,
  TAG_BYTES,
} from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import {
  bareDraft,
  chunkedDraft,
  listOf,
  oneOfEach,
  pieceDraft,
  resultDraft,
} from '../../testing/blocks.ts';
import { flipped, noise, repeatableRandom, toHex } from '../../testing/bytes.ts';
import { concat } from '../crypto/bytes.ts';
import { aeadSeal, sha256, ZERO_NONCE } from '../crypto/primitives.ts';
import { rootOfHashes } from '../log/hashing.ts';
import {
  blockHashes,
  blockRowsHash,
  type OpenBlock,
  openBlock,
  openBlockList,
  openRow,
} from './block-open.ts';
import { proveRow, verifyRowProof } from './block-proof.ts';
import { withoutRows } from './block-purge.ts';
import {
  BlockBuilder,
  LIST_LABEL,
  type RowDraft,
  type SealedBlock,
  segmentData,
} from './block-seal.ts';

const random = repeatableRandom('blocks');
const code = (expected: string) => expect.objectContaining({ code: expected });

function seal(drafts: readonly RowDraft[], from = random): SealedBlock {
  const builder = new BlockBuilder();
  for (const draft of drafts) {
    expect(builder.fits(draft)).toBe(true);
    builder.add(draft);
  }
  return builder.seal(from);
}

const open = (sealed: SealedBlock): OpenBlock => openBlock(decodeBlock(sealed.bytes), sealed);
const plain = ({ slabKey: _, ...draft }: RowDraft) => draft;
const rowsOf = (block: OpenBlock) =>
  Array.from(block.block.kinds, (_, place) => openRow(block, place));

describe('a version block', () => {
  it('gives every row back: pieces, references, growing, empty, folders, links, gone, results', () => {
    const drafts = oneOfEach();
    const block = open(seal(drafts));
    expect(rowsOf(block)).toEqual(drafts.map(plain));
  });

  it('P3: shows neither name nor time nor hash nor key', () => {
    const { bytes } = seal(oneOfEach());
    const text = Buffer.from(bytes).toString('latin1');
    for (const { list, read, slabKey, evidence } of oneOfEach()) {
      const secrets = [list.path.subarray(-6), read?.sha256, ...(read?.keys ?? []), slabKey];
      for (const secret of [...secrets, evidence && Buffer.from(evidence.evidence)])
        if (secret !== undefined && secret.length > 0)
          expect(text).not.toContain(Buffer.from(secret).toString('latin1'));
    }
  });

  it('of the same rows is another one each time, so that a purged row cannot be guessed', () => {
    const [first, second] = [seal(oneOfEach()), seal(oneOfEach())];
    expect(toHex(second.root)).not.toBe(toHex(first.root));
    expect(second.rowsHash).toEqual(first.rowsHash);
  });

  it('root and clear hash follow from what is opened', () => {
    const sealed = seal(oneOfEach());
    const { block, names, read } = open(sealed);
    expect(blockHashes(block, names, read).root).toEqual(sealed.root);
    expect(blockRowsHash(block)).toEqual(sealed.rowsHash);
  });

  it('opens its names without its content, and the reverse', () => {
    const sealed = seal(oneOfEach());
    const { listKey, readKey } = sealed;
    const block = decodeBlock(sealed.bytes);
    expect(() => openBlock(block, { listKey: readKey, readKey })).toThrow(
      code('COMMIT_ENTRY_SEALED'),
    );
    expect(() => openBlock(block, { listKey, readKey: listKey })).toThrow(
      code('COMMIT_ENTRY_SEALED'),
    );
  });

  it('P2: with any byte turned is refused or does not open', () => {
    const sealed = seal(oneOfEach());
    for (let at = 0; at < sealed.bytes.length; at += 1) {
      expect(() => {
        const bytes = flipped(sealed.bytes, at, at % 8);
        openBlock(decodeBlock(bytes), sealed);
      }, `byte ${at}`).toThrow();
    }
  });

  it('P5: with a segment of another block does not open', () => {
    const [one, other] = [seal(oneOfEach()), seal(oneOfEach())];
    const [block, donor] = [decodeBlock(one.bytes), decodeBlock(other.bytes)];
    for (const change of [{ list: donor.list }, { read: donor.read }])
      expect(() => openBlock({ ...block, ...change }, { ...one, ...change })).toThrow(
        code('COMMIT_ENTRY_SEALED'),
      );
  });

  it.each([1, 3, 4, 5])('with %i bytes in its list segment does not open', (length) => {
    const { bytes, listKey } = seal(oneOfEach());
    const { clear, read } = decodeBlock(bytes);
    const other = clear.slice();
    setSegmentLengths(other, length + TAG_BYTES, read.length);
    const data = segmentData(LIST_LABEL, sha256(other));
    const list = aeadSeal(listKey, ZERO_NONCE, new Uint8Array(length), data);
    const block = decodeBlock(concat(other, list, read));
    expect(() => openBlockList(block, listKey)).toThrow(code('COMMIT_ENTRY_SEALED'));
  });

  it('holds 256 rows, and no other: the next one begins another block', () => {
    const builder = new BlockBuilder();
    for (let at = 0; at < 256; at += 1) builder.add(bareDraft(`/f/${at}`, 'directory'));
    expect(builder.fits(bareDraft('/f/256', 'directory'))).toBe(false);
    const sealed = builder.seal(random);
    expect(decodeBlock(sealed.bytes).count).toBe(256);
    expect(blockRowCount(sealed.bytes)).toBe(256);
    const [none, over] = [0, 257].map((count) => {
      const bytes = sealed.bytes.slice();
      new DataView(bytes.buffer).setUint16(6, count);
      return bytes;
    });
    expect(() => blockRowCount(none as Uint8Array)).toThrow('no rows');
    expect(() => blockRowCount(over as Uint8Array)).toThrow('more than the 256');
    expect(builder.fits(bareDraft('/f/256', 'directory'))).toBe(true);
  });

  it('holds no two versions of one file', () => {
    const builder = new BlockBuilder();
    builder.add(pieceDraft('/f', 'a', 0));
    expect(builder.fits(pieceDraft('/f', 'a', 1))).toBe(false);
    builder.add(pieceDraft('/f', 'a', 1));
    expect(() => builder.seal(random)).toThrow(code('FORMAT_MALFORMED'));
  });

  it('is bounded in bytes: paths of 32 KiB end it early, and each of them is given back', () => {
    const builder = new BlockBuilder();
    const path = (at: number) =>
      `/${Buffer.from(noise(`path ${at}`, 12_287))
        .toString('base64')
        .replaceAll('/', '_')}`;
    const drafts: RowDraft[] = [];
    for (let at = 0; ; at += 1) {
      const draft = { ...bareDraft(`/${at}`, 'gone'), list: listOf(path(at).slice(0, 32 * 1024)) };
      if (!builder.fits(draft)) break;
      builder.add(draft);
      drafts.push(draft);
    }
    expect(drafts.length).toBeGreaterThan(10);
    expect(drafts.length).toBeLessThan(40);
    const sealed = builder.seal(random);
    expect(rowsOf(open(sealed)).map(({ list }) => list)).toEqual(drafts.map(({ list }) => list));
  });

  it('gives names of any bytes, and times from the first nanosecond to the last', () => {
    const times = [-(2n ** 63n), -1_000_000_000n, -1n, 0n, 999_999_999n, 2n ** 63n - 1n];
    const drafts = times.map((mtimeNs, at) => ({
      ...bareDraft(`/${at}`, 'gone'),
      list: listOf('', { path: Uint8Array.of(0x2f, 0xff, at + 1, 0x0a), mtimeNs }),
    }));
    expect(rowsOf(open(seal(drafts))).map(({ list }) => list)).toEqual(
      drafts.map(({ list }) => list),
    );
  });

  it('holds 256 files of 0 bytes', () => {
    const drafts = Array.from({ length: 256 }, (_, at) => ({
      ...chunkedDraft(`/empty/${at}`, 0),
    }));
    const sealed = seal(drafts);
    expect(rowsOf(open(sealed))).toEqual(drafts);
    expect(sealed.bytes.length).toBeLessThan(256 * 60);
  });

  it('of windows keeps attributes', () => {
    const list = listOf('C:\\data\\x', { platform: 'windows', mode: 0, attributes: 0x20 });
    const draft = { ...bareDraft('/x', 'directory'), list };
    expect(rowsOf(open(seal([draft])))[0]?.list).toEqual(list);
  });
});

describe('a row that contradicts itself is not sealed', () => {
  const file = chunkedDraft('/f', 2);
  const change = (row: Partial<Entry>, rest: Partial<RowDraft> = {}): RowDraft => ({
    ...file,
    ...rest,
    row: { ...(file.row as Entry), ...row },
  });
  const cases: [string, RowDraft, string][] = [
    [
      'fewer keys than chunks',
      change({}, { read: { sha256: noise('x', 32), keys: [] } }),
      'COMMIT_ENTRY_KEYS',
    ],
    ['a size that its chunks do not add up to', change({ size: 7 }), 'FORMAT_MALFORMED'],
    ['a file without hash and keys', change({}, { read: undefined }), 'COMMIT_ENTRY_KEYS'],
    ['a growing file with a hash', change({ completion: 'growing' }), 'COMMIT_ENTRY_HASH'],
    [
      'a folder with content',
      change({ kind: 'directory' }, { read: undefined }),
      'FORMAT_MALFORMED',
    ],
    [
      'a link without target',
      change({ kind: 'symlink' }, { read: undefined }),
      'COMMIT_ENTRY_KEYS',
    ],
    ['a class with a blank', change({ class: 'a b' }), 'FORMAT_MALFORMED'],
    [
      'a result without evidence',
      { ...resultDraft('/r'), evidence: undefined },
      'COMMIT_ENTRY_KEYS',
    ],
  ];
  it.each(cases)('%s', (_, draft, refusal) => {
    expect(() => seal([draft])).toThrow(code(refusal));
  });

  it('a piece that grows, whose bytes nothing would prove', () => {
    const draft = pieceDraft('/f', 'a', 0);
    const row = { ...(draft.row as Entry), completion: 'growing' } as BlockRow;
    const read = { sha256: new Uint8Array(0), keys: draft.read?.keys ?? [] };
    expect(() => seal([{ ...draft, row, read }])).toThrow(code('FORMAT_MALFORMED'));
  });
});

describe('a grant', () => {
  const blocks = [seal(oneOfEach()), seal([pieceDraft('/b', 'b', 0)]), seal(oneOfEach().slice(2))];
  const roots = blocks.map(({ root }) => root);
  const entriesRoot = rootOfHashes(roots);

  it('P3: proves one version against the signed root and opens nothing else', () => {
    for (const [index, sealed] of blocks.entries()) {
      const block = open(sealed);
      for (const place of block.block.kinds.keys()) {
        const proof = proveRow(block, place, roots, index);
        verifyRowProof(proof, entriesRoot);
        // What it opens are its own keys: neither block nor slab, so no neighbour.
        const others = rowsOf(block).flatMap(({ read }, at) => (at === place ? [] : [read]));
        const given = [...(proof.read?.keys ?? []), proof.salt].map(toHex);
        const row = proof.row.kind === 'file' ? proof.row : undefined;
        for (const key of [sealed.listKey, sealed.readKey]) expect(given).not.toContain(toHex(key));
        for (const other of others)
          for (const key of other?.keys ?? [])
            if (row?.content.piece === 0) expect(given).not.toContain(toHex(key));
      }
    }
  });

  it('of another row, salt, name, hash or place does not hold', () => {
    const proof = proveRow(open(blocks[0] as SealedBlock), 0, roots, 0);
    const row = proof.row as Entry;
    const touched = [
      { row: { ...row, size: row.size + 1 } },
      { row: { ...row, class: 'x' } },
      { row: { ...row, capturedAtMs: row.capturedAtMs + 1 } },
      { salt: flipped(proof.salt, 0) },
      { list: listOf('/other') },
      { part: 'raw' as const },
      { read: { sha256: noise('other', 32), keys: proof.read?.keys ?? [] } },
      { place: { ...proof.place, number: 1 } },
      { place: { ...proof.place, block: 1 } },
      { path: proof.path.slice(1) },
      { blockPath: [] },
    ];
    for (const change of touched)
      expect(() => verifyRowProof({ ...proof, ...change }, entriesRoot)).toThrow(
        code('COMMIT_ENTRIES'),
      );
  });
});

describe('a purge', () => {
  const sealed = seal(oneOfEach());
  const block = open(sealed);
  const numbers = new Set([1, 7, 12]);
  const anew = withoutRows(block, numbers, random);
  const left = openBlock(decodeBlock(anew.bytes), anew);

  it('takes rows away, and all others stay what they were', () => {
    const expected = oneOfEach().flatMap((draft, at) => (numbers.has(at) ? [] : [plain(draft)]));
    expect(rowsOf(left)).toEqual(expected);
    expect([...left.block.numbers]).toEqual([0, 2, 3, 4, 5, 6, 8, 9, 10, 11]);
  });

  it('keeps the entries root, and the proof of a result without a key', () => {
    expect(blockHashes(left.block, left.names, left.read).root).toEqual(sealed.root);
    expect(blockRowsHash(left.block)).toEqual(sealed.rowsHash);
  });

  it('leaves no key, old or of a slab, that opens what went', () => {
    expect(() => openBlock(left.block, sealed)).toThrow(code('COMMIT_ENTRY_SEALED'));
    expect(left.block.slabs.every(({ keyedSingly }) => keyedSingly)).toBe(true);
    const purged = oneOfEach()[1]?.read?.sha256 ?? noise('', 1);
    expect(rowsOf(left).some(({ read }) => read && toHex(read.sha256) === toHex(purged))).toBe(
      false,
    );
  });

  it('after a purge, and of all rows, leaves hashes that still fit', () => {
    const rest = new Set(left.block.numbers);
    const none = withoutRows(left, rest, random);
    const emptied = openBlock(decodeBlock(none.bytes), none);
    expect(rowsOf(emptied)).toEqual([]);
    expect(blockHashes(emptied.block, emptied.names, emptied.read).root).toEqual(sealed.root);
    expect(blockRowsHash(emptied.block)).toEqual(sealed.rowsHash);
  });

  it('proves a row that is left by the same entries root', () => {
    const proof = proveRow(left, 3, [sealed.root], 0);
    verifyRowProof(proof, rootOfHashes([sealed.root]));
  });
});
