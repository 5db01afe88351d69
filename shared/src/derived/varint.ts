/** The bytes end, or a number passes 2^53: they are not what they should be. */
export class Malformed extends Error {}

/** Steps through LevelDB's own encodings; throws `Malformed`. */
export class Cursor {
  readonly bytes: Uint8Array;
  at: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  get atEnd(): boolean {
    return this.at >= this.#end;
  }

  /** A number of seven bits a byte, the lowest first. */
  varint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
      if (this.at >= this.#end) throw new Malformed();
      const byte = this.bytes[this.at++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw new Malformed();
        return value;
      }
    }
    throw new Malformed();
  }

  /** The next bytes, not copied. */
  take(length: number): Uint8Array {
    if (length > this.#end - this.at) throw new Malformed();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** Bytes behind their length. */
  sized(): Uint8Array {
    return this.take(this.varint());
  }
}
