/** Most chunks have less. What a larger one needed is given back, or an idle process would carry it for ever. */
const KEPT_BYTES = 1024 * 1024 + 16 * 1024;

/**
 * Memory for results that are used up before the next call, made once for a thread instead of once for a chunk (for 256 KiB the
 * system's zeroing costs as much as the filter does). Aligned, as arrays of wider numbers want it.
 */
export class Scratch {
  #bytes = new Uint8Array(0);

  /** `count` bytes of whatever was there before; the same memory at the next call. */
  of(count: number): Uint8Array {
    if (count <= this.#bytes.length) return this.#bytes.subarray(0, count);
    if (count > KEPT_BYTES) return new Uint8Array(count);
    this.#bytes = new Uint8Array(Math.min(KEPT_BYTES, Math.max(2 * this.#bytes.length, (count + 7) & ~7)));
    return this.#bytes.subarray(0, count);
  }
}
