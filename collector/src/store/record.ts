import { crc32 } from 'node:zlib';
import {
  MAX_EVENT_BYTES,
  MAX_PAGE_BYTES,
  MAX_RECORD_BYTES,
  MAX_SEALED_CHUNK_BYTES,
  type VaultId,
} from '@aliquot/proto';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { StoreError } from './errors.ts';

/**
 * The bytes of a pack file (FORMAT.md, "Pack") and the only door through which they come back as
 * values. All numbers are big-endian. Lengths are checked against these limits before anything is
 * allocated.
 */

export type RecordKind = 'chunk' | 'page' | 'uploads' | 'references' | 'commit' | 'event' | 'index';

/** Kinds whose loss costs content but no history: the store starts without them and says so. */
export function isData(kind: RecordKind): kind is 'chunk' | 'page' {
  return kind === 'chunk' || kind === 'page';
}

const kindNumbers: Record<RecordKind, number> = {
  chunk: 1,
  page: 2,
  uploads: 3,
  commit: 4,
  event: 5,
  index: 6,
  references: 7,
};
const kindOfNumber = new Map(
  Object.entries(kindNumbers).map(([kind, number]) => [number, kind as RecordKind]),
);

/**
 * Records in one pack at most: keeps its index, in memory and on disk, below 3 MiB however small
 * the chunks are.
 */
export const MAX_PACK_RECORDS = 65_536;
/** A pack is closed when the next record would take it past this size. */
export const PACK_BYTES = 64 * 1024 * 1024;

const INDEX_ROW_BYTES = 41;

/**
 * Largest payload of each kind: the wire's limits plus the few bytes that this store adds (leaf and
 * receipt).
 */
const payloadLimits: Record<RecordKind, number> = {
  chunk: MAX_SEALED_CHUNK_BYTES,
  page: MAX_PAGE_BYTES,
  uploads: 4096 * 32 + 256,
  references: MAX_RECORD_BYTES,
  commit: MAX_RECORD_BYTES,
  event: 2 * MAX_EVENT_BYTES,
  index: 4 + MAX_PACK_RECORDS * INDEX_ROW_BYTES,
};

export const PACK_HEADER_BYTES = 36;
export const RECORD_HEADER_BYTES = 52;
export const FOOTER_BYTES = 24;

const PACK_MAGIC = Buffer.from('ALQPACK', 'latin1');
const RECORD_MAGIC = Buffer.from('ALQR', 'latin1');
const FOOTER_MAGIC = Buffer.from('ALQF', 'latin1');
const VERSION = 1;

export interface PackHeader {
  readonly number: number;
  readonly vaultId: Uint8Array;
  /**
   * Random start value of this pack's record checksums. Without it a hostile agent could upload a
   * chunk whose bytes look like sound records, and after a power cut make a torn tail look like
   * damage (I-C5).
   */
  readonly salt: number;
}

export function encodePackHeader(header: PackHeader): Buffer {
  const bytes = Buffer.alloc(PACK_HEADER_BYTES);
  bytes.set(PACK_MAGIC, 0);
  bytes[7] = VERSION;
  bytes.writeUInt32BE(header.number, 8);
  bytes.set(header.vaultId, 12);
  bytes.writeUInt32BE(header.salt, 28);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 32)), 32);
  return bytes;
}

/**
 * `undefined` when the bytes are no sound pack header. Throws `STORE_CORRUPT` for another version,
 * number or vault.
 */
export function decodePackHeader(
  bytes: Buffer,
  expected: { path: string; number: number; vaultId: VaultId },
): PackHeader | undefined {
  if (bytes.length < PACK_HEADER_BYTES || !bytes.subarray(0, 7).equals(PACK_MAGIC))
    return undefined;
  if (crc32(bytes.subarray(0, 32)) !== bytes.readUInt32BE(32)) return undefined;
  const refuse = (why: string): never => {
    throw new StoreError('STORE_CORRUPT', `${expected.path}: ${why}`);
  };
  if (bytes[7] !== VERSION)
    refuse(`pack format ${bytes[7]} is not known to this release; use the release that wrote it`);
  const number = bytes.readUInt32BE(8);
  if (number !== expected.number)
    refuse(`holds pack ${number}: the file was renamed; give it back its name`);
  const vaultId = new Uint8Array(bytes.subarray(12, 28));
  if (!equalBytes(vaultId, expected.vaultId))
    refuse('belongs to another vault; put it back where it came from');
  return { number, vaultId, salt: bytes.readUInt32BE(28) };
}

export interface RecordHeader {
  readonly kind: RecordKind;
  /** Payload bytes. */
  readonly length: number;
  /**
   * How much of this pack was on stable storage when the record was written: a cut may never reach
   * below it (I-C5).
   */
  readonly syncedTo: number;
  /** SHA-256 of the payload; for chunks and pages that is their id. */
  readonly id: Uint8Array;
}

export function encodeRecordHeader(header: RecordHeader, salt: number): Buffer {
  const limit = payloadLimits[header.kind];
  if (header.length > limit) {
    throw new StoreError(
      'STORE_BAD_ITEM',
      `a ${header.kind} of ${header.length} bytes is larger than the ${limit} that a pack takes`,
    );
  }
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES);
  bytes.set(RECORD_MAGIC, 0);
  bytes[4] = VERSION;
  bytes[5] = kindNumbers[header.kind];
  bytes.writeUInt32BE(header.length, 8);
  bytes.writeUInt32BE(header.syncedTo, 12);
  bytes.set(header.id, 16);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 48), salt), 48);
  return bytes;
}

/**
 * What 52 bytes of a pack turn out to be. `unknown`: sound, but of a later release, so neither read
 * nor cut.
 */
export type HeaderVerdict =
  | { readonly type: 'header'; readonly header: RecordHeader }
  | { readonly type: 'unknown'; readonly why: string }
  | { readonly type: 'bad' };

/**
 * Magic, version and checksum stay where they are in every version, so that an old reader can tell
 * "newer" from "broken".
 */
export function decodeRecordHeader(bytes: Buffer, salt: number): HeaderVerdict {
  if (bytes.length < RECORD_HEADER_BYTES || !bytes.subarray(0, 4).equals(RECORD_MAGIC))
    return { type: 'bad' };
  if (crc32(bytes.subarray(0, 48), salt) !== bytes.readUInt32BE(48)) return { type: 'bad' };
  if (bytes[4] !== VERSION) return { type: 'unknown', why: `record version ${bytes[4]}` };
  const kind = kindOfNumber.get(bytes.readUInt8(5));
  if (kind === undefined) return { type: 'unknown', why: `record kind ${bytes[5]}` };
  if (bytes.readUInt16BE(6) !== 0)
    return { type: 'unknown', why: `record flags ${bytes.readUInt16BE(6)}` };
  const length = bytes.readUInt32BE(8);
  if (length > payloadLimits[kind]) return { type: 'unknown', why: `a ${kind} of ${length} bytes` };
  const header = {
    kind,
    length,
    syncedTo: bytes.readUInt32BE(12),
    id: new Uint8Array(bytes.subarray(16, 48)),
  };
  return { type: 'header', header };
}

/**
 * What a rotten header may have said: every header with a sound checksum that differs from these
 * bytes in one byte. Whoever takes one must find the payload that it names, whose SHA-256 proves
 * it.
 */
export function* nearHeaders(bytes: Buffer, salt: number): Generator<RecordHeader> {
  if (bytes.length < RECORD_HEADER_BYTES) return;
  const changed = Buffer.from(bytes.subarray(0, RECORD_HEADER_BYTES));
  for (let at = 0; at < changed.length; at += 1) {
    const was = changed.readUInt8(at);
    for (let flip = 1; flip < 256; flip += 1) {
      changed[at] = was ^ flip;
      const verdict = decodeRecordHeader(changed, salt);
      if (verdict.type === 'header') yield verdict.header;
    }
    changed[at] = was;
  }
}

/** Where record headers may begin in a run of bytes. */
export function nextMagic(bytes: Buffer, from: number): number {
  return bytes.indexOf(RECORD_MAGIC, from);
}

export interface IndexRow {
  readonly kind: RecordKind;
  readonly offset: number;
  readonly length: number;
  readonly id: Uint8Array;
}

/**
 * The growing index of the open pack, in the very bytes that will be written: 41 for each record.
 */
export class PackIndex {
  #bytes = Buffer.alloc(4 + 256 * INDEX_ROW_BYTES);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(header: RecordHeader, offset: number): void {
    const at = 4 + this.#count * INDEX_ROW_BYTES;
    if (at + INDEX_ROW_BYTES > this.#bytes.length) {
      const larger = Buffer.alloc(4 + this.#count * 2 * INDEX_ROW_BYTES);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[at] = kindNumbers[header.kind];
    this.#bytes.writeUInt32BE(offset, at + 1);
    this.#bytes.writeUInt32BE(header.length, at + 5);
    this.#bytes.set(header.id, at + 9);
    this.#count += 1;
  }

  payload(): Buffer {
    this.#bytes.writeUInt32BE(this.#count, 0);
    return this.#bytes.subarray(0, 4 + this.#count * INDEX_ROW_BYTES);
  }
}

/**
 * Rows of a closed pack's index; `undefined` when the payload is not one. The caller has checked
 * its SHA-256.
 */
export function decodeIndex(payload: Buffer): IndexRow[] | undefined {
  if (payload.length < 4) return undefined;
  const count = payload.readUInt32BE(0);
  if (count > MAX_PACK_RECORDS || payload.length !== 4 + count * INDEX_ROW_BYTES) return undefined;
  const rows: IndexRow[] = [];
  for (let at = 4; at < payload.length; at += INDEX_ROW_BYTES) {
    const kind = kindOfNumber.get(payload.readUInt8(at));
    if (kind === undefined) return undefined;
    const id = new Uint8Array(payload.subarray(at + 9, at + INDEX_ROW_BYTES));
    rows.push({
      kind,
      offset: payload.readUInt32BE(at + 1),
      length: payload.readUInt32BE(at + 5),
      id,
    });
  }
  return rows;
}

export interface Footer {
  /** Where the index record begins. */
  readonly indexOffset: number;
  /** Records before the index. */
  readonly records: number;
}

export function encodeFooter(footer: Footer, packNumber: number, salt: number): Buffer {
  const bytes = Buffer.alloc(FOOTER_BYTES);
  bytes.set(FOOTER_MAGIC, 0);
  bytes[4] = VERSION;
  bytes.writeUInt32BE(footer.indexOffset, 8);
  bytes.writeUInt32BE(footer.records, 12);
  bytes.writeUInt32BE(packNumber, 16);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 20), salt), 20);
  return bytes;
}

/** `undefined` unless these are the last bytes of closed pack `packNumber`. */
export function decodeFooter(bytes: Buffer, packNumber: number, salt: number): Footer | undefined {
  if (
    bytes.length !== FOOTER_BYTES ||
    !bytes.subarray(0, 4).equals(FOOTER_MAGIC) ||
    bytes[4] !== VERSION
  )
    return undefined;
  if (
    crc32(bytes.subarray(0, 20), salt) !== bytes.readUInt32BE(20) ||
    bytes.readUInt32BE(16) !== packNumber
  )
    return undefined;
  if (bytes[5] !== 0 || bytes.readUInt16BE(6) !== 0) return undefined;
  return { indexOffset: bytes.readUInt32BE(8), records: bytes.readUInt32BE(12) };
}

/** Whether a payload is the one that its header names. */
export function payloadIsSound(header: RecordHeader, payload: Uint8Array): boolean {
  return payload.length === header.length && equalBytes(sha256(payload), header.id);
}
