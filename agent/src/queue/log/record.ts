import { crc32 } from 'node:zlib';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { QueueError } from './errors.ts';

/*
 * Framing of queue segments and chain logs: FORMAT.md, "Queue segment". This file is the door for
 * both: nothing reads a record from disk but through it.
 */

/** Bytes before the first record of a file. */
export const FILE_HEADER_BYTES = 16;
/** Bytes before each record's payload. */
export const RECORD_HEADER_BYTES = 48;
/**
 * Above the largest sealed chunk (4 MiB + 1 KiB), version (a draft of 64 inline refs and two 32 KiB
 * paths) and signed commit (4 MiB). Test only: exported for the boundary.
 */
export const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024 + 64 * 1024;

const FILE_VERSION = 1;
const RECORD_VERSION = 1;
const RECORD_MAGIC = Buffer.from('ALQr', 'ascii');

/** What a numbered record file is for; its magic stands at the start. */
export type FileKind = 'segment' | 'chain';
const FILE_MAGIC: Readonly<Record<FileKind, Buffer>> = {
  segment: Buffer.from('ALQS', 'ascii'),
  chain: Buffer.from('ALQC', 'ascii'),
};

const RECORD_KINDS = {
  chunk: 1,
  page: 2,
  version: 3,
  refresh: 4,
  forget: 5,
  problem: 6,
  signed: 16,
  receipt: 17,
  lost: 18,
  lostSeen: 19,
  unreceipted: 20,
  forked: 21,
  gcEpoch: 22,
  references: 23,
  referencesDropped: 24,
  referenceLost: 25,
} as const;

export type RecordKind = keyof typeof RECORD_KINDS;
const KIND_BY_CODE = new Map<number, RecordKind>(
  Object.entries(RECORD_KINDS).map(([name, code]) => [code, name as RecordKind]),
);
const KINDS_OF_FILE: Readonly<Record<FileKind, ReadonlySet<RecordKind>>> = {
  segment: new Set(['chunk', 'page', 'version', 'refresh', 'forget', 'problem']),
  chain: new Set([
    ...(['signed', 'receipt', 'lost', 'lostSeen', 'unreceipted'] as const),
    ...(['forked', 'gcEpoch', 'references', 'referencesDropped', 'referenceLost'] as const),
  ]),
};

/** Which of the two files a kind of record stands in. */
export function fileOf(kind: RecordKind): FileKind {
  return KINDS_OF_FILE.chain.has(kind) ? 'chain' : 'segment';
}

/**
 * What tells a record from any other at its place: the first bytes of its digest, in hexadecimal.
 */
export function tagOf({ digest }: Pick<RecordHeader, 'digest'>): string {
  return Buffer.from(digest.buffer, digest.byteOffset, 8).toString('hex');
}

export interface RecordHeader {
  readonly kind: RecordKind;
  readonly length: number;
  /** SHA-256 of the payload; for a chunk or page that is its id. */
  readonly digest: Uint8Array;
}

export function encodeFileHeader(kind: FileKind, number: number): Uint8Array {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES);
  FILE_MAGIC[kind].copy(bytes, 0);
  bytes.writeUInt8(FILE_VERSION, 4);
  bytes.writeBigUInt64BE(BigInt(number), 8);
  return bytes;
}

/** Throws `QUEUE_DAMAGED` or `QUEUE_VERSION`; `where` names the file. */
export function checkFileHeader(
  bytes: Uint8Array,
  kind: FileKind,
  number: number,
  where: string,
): void {
  const expected = encodeFileHeader(kind, number);
  if (bytes.length === FILE_HEADER_BYTES && Buffer.compare(bytes, expected) === 0) return;
  if (
    bytes.length === FILE_HEADER_BYTES &&
    Buffer.compare(bytes.subarray(0, 4), FILE_MAGIC[kind]) === 0 &&
    bytes[4] !== FILE_VERSION
  ) {
    throw new QueueError(
      'QUEUE_VERSION',
      `${where}: written by another release (version ${bytes[4]}); update aliquot-agent`,
    );
  }
  throw new QueueError(
    'QUEUE_DAMAGED',
    `${where}: the file header is damaged; run aliquot-agent fsck`,
  );
}

/** Header and payload of a record, ready to append. */
export function encodeRecord(
  kind: RecordKind,
  payload: Uint8Array,
  digest: Uint8Array = digestOf(payload),
): Uint8Array {
  const bytes = Buffer.allocUnsafe(RECORD_HEADER_BYTES + payload.length);
  encodeRecordInto(bytes, 0, kind, payload, digest);
  return bytes;
}

/**
 * Header and payload of a record at this place of a buffer that has room for them; the answer is
 * where they end.
 */
export function encodeRecordInto(
  into: Buffer,
  at: number,
  kind: RecordKind,
  payload: Uint8Array,
  digest: Uint8Array,
): number {
  if (payload.length > MAX_PAYLOAD_BYTES)
    throw new QueueError(
      'QUEUE_REFUSED',
      `a ${kind} record of ${payload.length} bytes is too large`,
    );
  RECORD_MAGIC.copy(into, at);
  into.writeUInt8(RECORD_VERSION, at + 4);
  into.writeUInt8(RECORD_KINDS[kind], at + 5);
  into.writeUInt16BE(0, at + 6);
  into.writeUInt32BE(payload.length, at + 8);
  into.set(digest, at + 12);
  into.writeUInt32BE(crc32(into.subarray(at, at + 44)), at + 44);
  into.set(payload, at + RECORD_HEADER_BYTES);
  return at + RECORD_HEADER_BYTES + payload.length;
}

/**
 * Undefined when the bytes are not a sound header for this file kind; lengths are within limits
 * when it is one.
 */
export function parseRecordHeader(bytes: Uint8Array, file: FileKind): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, RECORD_HEADER_BYTES);
  if (RECORD_MAGIC.compare(view, 0, 4) !== 0) return undefined;
  if (view.readUInt32BE(44) !== crc32(view.subarray(0, 44))) return undefined;
  if (view.readUInt8(4) !== RECORD_VERSION || view.readUInt16BE(6) !== 0) return undefined;
  const kind = KIND_BY_CODE.get(view.readUInt8(5));
  const length = view.readUInt32BE(8);
  if (kind === undefined || !KINDS_OF_FILE[file].has(kind) || length > MAX_PAYLOAD_BYTES)
    return undefined;
  return { kind, length, digest: Uint8Array.prototype.slice.call(view, 12, 44) };
}

export function digestOf(payload: Uint8Array): Uint8Array {
  return sha256(payload);
}

/** Whether the payload is what its header says. */
export function payloadMatches(header: RecordHeader, payload: Uint8Array): boolean {
  return payload.length === header.length && Buffer.compare(digestOf(payload), header.digest) === 0;
}

/**
 * Where a sound header stands at or after `from`, or -1: tells a torn tail from damage with good
 * records behind it.
 */
export function findRecordHeader(bytes: Uint8Array, from: number, file: FileKind): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (
    let at = buffer.indexOf(RECORD_MAGIC, from);
    at >= 0;
    at = buffer.indexOf(RECORD_MAGIC, at + 1)
  ) {
    if (parseRecordHeader(buffer.subarray(at), file) !== undefined) return at;
  }
  return -1;
}
