/**
 * SEALING.md, "Slab": small files in one stored item, each sealed under a key of its own.
 *
 * What readers need. A version whose `content.piece` is not 0 names a slab and a place in it, and
 * its read part holds that piece's key. Fetch the slab (whole, or with holes, as long as that piece
 * is here), then `proveSlab(ref.id, bytes)`, then `openPiece` for each version that wants one of
 * it: no key of the vault takes part. Whoever stores slabs proves them without any key by
 * `proveSlab` and `damagedPieces`.
 */
import {
  asChunkId,
  type ChunkId,
  decodeSlab,
  encodeSlab,
  MAX_SLAB_PIECES,
  pieceOf,
  type Ref,
  type Slab,
  type SlabPiece,
} from '@aliquot/proto';
import { equalBytes, hmacSha256, labelled, sha256, streamCipher } from '../crypto/primitives.ts';
import type { VaultKeys } from '../keys/derive.ts';
import { decodePiece, encodePiece, longestPiece } from './codec.ts';
import { SealError } from './errors.ts';
import { currentSubkeys, shortId } from './seal.ts';

/** A slab ready to be stored: what is sent, and the keys that only its commits may hold. */
export interface SealedSlab {
  readonly id: ChunkId;
  readonly kind: 'slab';
  readonly sealed: Uint8Array;
  readonly epoch: number;
  /** 32 bytes, secret: from it the keys of all pieces grow. */
  readonly slabKey: Uint8Array;
  /** 32 bytes for each piece, secret: opens this piece and nothing else. */
  readonly pieceKeys: readonly Uint8Array[];
}

const KEY_LABEL = 'aliquot/v1/slab-key';
const KEY_BYTES = 32;
/** The length of an encoded piece, in front of it where the slab's key is made. */
const LENGTH_BYTES = 4;
/**
 * What a piece weighs besides its bytes: without it, slabs of very small files would always end by
 * their number, and one file more would move all cuts behind it.
 */
const PIECE_WEIGHT = 256;
/** No slab is cut before its pieces weigh as much. */
const MIN_WEIGHT = 64 * 1024;
/** What would pass this begins the next slab. */
const MAX_PLAIN_BYTES = 256 * 1024;
/**
 * From there on one part in 32 Ki of weight ends its slab: a piece does with a chance that follows
 * its weight. With the minimum that makes slabs of 80 to 96 KiB on average, whatever the size of
 * the files. They differ little in length, for a long one is hit by more of the changes: with 16
 * and 80 KiB in place of 64 and 32, one changed file in a hundred stores a third of all again, and
 * a quarter so.
 */
const CUT_PER_WEIGHT = 2 ** 32 / (32 * 1024);

/**
 * Whether a slab of this weight ends behind a piece. By content, like all cuts: equal runs of files
 * make equal slabs again soon after the first that differs.
 */
function endsSlab(slabWeight: number, pieceBytes: number, pieceSha256: Uint8Array): boolean {
  if (slabWeight < MIN_WEIGHT) return false;
  const first = new DataView(pieceSha256.buffer, pieceSha256.byteOffset, 4).getUint32(0);
  return first < (pieceBytes + PIECE_WEIGHT) * CUT_PER_WEIGHT;
}

/**
 * Collects small files into slabs, in the order in which they come. Holds the encoded pieces of one
 * slab, and nothing else; the buffer serves one slab after the other.
 *
 * Convergent: the slab's key is an HMAC of all encoded pieces, and the pieces' keys are its stream.
 * So no key meets two messages, which makes the fixed counter safe, and the same pieces give the
 * same slab on every agent of the vault. The id binds each piece's hash, which stands for a tag; it
 * is checked before a key is used.
 */
export class SlabBuilder {
  readonly #keys: VaultKeys;
  /** Encoded pieces, each behind its length. */
  readonly #encoded: Uint8Array;
  #used = 0;
  readonly #starts: number[] = [];
  #plainBytes = 0;

  constructor(keys: VaultKeys) {
    this.#keys = keys;
    this.#encoded = new Uint8Array(
      MAX_PLAIN_BYTES +
        MAX_SLAB_PIECES * (LENGTH_BYTES + 1) +
        longestPiece(0) +
        MAX_PLAIN_BYTES / 64,
    );
  }

  /** Pieces in the open slab. */
  get count(): number {
    return this.#starts.length;
  }

  /** Bytes of plaintext in the open slab. */
  get plainBytes(): number {
    return this.#plainBytes;
  }

  /** Whether a piece of this size still belongs into the open slab; else `seal` comes first. */
  hasRoom(plainSize: number): boolean {
    return this.count < MAX_SLAB_PIECES && this.#plainBytes + plainSize <= MAX_PLAIN_BYTES;
  }

  /**
   * Takes the next piece, for which there must be room: 1 byte to `MAX_PIECE_PLAIN_BYTES`, which
   * are the caller's again at once.
   *
   * @param digest SHA-256 of `plain`.
   * @returns Whether the slab ends behind it.
   * @throws SealError `SEAL_VERSION_UNKNOWN`.
   */
  add(plain: Uint8Array, digest: Uint8Array): boolean {
    const start = this.#used + LENGTH_BYTES;
    const end = encodePiece(plain, this.#keys.parameters.encoderVersion, this.#encoded, start);
    new DataView(this.#encoded.buffer).setUint32(this.#used, end - start);
    this.#starts.push(start);
    this.#used = end;
    this.#plainBytes += plain.length;
    if (this.count === MAX_SLAB_PIECES) return true;
    return endsSlab(this.#plainBytes + PIECE_WEIGHT * this.count, plain.length, digest);
  }

  /**
   * Seals the open slab, which has a piece at least, under the vault's current dedup epoch, and
   * begins the next.
   *
   * @throws SealError `SEAL_EPOCH_UNKNOWN`.
   */
  seal(): SealedSlab {
    const { vaultId, currentEpoch } = this.#keys;
    const slabKey = hmacSha256(
      currentSubkeys(this.#keys).slabSubkey,
      labelled(KEY_LABEL),
      vaultId,
      this.#encoded.subarray(0, this.#used),
    );
    const stream = streamCipher(slabKey, new Uint8Array(KEY_BYTES * this.count));
    const pieceKeys: Uint8Array[] = [];
    const pieces: SlabPiece[] = [];
    for (let index = 0; index < this.#starts.length; index += 1) {
      const start = this.#starts[index] as number;
      const next = this.#starts[index + 1];
      const end = next === undefined ? this.#used : next - LENGTH_BYTES;
      const key = stream.subarray(KEY_BYTES * index, KEY_BYTES * (index + 1));
      const sealed = streamCipher(key, this.#encoded.subarray(start, end));
      pieceKeys.push(key);
      pieces.push({ length: sealed.length, hash: sha256(sealed), sealed });
    }
    const sealed = encodeSlab(pieces);
    this.clear();
    const id = slabId(decodeSlab(sealed));
    return { id, kind: 'slab', sealed, epoch: currentEpoch, slabKey, pieceKeys };
  }

  /** Forgets what is open. */
  clear(): void {
    this.#starts.length = 0;
    this.#used = 0;
    this.#plainBytes = 0;
  }
}

/** SHA-256 of the directory: the same whichever pieces are here. */
export function slabId(slab: Slab): ChunkId {
  return asChunkId(sha256(slab.directory));
}

/**
 * A slab whose directory is the one that `id` stands for. Its pieces are not proved yet.
 *
 * @throws SealError `SEAL_ID_MISMATCH`; FormatError when it is no slab.
 */
export function proveSlab(id: ChunkId, bytes: Uint8Array): Slab {
  const slab = decodeSlab(bytes);
  if (!equalBytes(slabId(slab), id))
    throw new SealError(
      'SEAL_ID_MISMATCH',
      `slab ${shortId(id)} is damaged: its directory has another hash`,
    );
  return slab;
}

/**
 * The places, counted from 1, of pieces that are here and are not what the directory says. Needs no
 * key.
 */
export function damagedPieces(slab: Slab): readonly number[] {
  const damaged: number[] = [];
  for (let index = 0; index < slab.count; index += 1) {
    const { sealed, hash } = pieceOf(slab, index);
    if (sealed !== undefined && !equalBytes(sha256(sealed), hash)) damaged.push(index + 1);
  }
  return damaged;
}

/**
 * Opens one piece of a slab that `proveSlab` gave: proves its bytes, then its size. What proves the
 * key is the file's own SHA-256: under another key come other bytes, or none.
 *
 * @param piece Counted from 1, as `Content.piece`.
 * @param memory Gives what the plaintext is written to, if it is compressed.
 * @throws SealError `SEAL_PIECE_MISSING` for a hole, and for a place that the slab does not have;
 * `SEAL_ID_MISMATCH`, `SEAL_SIZE_MISMATCH`, `SEAL_CODEC_*`.
 */
export function openPiece(
  slab: Slab,
  ref: Ref,
  piece: number,
  key: Uint8Array,
  memory?: (length: number) => Uint8Array,
): Uint8Array {
  const { sealed, hash } = piece <= slab.count ? pieceOf(slab, piece - 1) : noPiece;
  if (sealed === undefined)
    throw new SealError('SEAL_PIECE_MISSING', `slab ${shortId(ref.id)} lacks piece ${piece}`);
  if (!equalBytes(sha256(sealed), hash))
    throw new SealError(
      'SEAL_ID_MISMATCH',
      `piece ${piece} of slab ${shortId(ref.id)} is damaged: its bytes have another hash`,
    );
  const plain = decodePiece(streamCipher(key, sealed), ref.plainSize, memory);
  if (plain.length !== ref.plainSize)
    throw new SealError(
      'SEAL_SIZE_MISMATCH',
      `piece ${piece} of slab ${shortId(ref.id)} holds ${plain.length} bytes, its reference says ${ref.plainSize}`,
    );
  return plain;
}

const noPiece: SlabPiece = { length: 0, hash: new Uint8Array(0), sealed: undefined };
