/** Ways to damage bytes, and what a door may do with the result. */
import { FormatError } from '../src/errors.ts';

/** A copy with one bit turned over. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  const at = Math.floor(bit / 8) % Math.max(1, copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8));
  return copy;
}

/**
 * `undefined` when `act` succeeds, the code when it throws a FormatError; every other exception
 * goes on.
 */
export function refusalOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
}

/** Protobuf by hand: a tag and a varint. */
export function varintField(field: number, value: bigint): Uint8Array {
  return Uint8Array.from([...varint(BigInt(field * 8)), ...varint(value)]);
}

/** Protobuf by hand: a tag, a length, and bytes. */
export function bytesField(field: number, value: Uint8Array): Uint8Array {
  return Uint8Array.from([
    ...varint(BigInt(field * 8 + 2)),
    ...varint(BigInt(value.length)),
    ...value,
  ]);
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}
