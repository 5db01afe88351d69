/**
 * FORMAT.md, "VersionBlock", "Read segment": salts, hashes and keys of a block's rows. Its length
 * follows from the clear part, and a reader takes no other.
 */
import type { VersionBlock } from '../block-types.ts';
import { HASH_BYTES } from '../limits.ts';
import { contentForm, hasWholeHash } from './block-row.ts';
import { ColumnReader } from './columns.ts';

/** Of one row: the key is made from the seed, or written out once rows were purged. */
export const SALT_BYTES = 16;
const SEED_BYTES = 32;

/** The read segment taken apart: views over its plaintext. */
export interface ReadSegment {
  /** From which the salts grow; undefined where they are written out. */
  readonly seed: Uint8Array | undefined;
  /** 16 bytes for each row that is left; empty with a seed. */
  readonly salts: Uint8Array;
  /** By place: SHA-256 of the whole file; undefined in a row that has none. */
  readonly hashes: readonly (Uint8Array | undefined)[];
  /** By the slab's index; undefined where its pieces are keyed singly. */
  readonly slabKeys: readonly (Uint8Array | undefined)[];
  /** By place: the keys that are named singly. */
  readonly keys: readonly (readonly Uint8Array[])[];
}

/** How many keys of the row at a place stand singly. */
function singleKeys(block: VersionBlock, place: number): number {
  switch (contentForm(block, place)) {
    case 'none':
      return 0;
    case 'references':
      return block.references.get(place)?.refs.length ?? 0;
    case 'piece':
      return block.slabs[block.slabOf[place] ?? -1]?.keyedSingly === true ? 1 : 0;
  }
}

/** Bytes of the plaintext that belongs to a clear part. */
function readSegmentBytes(block: VersionBlock): number {
  let bytes = block.isPurged ? SALT_BYTES * block.kinds.length : SEED_BYTES;
  for (let place = 0; place < block.kinds.length; place += 1) {
    if (hasWholeHash(block, place)) bytes += HASH_BYTES;
    bytes += HASH_BYTES * singleKeys(block, place);
  }
  for (const { keyedSingly } of block.slabs) if (!keyedSingly) bytes += HASH_BYTES;
  return bytes;
}

/** @throws FormatError when the length is another than the clear part gives. */
export function decodeBlockRead(block: VersionBlock, plaintext: Uint8Array): ReadSegment {
  const reader = new ColumnReader('Read segment', plaintext);
  const expected = readSegmentBytes(block);
  if (plaintext.length !== expected)
    throw reader.malformed(`has ${plaintext.length} bytes instead of ${expected}`);
  const places = Array.from(block.kinds, (_, place) => place);
  const seed = block.isPurged ? undefined : reader.raw(SEED_BYTES);
  const salts = reader.raw(block.isPurged ? SALT_BYTES * places.length : 0);
  const key = (): Uint8Array => reader.raw(HASH_BYTES);
  const hashes = places.map((place) => (hasWholeHash(block, place) ? key() : undefined));
  const slabKeys = block.slabs.map(({ keyedSingly }) => (keyedSingly ? undefined : key()));
  const keys = places.map((place) => Array.from({ length: singleKeys(block, place) }, key));
  reader.end();
  return { seed, salts, hashes, slabKeys, keys };
}
