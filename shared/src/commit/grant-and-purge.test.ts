import {
  type CommitBlock,
  decodeBlock,
  decodeSignedCommit,
  type EntryDraft,
  encodeSignedCommit,
  encodeSlab,
  pieceOf,
} from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { noise, readings, repeatableRandom, toHex } from '../../testing/bytes.ts';
import { CHAIN, fileDraft, testAgent, testVault } from '../../testing/vault.ts';
import { SealError } from '../content/errors.ts';
import { openPiece, proveSlab, SlabBuilder } from '../content/slab.ts';
import { labelled, sha256, streamCipher } from '../crypto/primitives.ts';
import { openBlock } from './block-open.ts';
import { proveRow, type RowProof, verifyRowProof } from './block-proof.ts';
import { withoutRows } from './block-purge.ts';
import { sealDrafts } from './block-seal.ts';
import { buildCommit, type CommitExpectation, NO_PREDECESSOR, verifyCommit } from './commit.ts';
import { CommitError } from './errors.ts';
import { openBlockKey, openCommitKeys, sealBlockKey } from './keys.ts';
import { openNames } from './open-names.ts';
import { blockMarks } from './summary.ts';

const vault = testVault('ours');
const agent = testAgent(vault, 'lc-1');
const { vaultId } = vault.descriptor;
const random = repeatableRandom('grants and purges');
const code = (expected: string) => expect.objectContaining({ code: expected });
/** Blocks that no signature covers, or that no commit can say. */
const refused = expect.objectContaining({
  code: expect.stringMatching(/^(COMMIT_ENTR(IES|Y_COUNT)|FORMAT_MALFORMED)$/),
});

/** Six small files in one slab and one block, two more in a second block. */
const files = Array.from({ length: 8 }, (_, at) => readings(`small ${at}`, 700 + 90 * at));
const builder = new SlabBuilder(vault.keys);
for (const file of files) builder.add(file, sha256(file));
const slab = builder.seal();
const refTo = (at: number) => ({
  ...{ id: slab.id, epoch: slab.epoch },
  plainSize: files[at]?.length ?? 0,
});
const drafts = files.map((file, at): EntryDraft => {
  const key = slab.pieceKeys[at] ?? new Uint8Array(32);
  const content = { depth: 0, piece: at + 1, refs: [refTo(at)] };
  const read = { sha256: sha256(file), keys: [key] };
  const draft = fileDraft(`/plate/well ${at}.csv`, { size: file.length, content, read });
  return at === 0 ? { ...draft, slabKey: slab.slabKey } : draft;
});
const sealed = [drafts.slice(0, 6), drafts.slice(6)].flatMap((some) => sealDrafts(some, random));
const expected: CommitExpectation = { vaultId, agent: agent.certificate };
const built = buildCommit(
  {
    ...{ vaultId, agentId: agent.certificate.binding.agentId, chainId: CHAIN, sequence: 1 },
    ...{ predecessor: NO_PREDECESSOR, agentTimeMs: 1_700_000_002_000, treeHead: undefined },
    ...{ chunkerVersion: 1, encoderVersion: 1, forkedFrom: undefined, blocks: sealed },
    recipients: [
      { recipient: 'vault', key: vault.vaultKey.publicKey },
      { recipient: 'catalog', key: vault.catalogKey.publicKey },
    ],
    signKey: agent.signKey,
  },
  random,
);
const commit = decodeSignedCommit(built.bytes);
const { listKey = new Uint8Array(0), readKey = new Uint8Array(0) } = openCommitKeys(
  commit.wraps,
  vault.vaultKey,
  'vault',
  built.header,
);
const opened = (one: CommitBlock) =>
  openBlock(decodeBlock(one.block), {
    listKey: openBlockKey('list', listKey, one.listBox),
    readKey: openBlockKey('read', readKey, one.readBox),
  });
const blockAt = (at: number): CommitBlock => commit.blocks[at] as CommitBlock;

/** Whether this opens the file of a piece. */
function opens(at: number, key: Uint8Array, bytes = slab.sealed): boolean {
  try {
    const plain = openPiece(proveSlab(slab.id, bytes), refTo(at), at + 1, key);
    return toHex(sha256(plain)) === toHex(drafts[at]?.read?.sha256 ?? new Uint8Array(0));
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return false;
  }
}

/** Every run of 32 bytes in what somebody was given. */
function* keysIn(value: unknown): Generator<Uint8Array> {
  if (value instanceof Uint8Array)
    for (let at = 0; at + 32 <= value.length; at += 1) yield value.subarray(at, at + 32);
  else if (typeof value === 'object' && value !== null)
    for (const part of Object.values(value)) yield* keysIn(part);
}

describe('a grant of one small file', () => {
  const roots = sealed.map(({ root }) => root);
  const grantOf = (at: number): RowProof => {
    const index = at < 6 ? 0 : 1;
    return proveRow(opened(blockAt(index)), index === 0 ? at : at - 6, roots, index);
  };

  it('P2: proves it against the signature and opens it', () => {
    const { entriesRoot } = verifyCommit(built.bytes, expected).header;
    for (const at of files.keys()) {
      const grant = grantOf(at);
      verifyRowProof(grant, entriesRoot);
      expect(opens(at, grant.read?.keys[0] ?? new Uint8Array(32))).toBe(true);
      expect(toHex(grant.read?.sha256 ?? new Uint8Array(0))).toBe(
        toHex(sha256(files[at] ?? noise('', 1))),
      );
    }
  });

  it('P3: opens no neighbour in its slab, as a key of a piece or as one of the slab', () => {
    for (const at of [0, 2, 5, 7])
      for (const key of keysIn(grantOf(at))) {
        const pieceKeys = streamCipher(key, new Uint8Array(32 * files.length));
        for (const other of files.keys()) {
          if (other === at) continue;
          expect(opens(other, key)).toBe(false);
          expect(opens(other, pieceKeys.subarray(32 * other, 32 * other + 32))).toBe(false);
        }
      }
  });

  it('P3: opens no neighbour in its block, nor any block with what stands beside it in the commit', () => {
    for (const at of [0, 5, 6])
      for (const key of keysIn(grantOf(at)))
        for (const one of commit.blocks) {
          const block = decodeBlock(one.block);
          expect(() => openBlock(block, { listKey: key, readKey: key })).toThrow(
            code('COMMIT_ENTRY_SEALED'),
          );
          expect(() => openBlockKey('list', key, one.listBox)).toThrow(CommitError);
          expect(() => openBlockKey('read', key, one.readBox)).toThrow(CommitError);
        }
  });

  it('P5: holds for its own place, block and commit only', () => {
    const { entriesRoot } = built.header;
    const [grant, next, other] = [grantOf(2), grantOf(3), grantOf(6)];
    for (const wrong of [
      { ...grant, path: next.path },
      { ...grant, place: next.place },
      { ...grant, blockPath: other.blockPath },
      { ...grant, place: { ...grant.place, block: 1 } },
      { ...grant, row: next.row },
      { ...grant, list: next.list },
      { ...grant, salt: next.salt },
    ])
      expect(() => verifyRowProof(wrong, entriesRoot)).toThrow(code('COMMIT_ENTRIES'));
    expect(() => verifyRowProof(grant, noise('of another commit', 32))).toThrow(
      code('COMMIT_ENTRIES'),
    );
  });

  it('P5: of a row whose root does not fit what was signed is refused', () => {
    // A maker that signs another root than that of its rows can grant nothing of that block.
    const lying = [{ ...(sealed[0] as (typeof sealed)[0]), root: noise('no root of theirs', 32) }];
    const grant = proveRow(opened(blockAt(0)), 1, [lying[0]?.root ?? noise('', 32)], 0);
    expect(() => verifyRowProof(grant, sha256(noise('no root of theirs', 32)))).toThrow(
      code('COMMIT_ENTRIES'),
    );
  });
});

describe('a purge of one small file', () => {
  const GONE = 2;
  const digestOf = ({ block, listBox, readBox }: CommitBlock): Uint8Array =>
    sha256(labelled('aliquot/v1/commit-block'), listBox, readBox, block);
  const marksIn = ({ block }: CommitBlock): Uint8Array => blockMarks(decodeBlock(block));
  /** A block of the commit without some of its rows, its new keys under those of the commit. */
  const without = (one: CommitBlock, ...numbers: readonly number[]): CommitBlock => {
    const anew = withoutRows(opened(one), new Set(numbers), random);
    return {
      ...one,
      block: anew.bytes,
      listBox: sealBlockKey('list', listKey, anew.listKey, random),
      readBox: sealBlockKey('read', readKey, anew.readKey, random),
      formerDigest: one.formerDigest ?? digestOf(one),
      formerMarks: one.formerMarks ?? marksIn(one),
    };
  };
  const withBlocks = (...blocks: readonly CommitBlock[]): Uint8Array =>
    encodeSignedCommit({ ...commit, blocks });
  const purged = [without(blockAt(0), GONE), blockAt(1)] as const;

  // The piece's key opens it for whoever kept it, so it goes as well. That is the hole.
  const pieces = files.map((_, at) => pieceOf(proveSlab(slab.id, slab.sealed), at));
  const holed = encodeSlab(
    pieces.map((piece, at) => (at === GONE ? { ...piece, sealed: undefined } : piece)),
  );

  const versionsIn = (bytes: Uint8Array) => {
    const { header, wraps, rows } = verifyCommit(bytes, expected);
    const unopened: string[] = [];
    const slots = Array.from({ length: rows.count }, (_, slot) => ({ slot }));
    const key = { key: vault.vaultKey, recipient: 'vault' } as const;
    const named = [
      ...openNames({ wraps, header, rows }, slots, key, ({ error }) => unopened.push(error.code)),
    ].map(({ slot, list, read }) => ({
      slot,
      path: Buffer.from(list.path).toString(),
      keys: read()?.keys ?? [],
    }));
    return { named, unopened };
  };

  it('P2: leaves every other version, which opens from what is left of commit and slab', () => {
    const { named, unopened } = versionsIn(withBlocks(...purged));
    expect(unopened).toEqual([]);
    expect(named.map(({ path }) => path)).toEqual(
      files.flatMap((_, at) => (at === GONE ? [] : [`/plate/well ${at}.csv`])),
    );
    for (const { slot, keys } of named)
      expect(opens(slot, keys[0] ?? new Uint8Array(32), holed)).toBe(true);
    expect(() =>
      openPiece(proveSlab(slab.id, holed), refTo(GONE), GONE + 1, noise('k', 32)),
    ).toThrow(code('SEAL_PIECE_MISSING'));
  });

  it('P3: leaves no byte of the row, of its hash, its keys or its piece, in clear or opened', () => {
    const left = withBlocks(...purged);
    const open = openBlock(decodeBlock(purged[0].block), {
      listKey: openBlockKey('list', listKey, purged[0].listBox),
      readKey: openBlockKey('read', readKey, purged[0].readBox),
    });
    const all = Buffer.concat([
      ...[
        left,
        holed,
        Buffer.from(JSON.stringify([...open.names].map(({ list }) => String(list.path)))),
      ],
      ...Array.from(open.block.kinds.keys()).flatMap((place) => {
        const read = open.read.at(place);
        return [open.read.salt(place), read?.sha256 ?? Buffer.alloc(0), ...(read?.keys ?? [])];
      }),
    ]).toString('hex');
    const draft = drafts[GONE] as EntryDraft;
    const salt = opened(blockAt(0)).read.salt(GONE);
    const went = [
      draft.fileId,
      ...[draft.read?.sha256 ?? noise('', 32), ...(draft.read?.keys ?? [])],
      ...[salt, draft.list.path, pieces[GONE]?.sealed ?? noise('', 32), slab.slabKey],
    ];
    for (const bytes of went) expect(all.includes(toHex(bytes))).toBe(false);
    // They were there before.
    expect(toHex(built.bytes)).toContain(toHex(draft.fileId));
    expect(toHex(slab.sealed)).toContain(toHex(pieces[GONE]?.sealed ?? noise('', 32)));
  });

  it('P5: an older block beside the keys of the purge, or said to be what the purge left, is refused', () => {
    const [first, second] = [blockAt(0), blockAt(1)];
    // The bytes of before under the keys of now, and the reverse, and both as if they were purged.
    const { listBox, readBox } = purged[0];
    const mixed = { ...first, listBox, readBox };
    expect(() => verifyCommit(withBlocks(mixed, second), expected)).toThrow(code('COMMIT_ENTRIES'));
    const claimed = { ...first, formerDigest: digestOf(first), formerMarks: marksIn(first) };
    expect(() => verifyCommit(withBlocks(claimed, second), expected)).toThrow(refused);
    const bare: CommitBlock = { ...purged[0], formerDigest: undefined, formerMarks: undefined };
    expect(() => verifyCommit(withBlocks(bare, second), expected)).toThrow(refused);
    // An earlier purge, of fewer rows, beside the keys of a later one: it verifies, and opens to
    // nothing.
    const later = without(purged[0], 4);
    const older = { ...purged[0], listBox: later.listBox, readBox: later.readBox };
    const { named, unopened } = versionsIn(withBlocks(older, second));
    expect(named.map(({ slot }) => slot)).toEqual([6, 7]);
    expect(unopened).toEqual(['COMMIT_ENTRY_SEALED']);
    expect(versionsIn(withBlocks(later, second)).named.map(({ slot }) => slot)).toEqual([
      0, 1, 3, 5, 6, 7,
    ]);
  });

  it('P5: blocks swapped in a commit, whole or purged, are refused', () => {
    const [first, second] = [blockAt(0), blockAt(1)];
    for (const blocks of [
      [second, first],
      [purged[1], purged[0]],
      [first, first],
      [second, purged[0]],
    ])
      expect(() => verifyCommit(withBlocks(...blocks), expected)).toThrow(refused);
  });

  it('P3: of all rows of a block leaves its hashes alone, and the commit verifies', () => {
    const all = without(blockAt(1), 0, 1);
    const { named, unopened } = versionsIn(withBlocks(blockAt(0), all));
    expect(unopened).toEqual([]);
    expect(named.map(({ slot }) => slot)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(decodeBlock(all.block)).toMatchObject({
      list: new Uint8Array(0),
      read: new Uint8Array(0),
    });
  });
});
