/**
 * SEALING.md, "Version block": opening names, hashes and keys of a block, each segment once and
 * only when somebody asks.
 */
import {
  type BlockRow,
  blockRow,
  decodeBlockList,
  decodeBlockRead,
  type ListRow,
  MAX_BLOCK_LIST_BYTES,
  type ReadPart,
  type ReadSegment,
  rowKind,
  SALT_BYTES,
  type VersionBlock,
} from '@aliquot/proto';
import { zstdDecoder } from '../content/zstd.ts';
import { zstdFrameLength } from '../content/zstd-frame.ts';
import { aeadOpen, CryptoError, sha256, streamCipher, ZERO_NONCE } from '../crypto/primitives.ts';
import { rootOfHashes } from '../log/hashing.ts';
import { clearHashAt, leafOf, rowsHashOf, saltsFrom } from './block-leaf.ts';
import { type BlockKeys, LIST_LABEL, READ_LABEL, segmentData } from './block-seal.ts';
import { CommitError } from './errors.ts';

const KEY_BYTES = 32;
const LENGTH_BYTES = 4;
const NOTHING = new Uint8Array(0);

/**
 * The names of a block's rows, in their order.
 *
 * @throws CommitError `COMMIT_ENTRY_SEALED`; FormatError when its maker sealed what no reader
 * takes.
 */
export function openBlockList(block: VersionBlock, listKey: Uint8Array): ListRow[] {
  if (block.kinds.length === 0) return [];
  const sealed = openSegment(block, 'list', listKey);
  if (sealed.length < LENGTH_BYTES) throw sealedError('list');
  const length = new DataView(sealed.buffer, sealed.byteOffset, sealed.length).getUint32(0);
  if (length > MAX_BLOCK_LIST_BYTES) throw sealedError('list');
  const frame = sealed.subarray(LENGTH_BYTES);
  const plain = new Uint8Array(length + 1);
  if (zstdFrameLength(frame) !== frame.length || zstdDecoder.unfold(frame, plain) !== length)
    throw sealedError('list');
  return decodeBlockList(block, plain.subarray(0, length));
}

/** Hashes and keys of a block's rows. */
export class OpenRead {
  readonly #block: VersionBlock;
  readonly #segment: ReadSegment;
  /** By the slab's index: the keys of its pieces, one behind the other. */
  readonly #pieceKeys = new Map<number, Uint8Array>();
  #salts: Uint8Array | undefined;

  /** @throws CommitError `COMMIT_ENTRY_SEALED`; FormatError. */
  constructor(block: VersionBlock, readKey: Uint8Array) {
    this.#block = block;
    this.#segment = decodeBlockRead(block, openSegment(block, 'read', readKey));
  }

  /** Hash and keys of the file at a place; undefined for what is no file. */
  at(place: number): ReadPart | undefined {
    if (rowKind(this.#block, place) !== 'file') return undefined;
    return { sha256: this.wholeHash(place)?.slice() ?? NOTHING, keys: this.#keys(place) };
  }

  /** SHA-256 of the whole file at a place; undefined where the row has none. */
  wholeHash(place: number): Uint8Array | undefined {
    return this.#segment.hashes[place];
  }

  /** The salt of the row at a place. */
  salt(place: number): Uint8Array {
    this.#salts ??=
      this.#segment.seed === undefined
        ? this.#segment.salts
        : saltsFrom(this.#segment.seed, this.#block.count);
    return this.#salts.subarray(SALT_BYTES * place, SALT_BYTES * (place + 1));
  }

  #keys(place: number): readonly Uint8Array[] {
    const slab = this.#block.slabOf[place] ?? -1;
    const slabKey = this.#segment.slabKeys[slab];
    if (slabKey === undefined) return (this.#segment.keys[place] ?? []).map((key) => key.slice());
    return [this.#pieceKey(slab, slabKey, place).slice()];
  }

  /** The key of a row whose content is a piece: a view. */
  pieceKey(place: number): Uint8Array {
    const slab = this.#block.slabOf[place] ?? -1;
    const slabKey = this.#segment.slabKeys[slab];
    if (slabKey !== undefined) return this.#pieceKey(slab, slabKey, place);
    return this.#segment.keys[place]?.[0] ?? NOTHING;
  }

  #pieceKey(slab: number, slabKey: Uint8Array, place: number): Uint8Array {
    let keys = this.#pieceKeys.get(slab);
    if (keys === undefined) {
      keys = pieceKeysOf(slabKey, this.#mostPiece(slab) + 1);
      this.#pieceKeys.set(slab, keys);
    }
    const piece = this.#block.pieceOf[place] ?? 0;
    return keys.subarray(KEY_BYTES * piece, KEY_BYTES * (piece + 1));
  }

  #mostPiece(slab: number): number {
    const { slabOf, pieceOf } = this.#block;
    let most = 0;
    for (let place = 0; place < slabOf.length; place += 1)
      if (slabOf[place] === slab) most = Math.max(most, pieceOf[place] ?? 0);
    return most;
  }
}

/** The keys of a slab's first pieces, 32 bytes each: SEALING.md, "Slab". */
function pieceKeysOf(slabKey: Uint8Array, count: number): Uint8Array {
  return streamCipher(slabKey, new Uint8Array(KEY_BYTES * count));
}

/** What proves a block: computed from its opened rows. */
export interface BlockHashes {
  /** By number, the purged rows' too. */
  readonly leaves: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** The leaves of a block and their root, from all that both keys open. */
export function blockHashes(
  block: VersionBlock,
  names: readonly ListRow[],
  read: OpenRead,
): BlockHashes {
  const leaves: Uint8Array[] = [];
  for (const { number, leaf } of block.purged) leaves[number] = leaf;
  for (const [place, number] of block.numbers.entries()) {
    const hash = read.wholeHash(place);
    leaves[number] = leafOf(
      clearHashAt(block, place),
      read.salt(place),
      names[place] as ListRow,
      hash,
    );
  }
  return { leaves, root: rootOfHashes(leaves) };
}

/** The hash over all clear rows, for which no key is needed. */
export function blockRowsHash(block: VersionBlock): Uint8Array {
  return rowsHashOf(blockClearHashes(block));
}

/** The hashes of the clear rows by number, the purged ones' too. */
export function blockClearHashes(block: VersionBlock): readonly Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (const { number, clearHash } of block.purged) hashes[number] = clearHash;
  for (const [place, number] of block.numbers.entries()) hashes[number] = clearHashAt(block, place);
  return hashes;
}

/** A block, opened with both its keys. */
export interface OpenBlock {
  readonly block: VersionBlock;
  readonly names: readonly ListRow[];
  readonly read: OpenRead;
}

/**
 * Seam: for the commits that hold blocks. @throws CommitError `COMMIT_ENTRY_SEALED`; FormatError.
 */
export function openBlock(block: VersionBlock, { listKey, readKey }: BlockKeys): OpenBlock {
  return { block, names: openBlockList(block, listKey), read: new OpenRead(block, readKey) };
}

/** One row of an open block. */
export function openRow(
  { block, names, read }: OpenBlock,
  place: number,
): ListRow & { readonly row: BlockRow; readonly read: ReadPart | undefined } {
  return { row: blockRow(block, place), ...(names[place] as ListRow), read: read.at(place) };
}

function openSegment(block: VersionBlock, which: 'list' | 'read', key: Uint8Array): Uint8Array {
  if (block.kinds.length === 0) return NOTHING;
  const label = which === 'list' ? LIST_LABEL : READ_LABEL;
  try {
    return aeadOpen(key, ZERO_NONCE, block[which], segmentData(label, sha256(block.clear)));
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw sealedError(which, cause);
  }
}

function sealedError(which: 'list' | 'read', cause?: unknown): CommitError {
  return new CommitError(
    'COMMIT_ENTRY_SEALED',
    `the ${which} segment of a block does not open with this key`,
    { cause },
  );
}
