/**
 * Repeatable noise for generated data: sfc32 (Chris Doty-Humphrey's "Small Fast Counting"
 * generator, PractRand 2010) on 32-bit arithmetic. Fast rather than secret; the same seed gives the
 * same numbers on every platform.
 */
export class Noise {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, name: string) {
    // FNV-1a spreads the name; the generator itself is then turned until the seed is well mixed.
    let hash = 0x811c9dc5 ^ seed;
    for (let at = 0; at < name.length; at += 1)
      hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
    this.#a = hash | 0;
    this.#b = Math.imul(hash, 0x9e3779b1) | 0;
    this.#c = seed | 0;
    for (let turn = 0; turn < 16; turn += 1) this.int();
  }

  /** Any 32-bit integer. */
  int(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum;
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    return Math.floor(((this.int() >>> 0) / 2 ** 32) * below);
  }

  /** A number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + ((this.int() >>> 0) / 2 ** 32) * (most - least);
  }

  /**
   * Fills with nearly normal numbers of mean 0 and deviation 1: each the sum of the four bytes of
   * one number (Irwin and Hall). In bulk and in local variables, because gigabytes are made of it.
   */
  normals(into: Float64Array): void {
    let a = this.#a;
    let b = this.#b;
    let c = this.#c;
    let counter = this.#counter;
    for (let at = 0; at < into.length; at += 1) {
      const sum = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
      into[at] =
        ((sum & 255) + ((sum >>> 8) & 255) + ((sum >>> 16) & 255) + (sum >>> 24) - 510) *
        (1 / 147.8);
    }
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#counter = counter;
  }
}
