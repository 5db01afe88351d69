/** Numbers of leaves, a bit for each that the log has. */
export class LeafSet {
  #bits = new Uint8Array(1024);

  add(leafIndex: number): void {
    const byte = Math.floor(leafIndex / 8);
    if (byte >= this.#bits.length) {
      const more = new Uint8Array(Math.max(byte + 1, 2 * this.#bits.length));
      more.set(this.#bits);
      this.#bits = more;
    }
    this.#bits[byte] = (this.#bits[byte] ?? 0) | (1 << (leafIndex % 8));
  }

  /** In their order. */
  *[Symbol.iterator](): Generator<number, void, void> {
    for (const [byte, bits] of this.#bits.entries())
      for (let bit = 0; bits >>> bit > 0; bit += 1)
        if (((bits >>> bit) & 1) === 1) yield byte * 8 + bit;
  }
}
