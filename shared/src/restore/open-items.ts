import { type ChunkId, FormatError, type Slab, type VaultId } from '@aliquot/proto';
import { SealError } from '../content/errors.ts';
import { openChunk } from '../content/seal.ts';
import { openPiece, proveSlab } from '../content/slab.ts';
import { inSteps, type Soon, type Steps, soon } from '../durable/soon.ts';
import type { ContentStep } from './plan.ts';

/** Whether an item is not what its id stands for, as its hash or a slab's directory says. */
function isUnproved(error: unknown): boolean {
  return (
    error instanceof FormatError ||
    (error instanceof SealError && error.code === 'SEAL_ID_MISMATCH')
  );
}

/** An item asked for a second time, as its holder proves it; `undefined` when it has none. */
export type FetchAgain = (id: ChunkId) => Promise<Uint8Array | undefined>;

/** What an item is opened with. */
type OpenStep = Pick<ContentStep, 'ref' | 'key' | 'piece'>;

/**
 * Opens chunks and pieces. The directory of a slab is proved once for all of its pieces that are
 * wanted in a row. An item whose bytes are not what its id stands for is asked for once more.
 */
export class ItemOpener {
  readonly #vaultId: VaultId;
  readonly #fetchAgain: FetchAgain | undefined;
  readonly #memory: ((length: number) => Uint8Array) | undefined;
  #slab: { readonly sealed: Uint8Array; readonly slab: Slab } | undefined;
  /** What came of the last one that did not prove: all pieces of a slab are asked for once. */
  #again: { readonly first: Uint8Array; readonly sealed: Uint8Array | undefined } | undefined;

  /** @param memory Gives what pieces are opened into; each has its own unless given. */
  constructor(
    vaultId: VaultId,
    fetchAgain: FetchAgain | undefined,
    memory?: (length: number) => Uint8Array,
  ) {
    this.#vaultId = vaultId;
    this.#fetchAgain = fetchAgain;
    this.#memory = memory;
  }

  /** @throws SealError, FormatError; what `fetchAgain` throws. */
  open(step: OpenStep, sealed: Uint8Array): Soon<Uint8Array> {
    return inSteps(this.#open(step, sealed));
  }

  *#open(step: OpenStep, sealed: Uint8Array): Steps<Uint8Array> {
    try {
      return this.#openHere(step, sealed);
    } catch (error) {
      if (!isUnproved(error)) throw error;
      if (this.#again?.first !== sealed)
        this.#again = { first: sealed, sealed: yield* soon(this.#fetchAgain?.(step.ref.id)) };
      if (this.#again.sealed === undefined) throw error;
      return this.#openHere(step, this.#again.sealed);
    }
  }

  #openHere({ ref, key, piece }: OpenStep, sealed: Uint8Array): Uint8Array {
    if (piece === 0) return openChunk(this.#vaultId, ref, key, sealed);
    if (this.#slab?.sealed !== sealed) this.#slab = { sealed, slab: proveSlab(ref.id, sealed) };
    return openPiece(this.#slab.slab, ref, piece, key, this.#memory);
  }
}
