import { crc32c } from './crc32c.ts';
import { asBuffer } from './overlay.ts';

/*
 * What stands with each row, and with each flush.
 *
 * A value is followed by a checksum over the owner, the key and the value: of what is read, none is
 * another row's, another index's or a changed one. The seal is the one row with a key of a zero
 * byte; each flush writes it: how many changes the database has taken with this one, and the mark.
 */

export const SEAL_KEY: Buffer = Buffer.from([0]);
/** Every key of an owner comes behind the seal. */
export const FIRST_KEY: Buffer = Buffer.from([1]);
const CHECK_BYTES = 4;
const SEAL_VERSION = 1;
const SEAL_HEADER_BYTES = 9;

export interface Seal {
  readonly changes: number;
  readonly mark: Uint8Array;
}

/** The value as it is stored. */
export function withCheck(owner: number, key: Uint8Array, value: Uint8Array): Buffer {
  const stored = Buffer.allocUnsafe(value.length + CHECK_BYTES);
  stored.set(value);
  stored.writeUInt32LE(checkOf(owner, key, value, value.length), value.length);
  return stored;
}

/** The value without its checksum; undefined when that is wrong. */
export function checkedValue(owner: number, key: Uint8Array, stored: Buffer): Buffer | undefined {
  const length = stored.length - CHECK_BYTES;
  if (length < 0 || stored.readUInt32LE(length) !== checkOf(owner, key, stored, length))
    return undefined;
  return stored.subarray(0, length);
}

function checkOf(owner: number, key: Uint8Array, bytes: Uint8Array, length: number): number {
  return crc32c(bytes, 0, length, crc32c(key, 0, key.length, owner));
}

export function encodeSeal({ changes, mark }: Seal): Buffer {
  const bytes = Buffer.alloc(SEAL_HEADER_BYTES + mark.length);
  bytes.writeUInt8(SEAL_VERSION);
  bytes.writeBigUInt64BE(BigInt(changes), 1);
  bytes.set(mark, SEAL_HEADER_BYTES);
  return bytes;
}

/** Undefined when these are no bytes of a seal of this version. */
export function decodeSeal(bytes: Uint8Array): Seal | undefined {
  const seal = asBuffer(bytes);
  if (seal.length < SEAL_HEADER_BYTES || seal.readUInt8() !== SEAL_VERSION) return undefined;
  return {
    changes: Number(seal.readBigUInt64BE(1)),
    mark: new Uint8Array(seal.subarray(SEAL_HEADER_BYTES)),
  };
}
