import {
  MAX_PAGE_BYTES,
  MAX_SEALED_CHUNK_BYTES,
  MAX_SLAB_BYTES,
  type StoredKind,
} from '@aliquot/proto';
import { slabPlan } from '@aliquot/shared/content/slab-proof';
import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { FileFormat } from '@aliquot/shared/records/format';
import { recordFault } from '../record-fault.ts';

/** The bytes of a pack (FORMAT.md, "Pack"): what is more than a file of records. */

export type PackKind = StoredKind | 'index' | 'end';

/** A pack is closed before an item would take it past this size. */
export const PACK_BYTES = 64 * 1024 * 1024;
/**
 * Items in one pack at most: keeps its index, in memory and on disk, below 3 MiB however small they
 * are.
 */
export const MAX_PACK_ITEMS = 65_536;

const INDEX_ROW_BYTES = 41;
const COUNT_BYTES = 4;
export const END_PAYLOAD_BYTES = 8;
/** A closed pack ends in so many bytes that tell where its index begins. */
export const END_BYTES = RECORD_HEADER_BYTES + END_PAYLOAD_BYTES;

export const packFormat: FileFormat<PackKind> = {
  name: 'pack',
  magic: 'ALQPACK',
  suffix: '.pack',
  kinds: {
    chunk: { code: 1, maxBytes: MAX_SEALED_CHUNK_BYTES },
    page: { code: 2, maxBytes: MAX_PAGE_BYTES },
    index: { code: 3, maxBytes: indexPayloadBytes(MAX_PACK_ITEMS) },
    end: { code: 4, maxBytes: END_PAYLOAD_BYTES },
    slab: { code: 5, maxBytes: MAX_SLAB_BYTES, plan: slabPlan },
  },
  error: recordFault,
};

export function isItem(kind: PackKind): kind is StoredKind {
  return kind === 'chunk' || kind === 'page' || kind === 'slab';
}

/** What an index says of one item. */
export interface IndexRow {
  readonly kind: StoredKind;
  readonly offset: number;
  readonly length: number;
  readonly id: Uint8Array;
  /** Of a slab how many pieces it has, here or not; else 0. */
  readonly pieces: number;
  /** Whether it is a slab that lacks some of them. */
  readonly hasHoles: boolean;
}

/** What an index calls a slab that lacks pieces: which, the slab itself says. */
const HOLED_SLAB_CODE = 6;
const itemKinds = new Map<number, StoredKind>([
  ...(['chunk', 'page', 'slab'] as const).map((kind): [number, StoredKind] => [
    packFormat.kinds[kind].code,
    kind,
  ]),
  [HOLED_SLAB_CODE, 'slab'],
]);

/** A pack's index, in the very bytes that are written when it is closed: 41 for each item. */
export class PackIndex {
  #bytes = Buffer.alloc(COUNT_BYTES + 256 * INDEX_ROW_BYTES);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add({ kind, offset, length, id, pieces, hasHoles }: IndexRow): void {
    const at = COUNT_BYTES + this.#count * INDEX_ROW_BYTES;
    if (at + INDEX_ROW_BYTES > this.#bytes.length) {
      const larger = Buffer.alloc(COUNT_BYTES + this.#count * 2 * INDEX_ROW_BYTES);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[at] = hasHoles ? HOLED_SLAB_CODE : packFormat.kinds[kind].code;
    this.#bytes.writeUInt32BE(offset, at + 1);
    this.#bytes[at + 5] = Math.max(0, pieces - 1);
    this.#bytes.writeUIntBE(length, at + 6, 3);
    this.#bytes.set(id, at + 9);
    this.#count += 1;
  }

  payload(): Buffer {
    this.#bytes.writeUInt32BE(this.#count, 0);
    return this.#bytes.subarray(0, indexPayloadBytes(this.#count));
  }
}

/** Bytes of the payload of an index with so many rows. */
export function indexPayloadBytes(items: number): number {
  return COUNT_BYTES + items * INDEX_ROW_BYTES;
}

/** Bytes behind the items of a closed pack: its index and its end. */
export function closingBytes(items: number): number {
  return RECORD_HEADER_BYTES + indexPayloadBytes(items) + END_BYTES;
}

/**
 * The rows of an index, one by one; `undefined` unless they are as many as the pack's end says and
 * name records that lie end to end from the pack's header to where the index begins. The caller has
 * checked its SHA-256.
 */
export function decodeIndex(
  payload: Uint8Array,
  { indexOffset, items }: PackEnd,
): IndexRows | undefined {
  const rows = IndexRows.of(payload);
  if (rows?.count !== items) return undefined;
  let at = FILE_HEADER_BYTES;
  for (let index = 0; index < rows.count; index += 1) {
    if (rows.offset(index) !== at || !rows.isKnown(index)) return undefined;
    at += RECORD_HEADER_BYTES + rows.length(index);
  }
  return at === indexOffset ? rows : undefined;
}

/** Rows of 41 bytes that are made into values only when they are asked for. */
export class IndexRows {
  readonly count: number;
  readonly #bytes: Buffer;

  private constructor(bytes: Buffer, count: number) {
    this.#bytes = bytes;
    this.count = count;
  }

  /** `undefined` when the bytes are not so many rows as they say. */
  static of(payload: Uint8Array): IndexRows | undefined {
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    if (bytes.length < COUNT_BYTES) return undefined;
    const count = bytes.readUInt32BE(0);
    if (count > MAX_PACK_ITEMS || bytes.length !== indexPayloadBytes(count)) return undefined;
    return new IndexRows(bytes, count);
  }

  isKnown(index: number): boolean {
    const at = this.#at(index);
    const kind = itemKinds.get(this.#bytes.readUInt8(at));
    return kind === 'slab' || (kind !== undefined && this.#bytes[at + 5] === 0);
  }

  offset(index: number): number {
    return this.#bytes.readUInt32BE(this.#at(index) + 1);
  }

  length(index: number): number {
    return this.#bytes.readUIntBE(this.#at(index) + 6, 3);
  }

  row(index: number): IndexRow {
    const at = this.#at(index);
    const code = this.#bytes.readUInt8(at);
    const kind = itemKinds.get(code);
    if (kind === undefined) throw new TypeError('a row of an unknown kind');
    const id = new Uint8Array(this.#bytes.subarray(at + 9, at + INDEX_ROW_BYTES));
    const pieces = kind === 'slab' ? this.#bytes.readUInt8(at + 5) + 1 : 0;
    const hasHoles = code === HOLED_SLAB_CODE;
    return { kind, offset: this.offset(index), length: this.length(index), id, pieces, hasHoles };
  }

  /** The first row at an offset of the pack or behind it. */
  indexOf(offset: number): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.offset(middle) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #at(index: number): number {
    return COUNT_BYTES + index * INDEX_ROW_BYTES;
  }
}

export interface PackEnd {
  /** Where the index record begins. */
  readonly indexOffset: number;
  /** Items before it. */
  readonly items: number;
}

export function encodeEnd({ indexOffset, items }: PackEnd): Buffer {
  const bytes = Buffer.alloc(END_PAYLOAD_BYTES);
  bytes.writeUInt32BE(indexOffset, 0);
  bytes.writeUInt32BE(items, 4);
  return bytes;
}

/** `undefined` when it is not the end of a pack of so many bytes. */
export function decodeEnd(payload: Uint8Array, packBytes: number): PackEnd | undefined {
  if (payload.length !== END_PAYLOAD_BYTES) return undefined;
  const view = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const [indexOffset, items] = [view.readUInt32BE(0), view.readUInt32BE(4)];
  const indexBytes = RECORD_HEADER_BYTES + indexPayloadBytes(items);
  return indexOffset + indexBytes + END_BYTES === packBytes ? { indexOffset, items } : undefined;
}
