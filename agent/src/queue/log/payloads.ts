import { MAX_CLASS_CHARS } from '@aliquot/proto';
import { sha256 as hashOf, labelled } from '@aliquot/shared/crypto/primitives';
import { LayoutReader, LayoutWriter } from './codec.ts';
import { QueueError } from './errors.ts';
import type { KnownStat, ProblemRecord } from './facts.ts';
import { type ResultMark, resultMarkIn, writeResultMark } from './result-facts.ts';

/*
 * Payloads of the records that are not sealed bytes: FORMAT.md, "Queue segment". Encoders refuse
 * what the decoders would.
 */

/** As `ListPart.path` in FORMAT.md. */
export const MAX_PATH_BYTES = 32 * 1024;
const MAX_MESSAGE_BYTES = 2048;
/** Versions of one record. */
export const MOST_ROWS = 256;
/** Drafts of one record before they are sealed: what would pass this begins the next record. */
export const MOST_DRAFTS_BYTES = 256 * 1024;
/** The same, with one draft more: 64 inline refs with keys, path and link target. */
const MAX_SEALED_DRAFTS_BYTES = 2 * MOST_DRAFTS_BYTES;
const MAX_COMMIT_BYTES = 4 * 1024 * 1024;
const MAX_SIGNED_BYTES = 64 * 1024;
/** Versions of one commit. */
export const MAX_SLOTS = 4096;

/** Bytes of a `contentTag`. */
export const CONTENT_TAG_BYTES = 32;

const knownKinds = ['file', 'directory', 'symlink'] as const;

/**
 * One-way mark of a file's SHA-256: equal for equal content, and useless for unmasking cached keys
 * (`KnownStat.contentTag`).
 */
export function contentTag(sha256: Uint8Array): Uint8Array {
  return hashOf(labelled('aliquot/v1/known content'), sha256);
}

export interface KnownRecord {
  readonly entry: number;
  readonly stat: KnownStat;
}

export function encodeKnown(entry: number, stat: KnownStat): Uint8Array {
  return writeKnown(new LayoutWriter(), entry, stat).done();
}

/** What a known file takes beside its path. */
const KNOWN_BYTES = 62 + CONTENT_TAG_BYTES;

function writeKnown(writer: LayoutWriter, entry: number, stat: KnownStat): LayoutWriter {
  checkPath(stat.path);
  if (stat.contentTag.length !== CONTENT_TAG_BYTES)
    throw new QueueError('QUEUE_REFUSED', `a content tag has ${CONTENT_TAG_BYTES} bytes`);
  return writer
    .u8(1)
    .u8(knownKinds.indexOf(stat.kind))
    .u53(entry)
    .u53(stat.size)
    .i64(stat.mtimeNs)
    .i64(stat.ctimeNs)
    .u64(stat.ino)
    .u32(stat.mode)
    .raw(stat.contentTag)
    .u53(stat.capturedAtMs)
    .u32(stat.resultPathLength)
    .sized(stat.path);
}

export function decodeKnown(bytes: Uint8Array): KnownRecord {
  const reader = new LayoutReader(bytes, 'known file');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const kind = knownKinds[reader.u8()];
  if (kind === undefined) throw reader.damaged('unknown kind');
  const entry = reader.u53();
  const size = reader.u53();
  const mtimeNs = reader.i64();
  const ctimeNs = reader.i64();
  const ino = reader.u64();
  const mode = reader.u32();
  const tag = reader.raw(CONTENT_TAG_BYTES);
  const capturedAtMs = reader.u53();
  const resultPathLength = reader.u32();
  const path = pathIn(reader);
  reader.end();
  if (resultPathLength > path.length) throw reader.damaged('the result is longer than the path');
  return {
    entry,
    stat: {
      path,
      kind,
      size,
      mtimeNs,
      ctimeNs,
      ino,
      mode,
      contentTag: tag,
      capturedAtMs,
      resultPathLength,
    },
  };
}

/** What a version record says in clear of one of its versions. */
export interface VersionRow {
  /** Of a result its folder's, of which this says nothing more. */
  readonly path: Uint8Array;
  /** What the next scan compares with; undefined for a file that is gone, and for a result. */
  readonly known: KnownStat | undefined;
  /** As in `ListPart`. */
  readonly resultPathLength: number;
  /** Present exactly when it is a result's row. */
  readonly result: ResultMark | undefined;
}

/**
 * The clear part of a version record: versions that were put in a row. The sealed drafts follow it
 * and authenticate it.
 */
export interface VersionHead {
  /** The number of the first; the others follow. */
  readonly entry: number;
  /** The oldest segment that holds an item of one of them. */
  readonly holdSegment: number;
  /** Sealed bytes appended for them. */
  readonly itemBytes: number;
  /** When the oldest of them was captured. */
  readonly capturedAtMs: number;
  readonly batch: number;
  readonly nonce: Uint8Array;
  /** The policy class that their bytes count for. */
  readonly class: string;
  /** One for each version, in the order of their numbers: 1 to `MOST_ROWS`. */
  readonly rows: readonly VersionRow[];
}

/** The numbers of a record's versions. */
export function entriesOfHead({ entry, rows }: Pick<VersionHead, 'entry' | 'rows'>): number[] {
  return rows.map((_, at) => entry + at);
}

export function encodeVersionHead(head: VersionHead): Uint8Array {
  const writer = new LayoutWriter()
    .u8(1)
    .u53(head.entry)
    .u53(head.holdSegment)
    .u53(head.itemBytes)
    .u53(head.capturedAtMs)
    .u32(head.batch)
    .raw(head.nonce)
    .text(head.class)
    .u32(head.rows.length);
  for (let at = 0; at < head.rows.length; at += 1) {
    const { path, known, resultPathLength, result } = head.rows[at] as VersionRow;
    checkPath(path);
    if (result !== undefined) writeResultMark(writer.u8(2), result).sized(path);
    else if (known === undefined) writer.u8(0).u32(resultPathLength).sized(path);
    else writeKnown(writer.u8(1).u32(KNOWN_BYTES + path.length), head.entry + at, known);
  }
  return writer.done();
}

/** Splits a version record; `clear` are the bytes that the sealed drafts authenticate. */
export function decodeVersion(payload: Uint8Array): {
  readonly head: VersionHead;
  readonly clear: Uint8Array;
  readonly sealedDrafts: Uint8Array;
} {
  const reader = new LayoutReader(payload, 'version record');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const fields = {
    entry: reader.u53(),
    holdSegment: reader.u53(),
    itemBytes: reader.u53(),
    capturedAtMs: reader.u53(),
    batch: reader.u32(),
    nonce: reader.raw(12),
    class: reader.text(MAX_CLASS_CHARS),
  };
  const count = reader.u32();
  if (count === 0 || count > MOST_ROWS)
    throw reader.damaged('its number of versions is out of range');
  const rows = Array.from({ length: count }, () => versionRowIn(reader));
  const clear = payload.slice(0, reader.position);
  const sealedDrafts = reader.rest();
  if (sealedDrafts.length > MAX_SEALED_DRAFTS_BYTES)
    throw reader.damaged('the sealed drafts are too large');
  return { head: { ...fields, rows }, clear, sealedDrafts };
}

function versionRowIn(reader: LayoutReader): VersionRow {
  const kind = reader.u8();
  if (kind === 1) {
    const known = decodeKnown(reader.sized(MAX_PATH_BYTES + 256)).stat;
    const { path, resultPathLength } = known;
    return { path, known, resultPathLength, result: undefined };
  }
  if (kind > 2) throw reader.damaged('unknown flag');
  const result = kind === 2 ? resultMarkIn(reader) : undefined;
  const length = kind === 0 ? reader.u32() : 0;
  const path = pathIn(reader);
  if (length > path.length) throw reader.damaged('the result is longer than the path');
  return { path, known: undefined, resultPathLength: result ? path.length : length, result };
}

/** Drafts one behind the other, each behind its length: what is sealed in a version record. */
export function joinDrafts(drafts: readonly Uint8Array[]): Uint8Array {
  const writer = new LayoutWriter();
  for (const draft of drafts) writer.sized(draft);
  return writer.done();
}

/** As many drafts as the record has versions. */
export function splitDrafts(bytes: Uint8Array, count: number): Uint8Array[] {
  const reader = new LayoutReader(bytes, 'sealed drafts');
  const drafts = Array.from({ length: count }, () => reader.sized(MAX_SEALED_DRAFTS_BYTES));
  reader.end();
  return drafts;
}

export function encodeProblem(path: Uint8Array, problem: ProblemRecord | undefined): Uint8Array {
  checkPath(path);
  const writer = new LayoutWriter()
    .u8(1)
    .sized(path)
    .u8(problem === undefined ? 0 : 1);
  if (problem !== undefined) {
    if (!/^[a-z0-9-]{1,64}$/.test(problem.code))
      throw new QueueError('QUEUE_REFUSED', `not a problem code: ${problem.code}`);
    writer.u53(problem.sinceMs).text(problem.code).text(problem.message.slice(0, 500));
  }
  return writer.done();
}

export function decodeProblem(payload: Uint8Array): {
  readonly path: Uint8Array;
  readonly problem: ProblemRecord | undefined;
} {
  const reader = new LayoutReader(payload, 'problem record');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const path = pathIn(reader);
  const present = reader.u8();
  if (present > 1) throw reader.damaged('unknown flag');
  const problem =
    present === 0
      ? undefined
      : { sinceMs: reader.u53(), code: reader.text(64), message: reader.text(MAX_MESSAGE_BYTES) };
  reader.end();
  return { path, problem };
}

/** A commit as signed, with the queue entries that it covers, in slot order. */
export interface SignedRecord {
  readonly sequence: number;
  readonly hash: Uint8Array;
  readonly itemBytes: number;
  readonly oldestMs: number;
  readonly holdSegment: number;
  /** The queue's number of the version in each slot of the commit, ascending; at least one. */
  readonly entries: readonly number[];
  /** `itemBytes` by policy class, in the order of their names; classes with none are left out. */
  readonly classes: readonly ClassBytes[];
  /** The encoded `SignedCommit`. */
  readonly commit: Uint8Array;
}

export interface ClassBytes {
  readonly name: string;
  readonly bytes: number;
}

export function encodeSignedRecord(record: SignedRecord): Uint8Array {
  const writer = new LayoutWriter()
    .u8(1)
    .u53(record.sequence)
    .raw(record.hash)
    .u53(record.itemBytes)
    .u53(record.oldestMs)
    .u53(record.holdSegment)
    .u32(record.entries.length);
  for (const entry of record.entries) writer.u53(entry);
  return writeClasses(writer, record.classes).sized(record.commit).done();
}

/** `itemBytes` by policy class. */
export function writeClasses(writer: LayoutWriter, classes: readonly ClassBytes[]): LayoutWriter {
  writer.u32(classes.length);
  for (const { name, bytes } of classes) writer.text(name).u53(bytes);
  return writer;
}

export function decodeSignedRecord(payload: Uint8Array): SignedRecord {
  const reader = new LayoutReader(payload, 'signed commit record');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const sequence = reader.u53();
  const hash = reader.raw(32);
  const itemBytes = reader.u53();
  const oldestMs = reader.u53();
  const holdSegment = reader.u53();
  const count = reader.u32();
  if (count === 0 || count > MAX_SLOTS)
    throw reader.damaged('its number of entries is out of range');
  const entries = Array.from({ length: count }, () => reader.u53());
  const classes = classesIn(reader);
  const commit = reader.sized(MAX_COMMIT_BYTES);
  reader.end();
  return { sequence, hash, itemBytes, oldestMs, holdSegment, entries, classes, commit };
}

export interface ReceiptRecord {
  readonly sequence: number;
  readonly receivedAtMs: number;
  readonly copies: number;
  /** The encoded `Signed` receipt. */
  readonly receipt: Uint8Array;
}

export function encodeReceiptRecord(record: ReceiptRecord): Uint8Array {
  return new LayoutWriter()
    .u8(1)
    .u53(record.sequence)
    .u53(record.receivedAtMs)
    .u32(record.copies)
    .sized(record.receipt)
    .done();
}

export function decodeReceiptRecord(payload: Uint8Array): ReceiptRecord {
  const reader = new LayoutReader(payload, 'receipt record');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const record = {
    sequence: reader.u53(),
    receivedAtMs: reader.u53(),
    copies: reader.u32(),
    receipt: reader.sized(MAX_SIGNED_BYTES),
  };
  reader.end();
  return record;
}

/** The payload of `lostSeen` (an entry) and `unreceipted` (a sequence). */
export function encodeCounter(counter: number): Uint8Array {
  return new LayoutWriter().u8(1).u53(counter).done();
}

export function decodeCounter(payload: Uint8Array): number {
  const reader = new LayoutReader(payload, 'counter record');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const entry = reader.u53();
  reader.end();
  return entry;
}

/** A list of classes with their bytes; at most one for each slot of a commit. */
export function classesIn(reader: LayoutReader): ClassBytes[] {
  const count = reader.u32();
  if (count > MAX_SLOTS) throw reader.damaged('its number of classes is out of range');
  return Array.from({ length: count }, () => ({
    name: reader.text(MAX_CLASS_CHARS),
    bytes: reader.u53(),
  }));
}

export function pathIn(reader: LayoutReader): Uint8Array {
  const path = reader.sized(MAX_PATH_BYTES);
  if (path.length === 0) throw reader.damaged('a path is empty');
  return path;
}

/** Throws `QUEUE_REFUSED` for what no record can hold. */
export function checkPath(path: Uint8Array): void {
  if (path.length === 0 || path.length > MAX_PATH_BYTES)
    throw new QueueError('QUEUE_REFUSED', `a path of ${path.length} bytes cannot be queued`);
}
