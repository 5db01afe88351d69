/**
 * Reading and writing columns of numbers and bytes: FORMAT.md, "VersionBlock". A number is a varint
 * as in protobuf: seven bits a byte, the lowest first, no superfluous byte, at most 2^53 - 1. A
 * difference is folded to a number: 0, -1, 1, -2, 2 are 0, 1, 2, 3, 4.
 */
import { FormatError } from '../errors.ts';

const FIRST_BYTES = 64 * 1024;
/** 2^53 - 1 takes eight bytes. */
const MAX_VARINT_BYTES = 8;

/** The largest distance from zero of a difference: its fold must still be counted exactly. */
export const MAX_DIFFERENCE: number = 2 ** 52 - 1;

/** Writes behind one another into memory that grows and is used again: see `reset`. */
export class ColumnWriter {
  #bytes = new Uint8Array(FIRST_BYTES);
  #data = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.#length] = value;
    this.#length += 1;
  }

  u16(value: number): void {
    this.#room(2);
    this.#data.setUint16(this.#length, value);
    this.#length += 2;
  }

  u32(value: number): void {
    this.#room(4);
    this.#data.setUint32(this.#length, value);
    this.#length += 4;
  }

  /** A safe integer from 0 up. */
  u64(value: number): void {
    this.u32(Math.floor(value / 2 ** 32));
    this.u32(value % 2 ** 32);
  }

  i64(value: bigint): void {
    this.#room(8);
    this.#data.setBigInt64(this.#length, value);
    this.#length += 8;
  }

  varint(value: number): void {
    this.#room(MAX_VARINT_BYTES);
    let rest = value;
    while (rest >= 128) {
      this.#bytes[this.#length] = (rest % 128) | 128;
      this.#length += 1;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length] = rest;
    this.#length += 1;
  }

  /** At most `MAX_DIFFERENCE` away from zero. */
  difference(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Bytes behind their length. */
  sized(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** What was written so far: a view, true until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Begins anew, and forgets what was written: it may have been keys. */
  reset(): this {
    this.#bytes.fill(0, 0, this.#length);
    this.#length = 0;
    return this;
  }

  #room(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.view());
    this.#bytes.fill(0);
    this.#bytes = larger;
    this.#data = new DataView(larger.buffer);
  }
}

/** Reads what a `ColumnWriter` wrote; every byte must be asked for. `what` is named in refusals. */
export class ColumnReader {
  readonly #bytes: Uint8Array;
  readonly #data: DataView;
  readonly #what: string;
  #at: number;

  constructor(what: string, bytes: Uint8Array, from = 0) {
    this.#what = what;
    this.#bytes = bytes;
    this.#data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = from;
  }

  get at(): number {
    return this.#at;
  }

  u8(): number {
    return this.#data.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#data.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#data.getUint32(this.#take(4));
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MAX_VARINT_BYTES; count += 1) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw this.malformed('is cut off inside of a column');
      this.#at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (byte === 0 && count > 0) throw this.malformed('has a number with a superfluous byte');
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw this.limit('has a number that cannot be counted exactly');
  }

  difference(): number {
    const folded = this.varint();
    return folded % 2 === 1 ? -(folded + 1) / 2 : folded / 2;
  }

  /** A view over the input. */
  raw(length: number): Uint8Array {
    const from = this.#take(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** A view; its length is judged before anything is done with it. */
  sized(most: number): Uint8Array {
    const length = this.varint();
    if (length > most)
      throw this.limit(`has a text of ${length} bytes, more than the ${most} allowed`);
    return this.raw(length);
  }

  /** Nothing may be left. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw this.malformed(`has ${left} bytes behind its last column`);
  }

  malformed(why: string): FormatError {
    return new FormatError('FORMAT_MALFORMED', `${this.#what} ${why}`);
  }

  limit(why: string): FormatError {
    return new FormatError('FORMAT_LIMIT', `${this.#what} ${why}`);
  }

  unknown(why: string): FormatError {
    return new FormatError('FORMAT_UNKNOWN_VERSION', `${this.#what} ${why}`);
  }

  #take(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw this.malformed('is cut off inside of a column');
    this.#at = from + length;
    return from;
  }
}
