/**
 * FORMAT.md, "VersionBlock": up to 256 versions of one agent, sealed once. A fixed binary layout,
 * big-endian; the columns of numbers are those of `columns.ts`.
 *
 * ```
 * "ALQV" ‖ u8 version = 1 ‖ u8 form ‖ u16 n ‖ u32 clear length ‖ u32 list length ‖ u32 read length
 * ‖ in form 1: ⌈n / 8⌉ bytes of marks, for each marked row SHA-256 of its clear row 32 ‖ leaf 32 ‖
 * sources ‖ slabs ‖ results ‖ the columns of the rows that are left ‖ list segment ‖ read segment
 * ```
 *
 * What readers need: `decodeBlock` takes the clear part apart, opens and hashes nothing, and makes
 * no object for each row; `block-row.ts` gives one. There is one way to say each block: tables
 * stand in the order of their use, and everything in them is used.
 */

import type { BlockSlab, PurgedRow, ResultFacts, VersionBlock } from '../block-types.ts';
import { asChunkId } from '../brand.ts';
import {
  HASH_BYTES,
  ID_BYTES,
  MAX_BLOCK_BYTES,
  MAX_BLOCK_ROWS,
  MAX_CLASS_CHARS,
  MAX_INLINE_REFS,
  MAX_PAGE_DEPTH,
  MAX_PIECE_PLAIN_BYTES,
  MAX_SLAB_PIECES,
  MAX_TIME_MS,
  MAX_UINT32,
  TAG_BYTES,
} from '../limits.ts';
import type { Ref, References, ResultId, SourceId } from '../types.ts';
import {
  completions,
  formOf,
  grades,
  NO_CONTENT,
  PIECE,
  progresses,
  REFERENCE_LIST,
  RESULT,
  rowKinds,
} from './block-row.ts';
import { ColumnReader } from './columns.ts';
import { checkReferences, plainSizeOf } from './common.ts';

export const BLOCK_MAGIC: Uint8Array = Uint8Array.of(0x41, 0x4c, 0x51, 0x56);
export const BLOCK_VERSION = 1;
export const BLOCK_HEAD_BYTES = 20;
const WHAT = 'VersionBlock';
const CLASS_PATTERN = /^[a-z0-9-]+$/;

/**
 * A block taken apart: views over the input. Nothing is opened or proved.
 *
 * @throws FormatError when the layout is not exactly as above.
 */
export function decodeBlock(input: Uint8Array): VersionBlock {
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.length);
  const head = new ColumnReader(WHAT, bytes);
  if (bytes.length > MAX_BLOCK_BYTES)
    throw head.limit(`has ${bytes.length} bytes, more than the ${MAX_BLOCK_BYTES} allowed`);
  if (bytes.length < BLOCK_HEAD_BYTES || BLOCK_MAGIC.some((byte, at) => bytes[at] !== byte))
    throw head.malformed('does not begin with "ALQV"');
  head.raw(BLOCK_MAGIC.length);
  const version = head.u8();
  if (version !== BLOCK_VERSION)
    throw head.unknown(`version is ${version}; this release knows version ${BLOCK_VERSION}`);
  const form = head.u8();
  if (form > 1) throw head.unknown(`form is ${form}; this release knows 0 and 1`);
  const count = head.u16();
  if (count === 0) throw head.malformed('has no rows');
  if (count > MAX_BLOCK_ROWS)
    throw head.limit(`has ${count} rows, more than the ${MAX_BLOCK_ROWS} allowed`);
  const [clearLength, listLength, readLength] = [head.u32(), head.u32(), head.u32()];
  if (clearLength + listLength + readLength !== bytes.length || clearLength < BLOCK_HEAD_BYTES)
    throw head.malformed('has another length than its three parts together');
  const clear = bytes.subarray(0, clearLength);
  const columns = new ColumnReader(WHAT, clear, BLOCK_HEAD_BYTES);
  const purged = form === 1 ? purgedIn(columns, count) : [];
  const rows = count - purged.length;
  const parts = {
    ...{ bytes, count, isPurged: form === 1, purged, clear },
    numbers: numbersOf(count, purged),
    list: bytes.subarray(clearLength, clearLength + listLength),
    read: bytes.subarray(clearLength + listLength),
  };
  for (const [name, { length }] of [['list', parts.list] as const, ['read', parts.read] as const])
    if (rows === 0 ? length > 0 : length <= TAG_BYTES)
      throw columns.malformed(`has a ${name} segment of ${length} bytes for ${rows} rows`);
  const block = { ...parts, ...columnsIn(columns, rows) };
  columns.end();
  return block;
}

/**
 * How many rows a block has, those that were purged included: all that is asked of blocks before
 * the one that is wanted. What else is in it, nobody has looked at. @throws FormatError
 */
export function blockRowCount(bytes: Uint8Array): number {
  const head = new ColumnReader(WHAT, bytes);
  if (bytes.length < BLOCK_HEAD_BYTES || BLOCK_MAGIC.some((byte, at) => bytes[at] !== byte))
    throw head.malformed('does not begin with "ALQV"');
  head.raw(BLOCK_MAGIC.length + 2);
  const count = head.u16();
  if (count === 0) throw head.malformed('has no rows');
  if (count > MAX_BLOCK_ROWS)
    throw head.limit(`has ${count} rows, more than the ${MAX_BLOCK_ROWS} allowed`);
  return count;
}

function purgedIn(reader: ColumnReader, count: number): PurgedRow[] {
  const marks = reader.raw((count + 7) >>> 3);
  const purged: PurgedRow[] = [];
  for (let number = 0; number < 8 * marks.length; number += 1) {
    if ((((marks[number >>> 3] ?? 0) >>> (number & 7)) & 1) === 0) continue;
    if (number >= count) throw reader.malformed('has a mark for a row that it does not have');
    const [clearHash, leaf] = [reader.raw(HASH_BYTES), reader.raw(HASH_BYTES)];
    purged.push({ number, clearHash, leaf });
  }
  return purged;
}

function numbersOf(count: number, purged: readonly PurgedRow[]): Uint16Array {
  const gone = new Set(purged.map(({ number }) => number));
  const numbers = new Uint16Array(count - purged.length);
  let place = 0;
  for (let number = 0; number < count; number += 1) {
    if (gone.has(number)) continue;
    numbers[place] = number;
    place += 1;
  }
  return numbers;
}

type Columns = Omit<
  VersionBlock,
  'bytes' | 'count' | 'isPurged' | 'purged' | 'numbers' | 'clear' | 'list' | 'read'
>;

function columnsIn(reader: ColumnReader, rows: number): Columns {
  const sources = table(reader, rows, 'sources', () => sourceIn(reader));
  const slabs = table(reader, rows, 'slabs', () => slabIn(reader));
  const results = table(reader, rows, 'results', () => reader.raw(ID_BYTES).slice() as ResultId);
  checkDistinct(
    reader,
    slabs.map(({ id }) => id),
    'two slabs of one id',
  );
  checkDistinct(reader, results, 'two results of one id');
  const kinds = reader.raw(rows);
  for (let place = 0; place < rows; place += 1) checkKind(reader, kinds[place] ?? 0);
  const sourceOf = sources.length > 1 ? reader.raw(rows) : new Uint8Array(rows);
  checkUse(reader, sourceOf, sources.length, 'source');
  checkSources(reader, sources);
  const ids = reader.raw(rows * ID_BYTES);
  checkIds(reader, ids);
  const sizes = new Float64Array(rows);
  for (let place = 0; place < rows; place += 1) sizes[place] = reader.varint();
  const capturedMs = timesIn(reader, rows);
  const contents = contentsIn(reader, kinds, sizes);
  checkUse(reader, contents.slabOf, slabs.length, 'slab');
  const resultOf = new Int16Array(rows).fill(-1);
  for (let place = 0; place < rows; place += 1)
    if ((kinds[place] ?? 0) >= 128) resultOf[place] = reader.u8();
  checkUse(reader, resultOf, results.length, 'result');
  const resultRows = new Map<number, ReturnType<typeof resultFactsIn>>();
  for (let place = 0; place < rows; place += 1)
    if (((kinds[place] ?? 0) & 7) === RESULT) resultRows.set(place, resultFactsIn(reader));
  return {
    ...{ sources, slabs, results, kinds, sourceOf, ids, sizes, capturedMs },
    ...contents,
    ...{ resultOf, resultRows },
  };
}

function table<T>(reader: ColumnReader, rows: number, what: string, one: () => T): T[] {
  const count = reader.varint();
  if (count > rows) throw reader.malformed(`has ${count} ${what} for ${rows} rows`);
  return Array.from({ length: count }, one);
}

function sourceIn(reader: ColumnReader): VersionBlock['sources'][number] {
  const sourceId = reader.raw(ID_BYTES).slice() as SourceId;
  const name = Buffer.from(reader.sized(MAX_CLASS_CHARS)).toString('latin1');
  if (!CLASS_PATTERN.test(name))
    throw reader.malformed('has a class that is not of lower-case letters, digits and hyphens');
  return { sourceId, class: name };
}

function slabIn(reader: ColumnReader): BlockSlab {
  const id = reader.raw(HASH_BYTES);
  const folded = reader.varint();
  const epoch = Math.floor(folded / 2);
  if (epoch < 1) throw reader.malformed('names a slab of no epoch');
  if (epoch > MAX_UINT32) throw reader.limit('names a slab of an epoch beyond 32 bits');
  return { id, epoch, keyedSingly: folded % 2 === 1 };
}

export function checkKind(reader: ColumnReader, byte: number): void {
  const kind = rowKinds[byte & 7];
  if (kind === undefined)
    throw reader.unknown(`has a row of the kind ${byte & 7}, which is unknown`);
  const completion = completions[(byte >>> 3) & 3];
  const form = formOf(byte);
  if (kind === 'result') {
    if (byte !== RESULT) throw reader.malformed('has a result with content, or as a member');
    return;
  }
  if (completion === undefined) throw reader.malformed('has a row without completion');
  if (kind !== 'file' && (form !== NO_CONTENT || completion === 'growing'))
    throw reader.malformed(`has a ${kind} with content, or one that grows`);
  if (completion === 'growing' && form !== REFERENCE_LIST && form !== NO_CONTENT)
    throw reader.malformed('has a piece that grows, whose bytes nothing would prove');
}

/** Tables stand in the order of their first use, and nothing in them is unused. */
export function checkUse(
  reader: ColumnReader,
  column: Uint8Array | Int16Array,
  length: number,
  what: string,
): void {
  let used = 0;
  for (let place = 0; place < column.length; place += 1) {
    const index = column[place] ?? 0;
    if (index > used || index >= length) throw reader.malformed(`names a ${what} out of its order`);
    if (index === used) used += 1;
  }
  if (used !== length) throw reader.malformed(`lists a ${what} that no row names`);
}

function checkSources(reader: ColumnReader, sources: VersionBlock['sources']): void {
  const names = sources.map(
    ({ sourceId, class: name }) => `${Buffer.from(sourceId).toString('latin1')}${name}`,
  );
  if (new Set(names).size !== names.length) throw reader.malformed('lists a source twice');
}

export function checkDistinct(
  reader: ColumnReader,
  ids: readonly Uint8Array[],
  what: string,
): void {
  if (ids.length < 2) return;
  const names = new Set(ids.map((id) => Buffer.from(id).toString('latin1')));
  if (names.size !== ids.length) throw reader.malformed(`has ${what}`);
}

/** A block is one state of each file: who writes two of them writes two blocks. */
export function checkIds(reader: ColumnReader, ids: Uint8Array): void {
  const text = Buffer.from(ids.buffer, ids.byteOffset, ids.length).toString('latin1');
  const seen = new Set<string>();
  for (let at = 0; at < text.length; at += ID_BYTES) seen.add(text.slice(at, at + ID_BYTES));
  if (seen.size * ID_BYTES !== ids.length) throw reader.malformed('has two rows of one file');
}

export function timesIn(reader: ColumnReader, rows: number): Float64Array {
  const times = new Float64Array(rows);
  let time = 0;
  for (let place = 0; place < rows; place += 1) {
    time += place === 0 ? reader.varint() : reader.difference();
    if (time < 0) throw reader.malformed('has a time before 1970');
    if (time > MAX_TIME_MS) throw reader.limit('has a time beyond the last that can be shown');
    times[place] = time;
  }
  return times;
}

function contentsIn(
  reader: ColumnReader,
  kinds: Uint8Array,
  sizes: Float64Array,
): Pick<VersionBlock, 'slabOf' | 'pieceOf' | 'references'> {
  const slabOf = new Int16Array(kinds.length).fill(-1);
  const pieceOf = new Uint8Array(kinds.length);
  const references = new Map<number, References>();
  let slab = 0;
  let piece = -1;
  for (let place = 0; place < kinds.length; place += 1) {
    const byte = kinds[place] ?? 0;
    const size = sizes[place] ?? 0;
    const form = formOf(byte);
    if (form === NO_CONTENT) {
      if (size > 0 && (byte & 7) !== RESULT) throw reader.malformed('has a size without content');
      continue;
    }
    if (form === REFERENCE_LIST) {
      const content = referencesIn(reader);
      if (plainSizeOf(content) !== size)
        throw reader.malformed('has a size that its references do not add up to');
      references.set(place, content);
      continue;
    }
    if (form === PIECE) {
      const [namedSlab, namedPiece] = [reader.u8(), reader.u8()];
      if (namedSlab === slab && namedPiece === piece + 1)
        throw reader.malformed('names the next piece as if it were another');
      slab = namedSlab;
      piece = namedPiece;
    } else piece += 1;
    if (piece >= MAX_SLAB_PIECES) throw reader.limit('names a piece beyond the last of any slab');
    if (size < 1) throw reader.malformed('has a piece of no size');
    if (size > MAX_PIECE_PLAIN_BYTES) throw reader.limit(`has a piece of ${size} bytes`);
    slabOf[place] = slab;
    pieceOf[place] = piece;
  }
  return { slabOf, pieceOf, references };
}

function referencesIn(reader: ColumnReader): References {
  const depth = reader.u8();
  const count = reader.u8();
  if (count === 0) throw reader.malformed('has content without references');
  if (count > MAX_INLINE_REFS)
    throw reader.limit(`has ${count} references, more than the ${MAX_INLINE_REFS} allowed`);
  const refs: Ref[] = [];
  for (let at = 0; at < count; at += 1) {
    const id = asChunkId(reader.raw(HASH_BYTES).slice());
    const [plainSize, epoch] = [reader.varint(), reader.varint()];
    if (plainSize < 1 || epoch < 1) throw reader.malformed('names a chunk of no size or epoch');
    if (epoch > MAX_UINT32) throw reader.limit('names a chunk of an epoch beyond 32 bits');
    refs.push({ id, plainSize, epoch });
  }
  const content = { depth, refs };
  checkReferences(content, `${WHAT}.content`, MAX_PAGE_DEPTH);
  return content;
}

function resultFactsIn(reader: ColumnReader): ResultFacts {
  const byte = reader.u8();
  const [progress, grade] = [progresses[byte >>> 4], grades[byte & 15]];
  if (progress === undefined || grade === undefined)
    throw reader.unknown(`has a result that stands at ${byte}, which is unknown`);
  return { progress, grade, members: reader.varint(), membersRoot: reader.raw(HASH_BYTES).slice() };
}
