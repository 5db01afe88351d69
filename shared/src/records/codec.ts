import { crc32 } from 'node:zlib';
import type { FileFormat, RecordHeader } from './format.ts';
import { payloadMatches } from './payload.ts';

/*
 * The bytes of a file of records (FORMAT.md, "Record file") and the only door through which they
 * come back as values. All numbers are big-endian. Lengths are compared with their limits before
 * anything is allocated.
 */

/** Bytes before the first record of a file. */
export const FILE_HEADER_BYTES = 40;
/** Bytes before each record's payload. */
export const RECORD_HEADER_BYTES = 52;
/** Bytes that name whose file it is. */
export const OWNER_BYTES = 16;

const VERSION = 1;
const MAGIC_BYTES = 7;
const FILE_CRC_AT = 36;
const RECORD_CRC_AT = 48;
const RECORD_MAGIC = Buffer.from('ALQR', 'latin1');

/** What all files of one log have in common. */
export interface LogIdentity {
  /** Whose log it is: 16 bytes. */
  readonly owner: Uint8Array;
  /**
   * Random, and known to nobody who decides what records hold. With it and the file's number begin
   * all checksums of a file: so nobody can store bytes that look like a record to a reader who
   * searches a damaged file, and no record of another file, left behind on the disk, is taken for
   * one of this file.
   */
  readonly salt: number;
}

export interface FileHeader extends LogIdentity {
  /** The number in the file's name. */
  readonly number: number;
}

export function encodeFileHeader(format: FileFormat<string>, header: FileHeader): Buffer {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES);
  bytes.write(format.magic, 0, 'latin1');
  bytes.writeUInt8(VERSION, MAGIC_BYTES);
  bytes.writeBigUInt64BE(BigInt(header.number), 8);
  bytes.set(header.owner, 16);
  bytes.writeUInt32BE(header.salt, 32);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, FILE_CRC_AT)), FILE_CRC_AT);
  return bytes;
}

/** What the first bytes of a file turn out to be. */
export type FileVerdict =
  | { readonly type: 'header'; readonly header: FileHeader }
  /** Sound, but of a later release. */
  | { readonly type: 'later'; readonly version: number }
  | { readonly type: 'bad' };

/** Magic, version and checksum stay where they are in every version. */
export function decodeFileHeader(bytes: Uint8Array, format: FileFormat<string>): FileVerdict {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < FILE_HEADER_BYTES) return { type: 'bad' };
  if (view.toString('latin1', 0, MAGIC_BYTES) !== format.magic) return { type: 'bad' };
  if (crc32(view.subarray(0, FILE_CRC_AT)) !== view.readUInt32BE(FILE_CRC_AT))
    return { type: 'bad' };
  const version = view.readUInt8(MAGIC_BYTES);
  if (version !== VERSION) return { type: 'later', version };
  const number = Number(view.readBigUInt64BE(8));
  const owner = new Uint8Array(view.subarray(16, 16 + OWNER_BYTES));
  return { type: 'header', header: { number, owner, salt: view.readUInt32BE(32) } };
}

/**
 * The header of file `number` of which one byte has rotted, or undefined: the one that differs from
 * these bytes in one byte and is sound.
 */
export function nearFileHeader(
  bytes: Uint8Array,
  format: FileFormat<string>,
  number: number,
): FileHeader | undefined {
  if (bytes.length < FILE_HEADER_BYTES) return undefined;
  for (const changed of oneByteAway(bytes.subarray(0, FILE_HEADER_BYTES))) {
    const verdict = decodeFileHeader(changed, format);
    if (verdict.type === 'header' && verdict.header.number === number) return verdict.header;
  }
  return undefined;
}

/**
 * What 52 bytes turn out to be. `unknown`: sound, but of a later release, so neither read nor cut.
 */
export type HeaderVerdict<K extends string> =
  | { readonly type: 'header'; readonly header: RecordHeader<K> }
  | { readonly type: 'unknown'; readonly why: string }
  | { readonly type: 'bad' };

/** Encodes and decodes the record headers of one file. */
export class RecordCodec<K extends string> {
  readonly format: FileFormat<K>;
  /** The checksum of the file's header: with it begins that of each record. */
  readonly #start: number;
  readonly #kinds: readonly (K | undefined)[];

  constructor(format: FileFormat<K>, header: FileHeader) {
    this.format = format;
    this.#start = encodeFileHeader(format, header).readUInt32BE(FILE_CRC_AT);
    this.#kinds = kindsByCode(format);
  }

  /**
   * Writes a header at this place of a buffer that has room for it. Throws the room's `tooLarge`.
   */
  encodeInto(into: Buffer, at: number, header: RecordHeader<K>): void {
    const { code, maxBytes } = this.format.kinds[header.kind];
    if (header.length > maxBytes) {
      const says = `a ${header.kind} of ${header.length} bytes is larger than the ${maxBytes} that a ${this.format.name} takes`;
      throw this.format.error('tooLarge', says);
    }
    RECORD_MAGIC.copy(into, at);
    into.writeUInt8(VERSION, at + 4);
    into.writeUInt8(code, at + 5);
    into.writeUInt16BE(0, at + 6);
    into.writeUInt32BE(header.length, at + 8);
    into.writeUInt32BE(header.syncedTo, at + 12);
    into.set(header.digest, at + 16);
    const checksum = crc32(into.subarray(at, at + RECORD_CRC_AT), this.#start);
    into.writeUInt32BE(checksum, at + RECORD_CRC_AT);
  }

  /** Whether a payload is the one that this header names; hashed on the spot. */
  proves(header: RecordHeader<K>, payload: Uint8Array): boolean {
    return payloadMatches(this.format.kinds[header.kind], header, payload);
  }

  /**
   * What stands at this place of a run of bytes. Magic, version and checksum stay where they are in
   * every version, so that an old reader can tell "newer" from "broken".
   */
  decode(bytes: Uint8Array, at = 0): HeaderVerdict<K> {
    if (bytes.length - at < RECORD_HEADER_BYTES) return { type: 'bad' };
    const view = Buffer.from(bytes.buffer, bytes.byteOffset + at, RECORD_HEADER_BYTES);
    if (RECORD_MAGIC.compare(view, 0, 4) !== 0) return { type: 'bad' };
    if (crc32(view.subarray(0, RECORD_CRC_AT), this.#start) !== view.readUInt32BE(RECORD_CRC_AT))
      return { type: 'bad' };
    const unknown = (why: string): HeaderVerdict<K> => ({ type: 'unknown', why });
    if (view[4] !== VERSION) return unknown(`record version ${view[4]}`);
    const kind = this.#kinds[view.readUInt8(5)];
    if (kind === undefined) return unknown(`record kind ${view[5]}`);
    if (view.readUInt16BE(6) !== 0) return unknown(`record flags ${view.readUInt16BE(6)}`);
    const length = view.readUInt32BE(8);
    if (length > this.format.kinds[kind].maxBytes) return unknown(`a ${kind} of ${length} bytes`);
    const digest = new Uint8Array(view.subarray(16, RECORD_CRC_AT));
    return { type: 'header', header: { kind, length, syncedTo: view.readUInt32BE(12), digest } };
  }

  /**
   * What a rotten header may have said: every sound header that differs from these bytes in one
   * byte. A caller that takes one must find the payload that it names, whose SHA-256 proves it.
   */
  *near(bytes: Uint8Array): Generator<RecordHeader<K>> {
    if (bytes.length < RECORD_HEADER_BYTES) return;
    for (const changed of oneByteAway(bytes.subarray(0, RECORD_HEADER_BYTES))) {
      const verdict = this.decode(changed);
      if (verdict.type === 'header') yield verdict.header;
    }
  }
}

/** The same array, changed in one byte after the other to every other value. */
function* oneByteAway(bytes: Uint8Array): Generator<Buffer> {
  const changed = Buffer.from(bytes);
  for (let at = 0; at < changed.length; at += 1) {
    const was = changed.readUInt8(at);
    for (let flip = 1; flip < 256; flip += 1) {
      changed[at] = was ^ flip;
      yield changed;
    }
    changed[at] = was;
  }
}

/** Where a record header may begin at or behind `from`, or -1. */
export function nextMagic(bytes: Buffer, from: number): number {
  return bytes.indexOf(RECORD_MAGIC, from);
}

const kindTables = new WeakMap<FileFormat<string>, readonly (string | undefined)[]>();

function kindsByCode<K extends string>(format: FileFormat<K>): readonly (K | undefined)[] {
  const known = kindTables.get(format) as readonly (K | undefined)[] | undefined;
  if (known !== undefined) return known;
  const table: (K | undefined)[] = [];
  for (const kind of Object.keys(format.kinds) as K[]) table[format.kinds[kind].code] = kind;
  kindTables.set(format, table);
  return table;
}
