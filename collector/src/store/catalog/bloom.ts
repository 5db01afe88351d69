/** Bits for each id: with four places an id, one of eighty that were never added seems to be. */
const BITS_FOR_ID = 10;
const LEAST_BITS = 2 ** 16;
const MOST_BITS = 2 ** 31;
/** All places of an id lie within so many bits: one line of a processor's cache. */
const BLOCK_BITS = 512;
/** Which bit of a block: nine bits of a hash. */
const IN_BLOCK = BLOCK_BITS - 1;

/**
 * Remembers ids, ten bits each (Bloom 1970; in blocks: Putze, Sanders and Singler 2007). It may
 * take one for added that never was, which only keeps it; never the other way round. Ids are
 * hashes, so words of them are places by themselves; the salt makes other mistakes in each run.
 */
export class Bloom {
  readonly #words: Uint32Array;
  readonly #blocks: number;
  readonly #salt: number;
  readonly #otherSalt: number;

  /** @param ids how many are expected; @param salt 16 random bytes. */
  constructor(ids: number, salt: Uint8Array) {
    let bits = LEAST_BITS;
    while (bits < ids * BITS_FOR_ID && bits < MOST_BITS) bits *= 2;
    this.#words = new Uint32Array(bits / 32);
    this.#blocks = bits / BLOCK_BITS - 1;
    this.#salt = wordAt(salt, 0) ^ wordAt(salt, 4);
    this.#otherSalt = wordAt(salt, 8) ^ wordAt(salt, 12);
  }

  /** @param at the byte at which the id begins. */
  add(id: Uint8Array, at = 0): void {
    const one = mixed(wordAt(id, at) ^ this.#salt, wordAt(id, at + 16));
    const other = mixed(wordAt(id, at + 4) ^ this.#otherSalt, wordAt(id, at + 20));
    const block = (one & this.#blocks) * BLOCK_BITS;
    this.#set(block + (one >>> 23));
    this.#set(block + (other & IN_BLOCK));
    this.#set(block + ((other >>> 9) & IN_BLOCK));
    this.#set(block + ((other >>> 18) & IN_BLOCK));
  }

  /** False: it was never added. */
  has(id: Uint8Array, at = 0): boolean {
    const one = mixed(wordAt(id, at) ^ this.#salt, wordAt(id, at + 16));
    const other = mixed(wordAt(id, at + 4) ^ this.#otherSalt, wordAt(id, at + 20));
    const block = (one & this.#blocks) * BLOCK_BITS;
    return (
      this.#isSet(block + (one >>> 23)) &&
      this.#isSet(block + (other & IN_BLOCK)) &&
      this.#isSet(block + ((other >>> 9) & IN_BLOCK)) &&
      this.#isSet(block + ((other >>> 18) & IN_BLOCK))
    );
  }

  #set(bit: number): void {
    this.#words[bit >>> 5] = (this.#words[bit >>> 5] ?? 0) | (1 << (bit & 31));
  }

  #isSet(bit: number): boolean {
    return (((this.#words[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) === 1;
  }
}

/** Two words of an id, the one spread by the other: whoever makes ids does not know the salt. */
function mixed(salted: number, other: number): number {
  const once = Math.imul(salted, 0x9e3779b1) ^ other;
  const twice = Math.imul(once ^ (once >>> 16), 0x85ebca6b);
  return (twice ^ (twice >>> 15)) >>> 0;
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
