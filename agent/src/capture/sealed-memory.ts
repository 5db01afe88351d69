import { unwritten } from '@aliquot/shared/crypto/bytes';

/**
 * So much is handed over at a time: less would cost a transfer for nearly every chunk, of more a
 * larger part stays empty.
 */
const BLOCK_BYTES = 512 << 10;

/**
 * Where the sealed items of one window lie, one behind the other: they are written, and sent, from
 * where they were sealed.
 */
export class SealedMemory {
  readonly #blockBytes: number;
  #block: Uint8Array = unwritten(0);
  #used = 0;

  /** `atMost`: about what will be taken in all. */
  constructor(atMost: number) {
    this.#blockBytes = Math.min(BLOCK_BYTES, atMost);
  }

  /** The next `bytes`, to be written every one of them. */
  take(bytes: number): Uint8Array {
    if (this.#block.length - this.#used < bytes) {
      this.#block = unwritten(Math.max(this.#blockBytes, bytes));
      this.#used = 0;
    }
    this.#used += bytes;
    return this.#block.subarray(this.#used - bytes, this.#used);
  }
}
