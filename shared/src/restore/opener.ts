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
