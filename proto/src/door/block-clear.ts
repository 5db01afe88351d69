/**
 * FORMAT.md, "VersionBlock": writing the clear part, and "Clear row", the bytes for which a row's
 * hash stands. What is written here, `decodeBlock` reads: whoever makes a block lets it.
 */
import type { BlockRow, BlockSlab, PurgedRow, ResultRow, VersionBlock } from '../block-types.ts';
import { ID_BYTES } from '../limits.ts';
import type { Entry } from '../types.ts';
import { BLOCK_HEAD_BYTES, BLOCK_MAGIC, BLOCK_VERSION } from './block.ts';
import {
  blockRow,
  completions,
  grades,
  NEXT_PIECE,
  NO_CONTENT,
  PIECE,
  progresses,
  REFERENCE_LIST,
  rowKinds,
} from './block-row.ts';
import { ColumnWriter } from './columns.ts';

const CLEAR_LENGTH_AT = 8;

export interface ClearPart {
  /** Rows, the purged ones too. */
  readonly count: number;
  /** In the order of their numbers; empty in the form that an agent makes. */
  readonly purged: readonly PurgedRow[];
  /** It is sealed anew by a purge, though perhaps none of its own rows went. */
  readonly isAnew?: boolean | undefined;
  /** Those that are left, in order. */
  readonly rows: readonly BlockRow[];
  /** Whether the keys of this slab's pieces stand singly in the read segment. */
  isKeyedSingly(slabId: Uint8Array): boolean;
}

const columns = new ColumnWriter();

/**
 * The clear part, the lengths of the two segments still zero, and the slabs in the order in which
 * their keys stand.
 */
export function encodeBlockClear(part: ClearPart): {
  readonly clear: Uint8Array;
  readonly slabs: readonly BlockSlab[];
} {
  const { rows, count, purged, isAnew = purged.length > 0 } = part;
  const sources = tableOf<{ row: BlockRow; index: number }>();
  const slabs = tableOf<BlockSlab>();
  const results = tableOf<Uint8Array>();
  // Rows of one source, and pieces of one slab, follow each other: the same array is not asked for
  // again.
  let lastSource: { readonly row: BlockRow; readonly index: number } | undefined;
  const sourceOf = rows.map((row) => {
    if (lastSource?.row.sourceId !== row.sourceId || lastSource.row.class !== row.class)
      lastSource = sources.use(`${text(row.sourceId)}${row.class}`, (index) => ({ row, index }));
    return lastSource.index;
  });
  let lastSlab: { readonly id: Uint8Array; readonly index: number } | undefined;
  const slabOf = rows.map((row) => {
    const ref = pieceRef(row);
    if (ref === undefined) return -1;
    if (lastSlab?.id !== ref.id) {
      const { id, epoch } = ref;
      const make = () => ({ id, epoch, keyedSingly: part.isKeyedSingly(id) });
      lastSlab = { id, index: slabs.indexOf(text(id), make) };
    }
    return lastSlab.index;
  });
  const resultOf = rows.map((row) => {
    if (row.kind === 'result' || row.resultId === undefined) return -1;
    const { resultId } = row;
    return results.indexOf(text(resultId), () => resultId);
  });
  const out = columns.reset();
  out.raw(BLOCK_MAGIC);
  out.u8(BLOCK_VERSION);
  out.u8(isAnew ? 1 : 0);
  out.u16(count);
  out.raw(new Uint8Array(BLOCK_HEAD_BYTES - CLEAR_LENGTH_AT));
  if (isAnew) writePurged(out, count, purged);
  out.varint(sources.values.length);
  for (const { row } of sources.values) {
    out.raw(row.sourceId);
    out.sized(Buffer.from(row.class, 'latin1'));
  }
  out.varint(slabs.values.length);
  for (const { id, epoch, keyedSingly } of slabs.values) {
    out.raw(id);
    out.varint(2 * epoch + (keyedSingly ? 1 : 0));
  }
  out.varint(results.values.length);
  for (const id of results.values) out.raw(id);
  const forms = formsOf(rows, slabOf);
  // By their places: an iterator makes an object at each step, which is worth it nowhere that every
  // file passes.
  for (let at = 0; at < rows.length; at += 1)
    out.u8(kindByte(rows[at] as BlockRow, forms[at] ?? NO_CONTENT));
  if (sources.values.length > 1) for (const index of sourceOf) out.u8(index);
  let time = 0;
  for (let at = 0; at < rows.length; at += 1) {
    const row = rows[at] as BlockRow;
    out.raw(row.kind === 'result' ? row.resultId : row.fileId);
  }
  for (let at = 0; at < rows.length; at += 1) out.varint((rows[at] as BlockRow).size);
  for (let at = 0; at < rows.length; at += 1) {
    const { capturedAtMs } = rows[at] as BlockRow;
    if (at === 0) out.varint(capturedAtMs);
    else out.difference(capturedAtMs - time);
    time = capturedAtMs;
  }
  for (let at = 0; at < rows.length; at += 1)
    writeContent(out, rows[at] as BlockRow, forms[at] ?? NO_CONTENT, slabOf[at] ?? 0);
  for (let at = 0; at < rows.length; at += 1) {
    const index = resultOf[at] ?? -1;
    if (index >= 0) out.u8(index);
  }
  for (let at = 0; at < rows.length; at += 1) {
    const row = rows[at] as BlockRow;
    if (row.kind === 'result') writeResult(out, row);
  }
  const clear = out.view().slice();
  new DataView(clear.buffer).setUint32(CLEAR_LENGTH_AT, clear.length);
  return { clear, slabs: slabs.values };
}

/** Enters the lengths of the sealed segments, which the segments authenticate then. */
export function setSegmentLengths(clear: Uint8Array, list: number, read: number): void {
  const data = new DataView(clear.buffer, clear.byteOffset, clear.length);
  data.setUint32(CLEAR_LENGTH_AT + 4, list);
  data.setUint32(CLEAR_LENGTH_AT + 8, read);
}

/** Values in the order in which they were first asked for. */
function tableOf<T>() {
  const places = new Map<string, number>();
  const values: T[] = [];
  const indexOf = (name: string, make: (index: number) => T): number => {
    const known = places.get(name);
    if (known !== undefined) return known;
    places.set(name, values.length);
    return values.push(make(values.length)) - 1;
  };
  return {
    values,
    indexOf,
    use: (name: string, make: (index: number) => T) => values[indexOf(name, make)] as T,
  };
}

let lastClass = '';
let lastClassBytes: Uint8Array = new Uint8Array(0);

/** The class that comes is nearly always the last one. */
function classBytes(name: string): Uint8Array {
  if (name !== lastClass) {
    lastClassBytes = Buffer.from(name, 'latin1');
    lastClass = name;
  }
  return lastClassBytes;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function pieceRef(row: BlockRow) {
  return row.kind !== 'result' && row.content.piece > 0 ? row.content.refs[0] : undefined;
}

function writePurged(out: ColumnWriter, count: number, purged: readonly PurgedRow[]): void {
  const marks = new Uint8Array((count + 7) >>> 3);
  for (const { number } of purged)
    marks[number >>> 3] = (marks[number >>> 3] ?? 0) | (1 << (number & 7));
  out.raw(marks);
  for (const { clearHash, leaf } of purged) {
    out.raw(clearHash);
    out.raw(leaf);
  }
}

function formsOf(rows: readonly BlockRow[], slabOf: readonly number[]): number[] {
  let slab = 0;
  let piece = -1;
  return rows.map((row, place) => {
    if (row.kind === 'result' || row.content.refs.length === 0) return NO_CONTENT;
    if (row.content.piece === 0) return REFERENCE_LIST;
    const isNext = slabOf[place] === slab && row.content.piece - 1 === piece + 1;
    slab = slabOf[place] ?? 0;
    piece = row.content.piece - 1;
    return isNext ? NEXT_PIECE : PIECE;
  });
}

function kindByte(row: BlockRow, form: number): number {
  const kind = rowKinds.indexOf(row.kind);
  if (row.kind === 'result') return kind;
  const member = row.resultId === undefined ? 0 : 128;
  return kind | (completions.indexOf(row.completion) << 3) | (form << 5) | member;
}

function writeContent(out: ColumnWriter, row: BlockRow, form: number, slab: number): void {
  if (row.kind === 'result') return;
  if (form === PIECE) {
    out.u8(slab);
    out.u8(row.content.piece - 1);
  }
  if (form !== REFERENCE_LIST) return;
  out.u8(row.content.depth);
  out.u8(row.content.refs.length);
  for (const { id, plainSize, epoch } of row.content.refs) {
    out.raw(id);
    out.varint(plainSize);
    out.varint(epoch);
  }
}

function writeResult(out: ColumnWriter, row: ResultRow): void {
  out.u8((progresses.indexOf(row.progress) << 4) | grades.indexOf(row.grade));
  out.varint(row.members);
  out.raw(row.membersRoot);
}

/**
 * The bytes of which a row's clear hash is the SHA-256: the same in whichever block it stands. They
 * begin with a zero byte, as a leaf of RFC 6962 does. A view, true until the next call.
 */
export function clearRowBytes(row: BlockRow): Uint8Array {
  const id = row.kind === 'result' ? row.resultId : row.fileId;
  const out = beginClearRow(rowKinds.indexOf(row.kind), row, id, row.size, row.capturedAtMs);
  if (row.kind === 'result') writeResult(out, row);
  else writeEntryRow(out, row);
  return out.view();
}

/** The same of the row at a place of a block, without making values of its own of it. */
export function clearRowBytesAt(block: VersionBlock, place: number): Uint8Array {
  const source = block.sources[block.sourceOf[place] ?? 0];
  const byte = block.kinds[place] ?? 0;
  if (source === undefined || block.references.has(place) || block.resultRows.has(place))
    return clearRowBytes(blockRow(block, place));
  const id = block.ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES);
  const size = block.sizes[place] ?? 0;
  const out = beginClearRow(byte & 7, source, id, size, block.capturedMs[place] ?? 0);
  out.u8((byte >>> 3) & 3);
  const result = block.results[block.resultOf[place] ?? -1];
  out.u8(result === undefined ? 0 : 1);
  if (result !== undefined) out.raw(result);
  const slab = block.slabs[block.slabOf[place] ?? -1];
  out.u16(slab === undefined ? 0 : (block.pieceOf[place] ?? 0) + 1);
  out.u8(0);
  out.u8(slab === undefined ? 0 : 1);
  if (slab !== undefined) writeClearRef(out, slab.id, size, slab.epoch);
  return out.view();
}

function beginClearRow(
  kind: number,
  source: Pick<BlockRow, 'sourceId' | 'class'>,
  id: Uint8Array,
  size: number,
  capturedAtMs: number,
): ColumnWriter {
  const out = columns.reset();
  out.u8(0);
  out.u8(BLOCK_VERSION);
  out.u8(kind);
  out.raw(source.sourceId);
  out.sized(classBytes(source.class));
  out.raw(id);
  out.u64(size);
  out.u64(capturedAtMs);
  return out;
}

function writeClearRef(out: ColumnWriter, id: Uint8Array, plainSize: number, epoch: number): void {
  out.raw(id);
  out.u64(plainSize);
  out.u32(epoch);
}

function writeEntryRow(out: ColumnWriter, { completion, content, resultId }: Entry): void {
  out.u8(completions.indexOf(completion));
  out.u8(resultId === undefined ? 0 : 1);
  if (resultId !== undefined) out.raw(resultId);
  out.u16(content.piece);
  out.u8(content.depth);
  out.u8(content.refs.length);
  for (const { id, plainSize, epoch } of content.refs) writeClearRef(out, id, plainSize, epoch);
}
