/** Bits for each id: with four places an id, one of eighty that were never added seems to be. */
const BITS_FOR_ID = 10;
const LEAST_BITS = 2 ** 16;
const MOST_BITS = 2 ** 31;
const SALT_WORDS = 4;

/**
 * Remembers ids, ten bits each (Bloom 1970). It may take one for added that never was, which only
 * keeps it; never the other way round. Ids are hashes, so words of them are places by themselves;
 * the salt makes other mistakes in each run.
 */
export class Bloom {
  readonly #words: Uint32Array;
  readonly #mask: number;
  readonly #salt: Uint32Array;

  /** @param ids how many are expected; @param salt 16 random bytes. */
  constructor(ids: number, salt: Uint8Array) {
    let bits = LEAST_BITS;
    while (bits < ids * BITS_FOR_ID && bits < MOST_BITS) bits *= 2;
    this.#words = new Uint32Array(bits / 32);
    this.#mask = this.#words.length - 1;
    this.#salt = new Uint32Array(SALT_WORDS);
    for (let at = 0; at < SALT_WORDS; at += 1) this.#salt[at] = wordAt(salt, 4 * at);
  }

  add(id: Uint8Array): void {
    for (let at = 0; at < SALT_WORDS; at += 1) {
      const hash = this.#hash(id, at);
      const word = (hash >>> 5) & this.#mask;
      this.#words[word] = (this.#words[word] ?? 0) | (1 << (hash & 31));
    }
  }

  /** False: it was never added. */
  has(id: Uint8Array): boolean {
    for (let at = 0; at < SALT_WORDS; at += 1) {
      const hash = this.#hash(id, at);
      if ((((this.#words[(hash >>> 5) & this.#mask] ?? 0) >>> (hash & 31)) & 1) === 0) return false;
    }
    return true;
  }

  /** Two words of the id, the one spread by the other: whoever makes ids does not know the salt. */
  #hash(id: Uint8Array, at: number): number {
    const [one, other] = [wordAt(id, 4 * at), wordAt(id, 16 + 4 * at)];
    const mixed = Math.imul(one ^ (this.#salt[at] ?? 0), 0x9e3779b1) ^ other;
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0
  );
}
