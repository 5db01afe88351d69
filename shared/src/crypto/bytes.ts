/** Small helpers over byte strings. None of them keeps a view into its arguments. */

const encoder = new TextEncoder();

/** From here on it pays to leave out the zeros that new memory begins with. */
const UNZEROED_FROM_BYTES = 4096;

/** An array with memory of its own whose bytes are still to be written, every one of them. */
export function unwritten(length: number): Uint8Array {
  return length < UNZEROED_FROM_BYTES
    ? new Uint8Array(length)
    : new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}

/** One new array with the parts in order. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = unwritten(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Bytes as the key of a map or a set: one character for each. */
export function mapKey(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/**
 * `mapKey` for arrays that come many times in a row: the same array, which nobody writes to, has
 * its key made once. Keeps one array alive.
 */
export function mapKeys(): (bytes: Uint8Array) => string {
  let last: Uint8Array | undefined;
  let key = '';
  return (bytes) => {
    if (bytes !== last) {
      key = mapKey(bytes);
      last = bytes;
    }
    return key;
  };
}

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/**
 * The bytes that an even number of hexadecimal digits stands for; `undefined` when the text is
 * anything else.
 */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Four bytes, big-endian, of an integer from 0 to 2^32 - 1. */
export function u32be(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Eight bytes, big-endian, of a safe integer from 0 up. */
export function u64be(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/**
 * Each part behind its own `u32` big-endian length, so that two different lists of parts never give
 * the same bytes. Everything of variable length goes through here before it is hashed or signed.
 */
export function lengthPrefixed(...parts: readonly Uint8Array[]): Uint8Array {
  return concat(...parts.flatMap((part) => [u32be(part.length), part]));
}

/**
 * A bit for each of some numbers from 0 up, in any order: bit i mod 8 of byte i / 8 for number i.
 * No longer than the largest needs, and of no bytes where there is none. For slots of a commit and
 * the like: the bytes are an eighth of the largest number.
 */
export function bitsOf(numbers: readonly number[] | ReadonlySet<number>): Uint8Array {
  let bytes = 0;
  for (const number of numbers) bytes = Math.max(bytes, (number >>> 3) + 1);
  const bits = new Uint8Array(bytes);
  for (const number of numbers)
    bits[number >>> 3] = (bits[number >>> 3] ?? 0) | (1 << (number & 7));
  return bits;
}

/**
 * Overwrites a secret that is no longer needed. Best effort: the runtime may have copied it before.
 */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}

/** Less than this is left to the garbage collector, and is perhaps a part of a pool. */
const LEAST_BYTES = 64 * 1024;
/** The same for a buffer that is no part of a pool. */
const LEAST_WHOLE_BYTES = 16 * 1024;
const MOST_BESIDE_BYTES = 1024 * 1024;

/**
 * Gives the memory of a large buffer back at once, instead of whenever the garbage collector looks:
 * a stream of megabyte messages would else make it look at the whole heap many times a second. For
 * buffers that the caller owns alone; every view of it is empty afterwards.
 */
export function release(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes;
  const beside = buffer.byteLength - byteLength;
  const least = beside === 0 ? LEAST_WHOLE_BYTES : LEAST_BYTES;
  if (byteLength < least || beside > MOST_BESIDE_BYTES) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/**
 * `release` for a buffer of which `bytes` are all: what shares its memory with others is left
 * alone.
 */
export function releaseWhole(bytes: Uint8Array): void {
  if (bytes.byteLength === bytes.buffer.byteLength) release(bytes);
}

/** Parts of a buffer that are still used. */
const sharers = new WeakMap<ArrayBufferLike, number>();

/**
 * Says that these are all the parts of their buffers that anybody will use: the last one that is
 * given back with `releasePart` gives the buffer back.
 */
export function shareBuffers(parts: readonly Uint8Array[]): void {
  for (const { buffer } of parts) sharers.set(buffer, (sharers.get(buffer) ?? 0) + 1);
}

/** Gives back a part of what `shareBuffers` was told of, or all of a buffer; once for each. */
export function releasePart(bytes: Uint8Array): void {
  const { buffer } = bytes;
  const users = sharers.get(buffer);
  if (users === undefined) releaseWhole(bytes);
  else if (users > 1) sharers.set(buffer, users - 1);
  else {
    sharers.delete(buffer);
    releaseWhole(new Uint8Array(buffer));
  }
}
