import { kernels } from './kernels/kernels.ts';

/** Who never works on as much has no arena. */
const ARENA_FROM_BYTES = 32 * 1024;
/**
 * Most chunks have less. What a larger one needed is given back, or an idle process would carry it
 * for ever.
 */
const KEPT_BYTES = 1024 * 1024 + 16 * 1024;

/**
 * Memory for results that are used up before the next call, made once for a thread instead of once
 * for a chunk (for 256 KiB the system's zeroing costs as much as the filter does). Aligned, as
 * arrays of wider numbers want it, and where the kernels reach it.
 */
export class Scratch {
  #bytes: Uint8Array = new Uint8Array(0);
  #inArena = false;

  /** `count` bytes of whatever was there before; the same memory at the next call. */
  of(count: number): Uint8Array {
    if (count <= this.#bytes.length) return this.#bytes.subarray(0, count);
    if (count > KEPT_BYTES) return new Uint8Array(count);
    if (count >= ARENA_FROM_BYTES && !this.#inArena) {
      const bytes = kernels()?.take(KEPT_BYTES);
      if (bytes !== undefined) {
        this.#inArena = true;
        this.#bytes = bytes;
        return bytes.subarray(0, count);
      }
    }
    this.#bytes = new Uint8Array(
      Math.min(KEPT_BYTES, Math.max(2 * this.#bytes.length, (count + 7) & ~7)),
    );
    return this.#bytes.subarray(0, count);
  }
}
