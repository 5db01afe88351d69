/** No state has this number. */
const NONE = 0xffffffff;
/** Full beyond this share, the table is doubled. */
const MOST_FULL = 0.6;

/**
 * The states that were seen, by a hash of 64 bits each, and from where each was reached first. Two
 * of ten million states share a hash in one of 400,000 runs.
 */
export class SeenStates {
  #slots = new Uint32Array(1 << 16).fill(NONE);
  #high = new Uint32Array(1 << 14);
  #low = new Uint32Array(1 << 14);
  #parents = new Uint32Array(1 << 14);
  #moves = new Uint16Array(1 << 14);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The number of a state that was not seen before; undefined when it was. */
  add(bytes: Uint8Array, parent: number, move: number): number | undefined {
    let [high, low] = [0x9e3779b9, 0x85ebca6b];
    for (const byte of bytes) {
      high = Math.imul(high ^ byte, 0x01000193);
      low = Math.imul(low + byte + (low << 5), 0x27d4eb2f) ^ (low >>> 13);
    }
    high = mixed(high ^ (low >>> 7));
    low = mixed(low ^ (high << 3));
    const mask = this.#slots.length - 1;
    let slot = (high ^ low) & mask;
    for (;;) {
      const known = this.#slots[slot] ?? NONE;
      if (known === NONE) break;
      if (this.#high[known] === high && this.#low[known] === low) return undefined;
      slot = (slot + 1) & mask;
    }
    const number = this.#count;
    this.#count += 1;
    if (number === this.#high.length) this.#grow();
    this.#high[number] = high;
    this.#low[number] = low;
    this.#parents[number] = parent;
    this.#moves[number] = move;
    this.#slots[slot] = number;
    if (this.#count > MOST_FULL * this.#slots.length) this.#spread();
    return number;
  }

  /** The moves that led to a state, from the first one on. */
  pathTo(number: number): number[] {
    const moves: number[] = [];
    for (let at = number; at !== 0; at = this.#parents[at] ?? 0) moves.push(this.#moves[at] ?? 0);
    return moves.reverse();
  }

  #grow(): void {
    const size = this.#high.length * 2;
    const grown = (list: Uint32Array): Uint32Array<ArrayBuffer> => {
      const larger = new Uint32Array(size);
      larger.set(list);
      return larger;
    };
    [this.#high, this.#low, this.#parents] = [
      grown(this.#high),
      grown(this.#low),
      grown(this.#parents),
    ];
    const moves = new Uint16Array(size);
    moves.set(this.#moves);
    this.#moves = moves;
  }

  #spread(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2).fill(NONE);
    const mask = this.#slots.length - 1;
    for (let number = 0; number < this.#count; number += 1) {
      let slot = ((this.#high[number] ?? 0) ^ (this.#low[number] ?? 0)) & mask;
      while (this.#slots[slot] !== NONE) slot = (slot + 1) & mask;
      this.#slots[slot] = number;
    }
  }
}

/** The end of MurmurHash3. */
function mixed(hash: number): number {
  let mixing = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixing = Math.imul(mixing ^ (mixing >>> 13), 0xc2b2ae35);
  return (mixing ^ (mixing >>> 16)) >>> 0;
}
