/**
 * SEALING.md, "Version block", "Leaf": the hashes by which a block's rows are proved. A leaf covers
 * all that a row says except its keys, which prove themselves by what they open.
 */
import {
  type BlockRow,
  ColumnWriter,
  clearRowBytes,
  clearRowBytesAt,
  type ListRow,
  SALT_BYTES,
  type VersionBlock,
} from '@aliquot/proto';
import { labelled, sha256, streamCipher } from '../crypto/primitives.ts';

const ROWS_HASH = 'aliquot/v1/block-rows';
const NO_HASH = new Uint8Array(0);

/**
 * The salts of a block's rows, 16 bytes each, from their seed. They stand in the read segment: with
 * one, the content of a row whose names are known could be guessed against its leaf.
 */
export function saltsFrom(seed: Uint8Array, count: number): Uint8Array {
  return streamCipher(seed, new Uint8Array(SALT_BYTES * count));
}

/** SHA-256 of a clear row: what the proof of a result needs of it. */
export function clearHashOf(row: BlockRow): Uint8Array {
  return sha256(clearRowBytes(row));
}

/** The same of the row at a place of a block. */
export function clearHashAt(block: VersionBlock, place: number): Uint8Array {
  return sha256(clearRowBytesAt(block, place));
}

const out = new ColumnWriter();

/**
 * A row's leaf.
 *
 * @param salt Random, so that nobody can guess a purged row from its leaf.
 * @param wholeHash SHA-256 of the file; undefined where the row has none.
 */
export function leafOf(
  clearHash: Uint8Array,
  salt: Uint8Array,
  { list, part, evidence }: ListRow,
  wholeHash: Uint8Array | undefined,
): Uint8Array {
  out.reset();
  out.u8(0);
  out.raw(clearHash);
  out.raw(salt);
  out.u8(list.platform === 'posix' ? 1 : 2);
  out.sized(list.path);
  out.i64(list.mtimeNs);
  out.u32(list.platform === 'posix' ? list.mode : list.attributes);
  out.u32(list.resultPathLength);
  out.u8(partNumbers[part]);
  out.sized(list.linkTarget);
  if (evidence !== undefined) {
    const { profile, profileVersion, evidence: line, started, ended } = evidence;
    for (const text of [profile, profileVersion, line, started, ended])
      out.sized(Buffer.from(text));
  }
  out.sized(wholeHash ?? NO_HASH);
  return sha256(out.view());
}

const partNumbers: Readonly<Record<ListRow['part'], number>> = {
  none: 0,
  raw: 1,
  results: 2,
  other: 3,
};

/**
 * One hash over the clear hashes of all rows of a block, the purged ones too: proves the clear rows
 * without a key, also after a purge.
 */
export function rowsHashOf(clearHashes: readonly Uint8Array[]): Uint8Array {
  return sha256(labelled(ROWS_HASH), ...clearHashes);
}
