import { MAX_COMMIT_HEADER_BYTES, SIGNATURE_BYTES, type StoredKind } from '@aliquot/proto';
import type { Position } from '@aliquot/shared/records/format';
import { LayoutReader, LayoutWriter } from './codec.ts';
import { type ClassBytes, classesIn, MOST_ROWS, writeClasses } from './payloads.ts';
import { type ResultMark, resultMarkIn, writeResultMark } from './result-facts.ts';

/*
 * The key families of the queue's index: one byte, then the rest. Numbers are 64-bit big-endian, so
 * LevelDB's byte order is their order. Everything but the cache is a pure function of
 * segments and chain log (I-A5).
 *
 *   q ‖ first entry         unsigned versions of one record: where it is, how many, which of them are lost; batch, hold, bytes, time
 *   h ‖ segment ‖ entry     hold: this segment and all behind it are needed until the record (or the commit) whose first
 *                           entry this is, is receipted
 *   i ‖ chunk id            item: where its record is
 *   K ‖ first path          up to 128 known files in the order of their paths (`known-rows.ts`); here and in the next, on
 *                           Windows, the path in one case (`oneCase`), so that two cases of it are
 *                           one file
 *   k ‖ path                what is known of one file, beside its block; empty: that it is not known any more
 *   p ‖ path                why a path is not protected
 *   c ‖ sequence            signed commit: where its record is, what it covers, its header
 *   l ‖ entry               lost version, not acknowledged: its path; for a lost reference 00, a reason and the path
 *   r ‖ path                reference: a settled result that is only at its source
 *   s ‖ settled ‖ path      the same in the order of their times
 *   d ‖ path                a version took the place of this path's reference, and the chain log
 *                           does not say so yet
 *   o ‖ path                folder result whose row is owed: members have changed since its newest one, or that one is open
 *   R ‖ path                the newest row of a folder result: its number, and what it says
 *   g ‖ slot                how a file may be continued that was captured lately: the path's hash, then a sealed state. A cache like `x`; a path has
 *                           one of `GROWTH_SLOTS` places, so it is bounded
 *   x ‖ cache index         cached chunk: a cache, it may be lost at any time
 */

export type Family =
  | ('q' | 'h' | 'i' | 'K' | 'k' | 'p' | 'c' | 'l' | 'r' | 's' | 'x' | 'g')
  | ('d' | 'o' | 'R');

/** A key made of raw bytes. */
export function rawKey(family: Family, bytes: Uint8Array): Uint8Array {
  const key = new Uint8Array(1 + bytes.length);
  key[0] = family.charCodeAt(0);
  key.set(bytes, 1);
  return key;
}

/** A key made of counters. */
export function numberKey(family: Family, ...numbers: readonly number[]): Uint8Array {
  const key = Buffer.alloc(1 + 8 * numbers.length);
  key[0] = family.charCodeAt(0);
  for (const [index, number] of numbers.entries())
    key.writeBigUInt64BE(BigInt(number), 1 + 8 * index);
  return key;
}

/** A key made of a counter and raw bytes. */
export function numberedRawKey(family: Family, number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([numberKey(family, number), bytes]);
}

/** The raw bytes behind the counter of such a key. */
export function bytesInKey(key: Uint8Array): Uint8Array {
  return key.slice(9);
}

/** The `index`-th counter of a key. */
export function numberInKey(key: Uint8Array, index = 0): number {
  return Number(
    new DataView(key.buffer, key.byteOffset, key.byteLength).getBigUint64(1 + 8 * index),
  );
}

/** The range of all keys that start with these bytes. */
export function prefixRange(prefix: Uint8Array): {
  readonly gte: Uint8Array;
  readonly lt?: Uint8Array;
} {
  for (let at = prefix.length - 1; at >= 0; at -= 1) {
    const byte = prefix[at] ?? 0;
    if (byte < 0xff) {
      const after = prefix.slice(0, at + 1);
      after[at] = byte + 1;
      return { gte: prefix, lt: after };
    }
  }
  return { gte: prefix };
}

/**
 * The rest of a family of counters, from this one on. A place to begin spares LevelDB the deleted
 * keys in front, of which there may be a million.
 */
export function familyFrom(
  family: Family,
  number: number,
): { readonly gte: Uint8Array; readonly lt?: Uint8Array } {
  return { ...familyRange(family), gte: numberKey(family, number) };
}

export function familyRange(family: Family): {
  readonly gte: Uint8Array;
  readonly lt?: Uint8Array;
} {
  return prefixRange(rawKey(family, new Uint8Array()));
}

/** By their number in a row. */
const itemKinds = [undefined, 'chunk', 'page', 'slab'] as const;

/** An item's place: where its record begins. */
export interface ItemPlace extends Position {
  readonly kind: StoredKind;
}

/** Versions of one record that are not signed. */
export interface UnsignedVersions {
  readonly at: Position;
  readonly count: number;
  /** Those that are lost, by their place in the record, rising. */
  readonly lost: readonly number[];
  readonly batch: number;
  readonly holdSegment: number;
  readonly itemBytes: number;
  readonly capturedAtMs: number;
  readonly class: string;
}

export interface LoggedCommit {
  readonly at: Position;
  readonly hash: Uint8Array;
  readonly entries: number;
  readonly lastEntry: number;
  readonly itemBytes: number;
  readonly oldestMs: number;
  /** Where its hold stands in family `h`. */
  readonly holdSegment: number;
  readonly firstEntry: number;
  /** What its record takes in the chain log. */
  readonly recordBytes: number;
  readonly classes: readonly ClassBytes[];
  /** Its record has rotted: only the header is left, and `at` is where that stands. */
  readonly isLost: boolean;
  /** The numbers of its versions in slot order, as runs. */
  readonly numbers: Uint8Array;
  /** As signed, and its signature: what is left of it should its record rot. */
  readonly header: Uint8Array;
  readonly signature: Uint8Array;
}

export function encodeItemPlace(place: ItemPlace): Uint8Array {
  return new LayoutWriter()
    .u8(itemKinds.indexOf(place.kind))
    .u53(place.file)
    .u53(place.offset)
    .done();
}

export function decodeItemPlace(bytes: Uint8Array): ItemPlace {
  const reader = new LayoutReader(bytes, 'index of items');
  const kind = itemKinds[reader.u8()];
  if (kind === undefined) throw reader.damaged('an item is of no known kind');
  return { kind, file: reader.u53(), offset: reader.u53() };
}

export function encodeUnsigned(versions: UnsignedVersions): Uint8Array {
  const { at, batch, count, lost } = versions;
  const writer = new LayoutWriter().u53(at.file).u53(at.offset).u32(batch);
  writer
    .u53(versions.holdSegment)
    .u53(versions.itemBytes)
    .u53(versions.capturedAtMs)
    .text(versions.class)
    .u32(count)
    .u32(lost.length);
  for (const place of lost) writer.u8(place);
  return writer.done();
}

export function decodeUnsigned(bytes: Uint8Array): UnsignedVersions {
  const reader = new LayoutReader(bytes, 'index of versions');
  const at = { file: reader.u53(), offset: reader.u53() };
  const fields = {
    batch: reader.u32(),
    holdSegment: reader.u53(),
    itemBytes: reader.u53(),
    capturedAtMs: reader.u53(),
    class: reader.text(64),
    count: reader.u32(),
  };
  const length = reader.u32();
  if (fields.count > MOST_ROWS || length > fields.count)
    throw reader.damaged('its number of versions is out of range');
  return { at, ...fields, lost: Array.from({ length }, () => reader.u8()) };
}

/** The numbers of those that are not lost. */
export function unsignedEntries(first: number, { count, lost }: UnsignedVersions): number[] {
  const entries: number[] = [];
  for (let place = 0; place < count; place += 1)
    if (!lost.includes(place)) entries.push(first + place);
  return entries;
}

export function encodeCommitPlace(place: LoggedCommit): Uint8Array {
  const writer = new LayoutWriter()
    .u53(place.at.file)
    .u53(place.at.offset)
    .raw(place.hash)
    .u32(place.entries)
    .u53(place.lastEntry);
  writer.u53(place.itemBytes).u53(place.oldestMs).u53(place.holdSegment).u53(place.firstEntry);
  writeClasses(writer.u53(place.recordBytes), place.classes).u8(place.isLost ? 1 : 0);
  return writer.sized(place.numbers).sized(place.header).raw(place.signature).done();
}

/** Above what the numbers of a commit, and its header, take. */
const MAX_NUMBER_BYTES = 64 * 1024;

export function decodeCommitPlace(bytes: Uint8Array): LoggedCommit {
  const reader = new LayoutReader(bytes, 'index of commits');
  const at = { file: reader.u53(), offset: reader.u53() };
  const hash = reader.raw(32);
  const fields = {
    entries: reader.u32(),
    lastEntry: reader.u53(),
    itemBytes: reader.u53(),
    oldestMs: reader.u53(),
  };
  const place = { at, hash, ...fields, holdSegment: reader.u53(), firstEntry: reader.u53() };
  const record = { recordBytes: reader.u53(), classes: classesIn(reader) };
  const isLost = reader.u8() === 1;
  const numbers = reader.sized(MAX_NUMBER_BYTES);
  const header = reader.sized(MAX_COMMIT_HEADER_BYTES);
  const signature = reader.raw(SIGNATURE_BYTES);
  return { ...place, ...record, isLost, numbers, header, signature };
}

/** The newest row of a folder result. */
export interface WrittenResult extends ResultMark {
  readonly entry: number;
}

export function encodeWrittenResult(place: WrittenResult): Uint8Array {
  return writeResultMark(new LayoutWriter().u53(place.entry), place).done();
}

export function decodeWrittenResult(bytes: Uint8Array): WrittenResult {
  const reader = new LayoutReader(bytes, 'index of results');
  return { entry: reader.u53(), ...resultMarkIn(reader) };
}
