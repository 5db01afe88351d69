import type { Ref, VaultId } from '@aliquot/proto';
import { openChunk } from '../content/seal.ts';

/** A chunk as it came, with what opens and proves it. */
export interface SealedPiece {
  readonly ref: Ref;
  readonly key: Uint8Array;
  readonly sealed: Uint8Array;
}

/** The plaintext, or why there is none. */
export type OpenedPiece = { readonly plain: Uint8Array } | { readonly error: unknown };

/** Opens and proves chunks, perhaps elsewhere: `OpenPool` does it in threads. */
export interface ChunkOpener {
  /**
   * Takes the sealed bytes over: nobody else touches them from the call on. One answer for each
   * piece, in order.
   */
  open(vaultId: VaultId, pieces: readonly SealedPiece[]): Promise<readonly OpenedPiece[]>;
}

/** Opens on the spot. */
export const hereOpener: ChunkOpener = {
  open: async (vaultId, pieces) => openHere(vaultId, pieces),
};

export function openHere(vaultId: VaultId, pieces: readonly SealedPiece[]): OpenedPiece[] {
  return pieces.map(({ ref, key, sealed }): OpenedPiece => {
    try {
      return { plain: openChunk(vaultId, ref, key, sealed) };
    } catch (error) {
      return { error };
    }
  });
}

/**
 * Arrays that own their memory are handed to another thread without a copy; smaller ones are
 * joined, for a transfer costs some 20 µs.
 */
const OWN_FROM_BYTES = 64 * 1024;
const MOST_BESIDE_BYTES = 64 * 1024;

/**
 * The same arrays over buffers that may all be handed over. Those that own a large buffer must be
 * the only ones over it.
 */
export function forTransfer(arrays: readonly Uint8Array[]): {
  readonly arrays: Uint8Array[];
  readonly transfer: ArrayBuffer[];
} {
  const taken = new Set<ArrayBufferLike>();
  const owns = arrays.map((array) => {
    const { buffer, byteLength } = array;
    if (
      byteLength < OWN_FROM_BYTES ||
      !(buffer instanceof ArrayBuffer) ||
      buffer.byteLength - byteLength > MOST_BESIDE_BYTES
    )
      return false;
    if (taken.has(buffer)) return false;
    taken.add(buffer);
    return true;
  });
  const joined = new Uint8Array(
    arrays.reduce((sum, { length }, index) => sum + (owns[index] === true ? 0 : length), 0),
  );
  let at = 0;
  const over = arrays.map((array, index) => {
    if (owns[index] === true)
      return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    joined.set(array, at);
    at += array.length;
    return joined.subarray(at - array.length, at);
  });
  return { arrays: over, transfer: [...(taken as Set<ArrayBuffer>), joined.buffer] };
}
