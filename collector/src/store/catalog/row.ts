import { StoreError } from '../errors.ts';

const TWO_TO_32 = 0x1_0000_0000;
/** One more than the largest counter, for optional ones. */
const TWO_TO_53 = 2 ** 53;
const MAX_U128 = (1n << 128n) - 1n;

/** Packs numbers and bytes into one big-endian catalog key or value. Grows as needed; use once. */
export class RowWriter {
  #buffer = Buffer.allocUnsafe(96);
  #length = 0;

  u8(value: number): this {
    const at = this.#room(1);
    this.#buffer[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#room(2); // first: it may exchange the buffer
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  /**
   * A safe, non-negative integer in 8 bytes, so that byte order is numeric order. Another number is
   * `STORE_UNFIT`.
   */
  u64(value: number): this {
    if (!(value >= 0 && value <= TWO_TO_53 && Number.isInteger(value))) throw outOfBounds(value);
    const at = this.#room(8);
    this.#buffer.writeUInt32BE(Math.floor(value / TWO_TO_32), at);
    this.#buffer.writeUInt32BE(value % TWO_TO_32, at + 4);
    return this;
  }

  /**
   * A sum in 16 bytes. Sums add up what agents claim, up to 2^53 for each version, and must hold
   * whatever that comes to: 2^75 versions would be needed to leave these bounds.
   */
  u128(value: bigint): this {
    if (value < 0n || value > MAX_U128) throw outOfBounds(value);
    const at = this.#room(16);
    this.#buffer.writeBigUInt64BE(value >> 64n, at);
    this.#buffer.writeBigUInt64BE(BigInt.asUintN(64, value), at + 8);
    return this;
  }

  /** Bytes whose length the reader knows. */
  fixed(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  /** Bytes behind their own length. */
  blob(bytes: Uint8Array): this {
    return this.u32(bytes.length).fixed(bytes);
  }

  text(value: string): this {
    return this.blob(Buffer.from(value, 'utf8'));
  }

  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  #room(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, at));
      this.#buffer = larger;
    }
    return at;
  }
}

function outOfBounds(value: number | bigint): StoreError {
  return new StoreError('STORE_UNFIT', `the catalog cannot hold the number ${value}`);
}

/**
 * Reads what `RowWriter` wrote. A row that ends early means a catalog that is not ours:
 * `STORE_CATALOG`.
 */
export class RowReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  u64(): number {
    const at = this.#take(8);
    return this.#bytes.readUInt32BE(at) * TWO_TO_32 + this.#bytes.readUInt32BE(at + 4);
  }

  u128(): bigint {
    const at = this.#take(16);
    return (this.#bytes.readBigUInt64BE(at) << 64n) | this.#bytes.readBigUInt64BE(at + 8);
  }

  /** A copy, so that a kept row does not pin Level's buffer. */
  fixed(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(at, at + length));
  }

  blob(): Uint8Array {
    return this.fixed(this.u32());
  }

  text(): string {
    return Buffer.from(this.blob()).toString('utf8');
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#bytes.length) {
      throw new StoreError(
        'STORE_CATALOG',
        'a catalog row is shorter than it should be: run aliquot fsck --repair, which rebuilds the catalog',
      );
    }
    return at;
  }
}
