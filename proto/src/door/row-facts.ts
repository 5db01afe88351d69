/**
 * FORMAT.md, "BlockFacts": what a replay needs of rows that are not left in a block of a thinned
 * commit. A fixed binary layout of the columns of `columns.ts`.
 *
 * ```
 * u16 n ‖ ⌈n / 8⌉ bytes of marks ‖ slabs ‖ results ‖ kinds ‖ ids ‖ sizes ‖ times ‖ contents ‖
 * results of the members
 * ```
 *
 * They are read as a block without names and keys, so that whatever goes through the rows of a
 * block goes through these the same way.
 */
import type { BlockSlab, VersionBlock } from '../block-types.ts';
import { asChunkId } from '../brand.ts';
import {
  HASH_BYTES,
  ID_BYTES,
  MAX_BLOCK_ROWS,
  MAX_INLINE_REFS,
  MAX_SLAB_PIECES,
  MAX_UINT32,
} from '../limits.ts';
import type { ChunkId, Ref, References, ResultId } from '../types.ts';
import { checkDistinct, checkIds, checkKind, checkUse, timesIn } from './block.ts';
import { formOf, NO_CONTENT, PIECE, REFERENCE_LIST } from './block-row.ts';
import { ColumnReader, ColumnWriter } from './columns.ts';

const WHAT = 'BlockFacts';
/** Kind, completion and membership, without the form of the content. */
const NO_FORM = 0b1001_1111;
const IS_MEMBER = 128;
const NOTHING: Uint8Array = new Uint8Array(0);

const out = new ColumnWriter();

/**
 * The facts of some rows of a block, at these places in rising order, at least one. Of references
 * only those to chunks that are needed are kept; pages are said by records of their own.
 */
export function encodeRowFacts(
  block: VersionBlock,
  places: readonly number[],
  isNeeded: (id: ChunkId) => boolean,
): Uint8Array {
  out.reset();
  out.u16(block.count);
  const marks = new Uint8Array((block.count + 7) >>> 3);
  for (const place of places) {
    const number = block.numbers[place] ?? 0;
    marks[number >>> 3] = (marks[number >>> 3] ?? 0) | (1 << (number & 7));
  }
  out.raw(marks);
  const slabs = used(places, (place) => block.slabOf[place] ?? -1);
  out.varint(slabs.length);
  for (const at of slabs) writeSlab(block.slabs[at] as BlockSlab);
  const results = used(places, (place) => block.resultOf[place] ?? -1);
  out.varint(results.length);
  for (const at of results) out.raw(block.results[at] as Uint8Array);
  const lists = places.map((place) => neededOf(block.references.get(place), isNeeded));
  for (const [at, place] of places.entries()) out.u8(kindByte(block, place, lists[at]));
  for (const place of places) out.raw(block.ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES));
  for (const place of places) out.varint(block.sizes[place] ?? 0);
  let time = 0;
  for (const [at, place] of places.entries()) {
    const next = block.capturedMs[place] ?? 0;
    if (at === 0) out.varint(next);
    else out.difference(next - time);
    time = next;
  }
  for (const [at, place] of places.entries()) {
    const slab = slabs.indexOf(block.slabOf[place] ?? -1);
    if (slab >= 0) {
      out.u8(slab);
      out.u8(block.pieceOf[place] ?? 0);
    }
    const refs = lists[at] ?? [];
    if (refs.length > 0) writeRefs(refs);
  }
  for (const place of places) {
    const result = block.resultOf[place] ?? -1;
    if (result >= 0) out.u8(results.indexOf(result));
  }
  return out.view().slice();
}

function writeSlab({ id, epoch, keyedSingly }: BlockSlab): void {
  out.raw(id);
  out.varint(2 * epoch + (keyedSingly ? 1 : 0));
}

function writeRefs(refs: readonly Ref[]): void {
  out.u8(refs.length);
  for (const { id, plainSize, epoch } of refs) {
    out.raw(id);
    out.varint(plainSize);
    out.varint(epoch);
  }
}

/** Those of a table that these rows name, in the order of their first use. */
function used(places: readonly number[], indexOf: (place: number) => number): number[] {
  return [...new Set(places.map(indexOf))].filter((index) => index >= 0);
}

function neededOf(
  list: References | undefined,
  isNeeded: (id: ChunkId) => boolean,
): readonly Ref[] {
  return list === undefined || list.depth > 0 ? [] : list.refs.filter(({ id }) => isNeeded(id));
}

function kindByte(block: VersionBlock, place: number, refs: readonly Ref[] = []): number {
  const isPiece = (block.slabOf[place] ?? -1) >= 0;
  const form = isPiece ? PIECE : refs.length > 0 ? REFERENCE_LIST : NO_CONTENT;
  return ((block.kinds[place] ?? 0) & NO_FORM) | (form << 5);
}

/**
 * Facts as a block without names and keys: its `numbers` are those of the rows that they are about.
 *
 * @throws FormatError when the layout is not exactly as above.
 */
export function decodeRowFacts(input: Uint8Array): VersionBlock {
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.length);
  const reader = new ColumnReader(WHAT, bytes);
  const count = reader.u16();
  if (count === 0) throw reader.malformed('is about a block without rows');
  if (count > MAX_BLOCK_ROWS)
    throw reader.limit(`is about ${count} rows, more than the ${MAX_BLOCK_ROWS} allowed`);
  const numbers = numbersIn(reader, count);
  const rows = numbers.length;
  const slabs = tableOf(reader, rows, 'slabs', () => slabIn(reader));
  const results = tableOf(reader, rows, 'results', () => {
    return reader.raw(ID_BYTES).slice() as ResultId;
  });
  const slabIds = slabs.map(({ id }) => id);
  checkDistinct(reader, slabIds, 'two slabs of one id');
  checkDistinct(reader, results, 'two results of one id');
  const kinds = reader.raw(rows);
  for (const byte of kinds) checkFactKind(reader, byte);
  const ids = reader.raw(rows * ID_BYTES);
  checkIds(reader, ids);
  const sizes = new Float64Array(rows);
  for (let place = 0; place < rows; place += 1) sizes[place] = reader.varint();
  const capturedMs = timesIn(reader, rows);
  const contents = contentsIn(reader, kinds);
  checkUse(reader, contents.slabOf, slabs.length, 'slab');
  const resultOf = new Int16Array(rows).fill(-1);
  for (let place = 0; place < rows; place += 1)
    if ((kinds[place] ?? 0) >= IS_MEMBER) resultOf[place] = reader.u8();
  checkUse(reader, resultOf, results.length, 'result');
  reader.end();
  return {
    ...{ bytes: NOTHING, count, isPurged: true, purged: [], numbers, clear: NOTHING },
    ...{ list: NOTHING, read: NOTHING, sources: [], sourceOf: new Uint8Array(rows) },
    ...{ slabs, results, kinds, ids, sizes, capturedMs, ...contents, resultOf },
    resultRows: new Map(),
  };
}

function numbersIn(reader: ColumnReader, count: number): Uint16Array {
  const marks = reader.raw((count + 7) >>> 3);
  const numbers: number[] = [];
  for (let number = 0; number < 8 * marks.length; number += 1) {
    if ((((marks[number >>> 3] ?? 0) >>> (number & 7)) & 1) === 0) continue;
    if (number >= count) throw reader.malformed('has a mark for a row that its block did not have');
    numbers.push(number);
  }
  if (numbers.length === 0) throw reader.malformed('is about no row');
  return Uint16Array.from(numbers);
}

function tableOf<T>(reader: ColumnReader, rows: number, what: string, one: () => T): T[] {
  const count = reader.varint();
  if (count > rows) throw reader.malformed(`has ${count} ${what} for ${rows} rows`);
  return Array.from({ length: count }, one);
}

function slabIn(reader: ColumnReader): BlockSlab {
  const id = reader.raw(HASH_BYTES);
  const folded = reader.varint();
  const epoch = Math.floor(folded / 2);
  if (epoch < 1) throw reader.malformed('names a slab of no epoch');
  if (epoch > MAX_UINT32) throw reader.limit('names a slab of an epoch beyond 32 bits');
  return { id, epoch, keyedSingly: folded % 2 === 1 };
}

/** As in a block; a piece is always named whole. */
function checkFactKind(reader: ColumnReader, byte: number): void {
  const form = formOf(byte);
  if (form !== NO_CONTENT && form !== PIECE && form !== REFERENCE_LIST)
    throw reader.malformed('has a piece that is not named whole');
  checkKind(reader, byte);
}

function contentsIn(
  reader: ColumnReader,
  kinds: Uint8Array,
): Pick<VersionBlock, 'slabOf' | 'pieceOf' | 'references'> {
  const slabOf = new Int16Array(kinds.length).fill(-1);
  const pieceOf = new Uint8Array(kinds.length);
  const references = new Map<number, References>();
  for (let place = 0; place < kinds.length; place += 1) {
    const form = formOf(kinds[place] ?? 0);
    if (form === PIECE) {
      slabOf[place] = reader.u8();
      const piece = reader.u8();
      if (piece >= MAX_SLAB_PIECES) throw reader.limit('names a piece beyond the last of any slab');
      pieceOf[place] = piece;
    }
    if (form === REFERENCE_LIST) references.set(place, { depth: 0, refs: refsIn(reader) });
  }
  return { slabOf, pieceOf, references };
}

function refsIn(reader: ColumnReader): Ref[] {
  const count = reader.u8();
  if (count === 0) throw reader.malformed('has content without references');
  if (count > MAX_INLINE_REFS)
    throw reader.limit(`has ${count} references, more than the ${MAX_INLINE_REFS} allowed`);
  return Array.from({ length: count }, () => {
    const id = asChunkId(reader.raw(HASH_BYTES).slice());
    const [plainSize, epoch] = [reader.varint(), reader.varint()];
    if (plainSize < 1 || epoch < 1) throw reader.malformed('names a chunk of no size or epoch');
    if (epoch > MAX_UINT32) throw reader.limit('names a chunk of an epoch beyond 32 bits');
    return { id, plainSize, epoch };
  });
}
