import {
  decodeSlab,
  encodeSlab,
  FormatError,
  HASH_BYTES,
  pieceOf,
  type Slab,
} from '@aliquot/proto';
import { equalBytes, sha256 } from '../crypto/primitives.ts';
import type { Span } from '../hashing/hasher.ts';
import type { ProofPlan } from '../records/format.ts';
import { damagedPieces, slabId } from './slab.ts';

/**
 * What proves a stored slab without a key, as its record's plan: the directory by the slab's id,
 * each piece that is here by its hash in there. `undefined` of bytes that are no slab.
 */
export function slabPlan(bytes: Uint8Array): ProofPlan | undefined {
  const slab = slabIn(bytes);
  if (slab === undefined) return undefined;
  const { directory, count, places } = slab;
  // With holes the id covers a byte that does not stand there: then it is hashed where it is asked.
  const isWhole = directory.buffer === slab.bytes.buffer;
  const spans: Span[] = isWhole ? [{ offset: 0, length: directory.length }] : [];
  /** Where the hashes of the pieces that are here stand. */
  const hashesAt: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const offset = places[index] ?? -1;
    if (offset < 0) continue;
    const { length, hash } = pieceOf(slab, index);
    spans.push({ offset, length });
    hashesAt.push(hash.byteOffset - slab.bytes.byteOffset);
  }
  return {
    spans,
    holds(payload, digest, hashes) {
      const own = isWhole ? hashes.subarray(0, HASH_BYTES) : sha256(directory);
      if (!equalBytes(own, digest)) return false;
      const stored = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      let at = isWhole ? HASH_BYTES : 0;
      for (const from of hashesAt) {
        const end = at + HASH_BYTES;
        if (stored.compare(hashes, at, end, from, from + HASH_BYTES) !== 0) return false;
        at = end;
      }
      return true;
    },
  };
}

/** What is left of a stored slab. */
export interface SoundSlab {
  /** Whole, or with holes where a piece does not prove. */
  readonly bytes: Uint8Array;
  /** Pieces that are here and do not prove, counted from 1. */
  readonly rotten: readonly number[];
}

/** The pieces of a stored slab that still prove; `undefined` when its directory or none does. */
export function soundPieces(bytes: Uint8Array, id: Uint8Array): SoundSlab | undefined {
  const slab = slabIn(bytes);
  if (slab === undefined || !equalBytes(slabId(slab), id)) return undefined;
  const rotten = damagedPieces(slab);
  if (rotten.length === 0) return { bytes, rotten };
  const pieces = Array.from({ length: slab.count }, (_, index) => {
    const piece = pieceOf(slab, index);
    return rotten.includes(index + 1) ? { ...piece, sealed: undefined } : piece;
  });
  const isEmpty = pieces.every(({ sealed }) => sealed === undefined);
  return isEmpty ? undefined : { bytes: encodeSlab(pieces), rotten };
}

/** Bytes taken apart as a slab; `undefined` when they are none. */
function slabIn(bytes: Uint8Array): Slab | undefined {
  try {
    return decodeSlab(bytes);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
