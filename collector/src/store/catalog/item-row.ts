import { asLineageId, ID_BYTES, type LineageId, type StoredKind } from '@aliquot/proto';
import type { Owned } from '../../collection/one-set.ts';
import type { Place } from '../packs/pack-store.ts';
import type { PiecesHeld } from '../packs/slab-pieces.ts';
import { type RowReader, RowWriter } from './row.ts';

/** One place of an item. */
export interface HeldPlace extends Place {
  /** Of a slab that lacks pieces there: a bit is set for each that is here, see `PiecesHeld`. */
  readonly here: Uint8Array | undefined;
}

/** Where an item lies. What packs say and what the history says joins in any order. */
export interface ItemRow {
  /** `undefined` where no pack holds it. */
  readonly kind: StoredKind | undefined;
  /** The last of the packs first; several where an item was stored again. */
  readonly places: readonly HeldPlace[];
  /** How many pieces a slab has; else, and where no pack holds it, 0. */
  readonly pieces: number;
  /**
   * Plaintext bytes of a chunk as its first reference states them, of a slab those of the pieces
   * that are named; `undefined` before any.
   */
  readonly plainSize: number | undefined;
  /** Of a slab: a bit is set for each piece, from 0 on, that a version refers to or did once. */
  readonly named: Uint8Array;
  /** Which lineage uploaded it first: `undefined` before any did. Others have rows of their own. */
  readonly owner: ItemOwner | undefined;
  /** How many others have a row of their own for it. */
  readonly others: number;
}

/** A lineage in whose set an item is. */
export interface ItemOwner {
  readonly lineageId: LineageId;
  readonly owned: Owned;
}

const NONE = new Uint8Array(0);

/** An item that no pack holds, and of which nobody has said anything. */
export const nowhere: ItemRow = {
  kind: undefined,
  places: [],
  pieces: 0,
  plainSize: undefined,
  named: NONE,
  owner: undefined,
  others: 0,
};

/** Whether a pack holds it, as far as the catalog knows. */
export function isHeld(row: ItemRow | undefined): row is ItemRow {
  return row !== undefined && row.places.length > 0;
}

/** Whether any lineage has it in its set. What nobody owns is dead, unless it was just sent. */
export function isOwned({ owner, others }: ItemRow): boolean {
  return owner !== undefined || others > 0;
}

/** Whether nothing has to be said of an item that no pack holds. */
export function isUnsaid(row: ItemRow): boolean {
  return row.plainSize === undefined && row.named.length === 0 && !isOwned(row);
}

/** The places in the order in which they are read: where all of a slab is, first. */
export function placesToRead({ places }: ItemRow): readonly HeldPlace[] {
  const whole = places.filter(({ here }) => here === undefined);
  return whole.length === places.length
    ? places
    : [...whole, ...places.filter(({ here }) => here !== undefined)];
}

/** What a slab that is held has of its pieces; undefined of everything else. */
export function slabIn(row: ItemRow | undefined): PiecesHeld | undefined {
  if (!isHeld(row) || row.kind !== 'slab') return undefined;
  return { count: row.pieces, here: placesToRead(row)[0]?.here };
}

/** Whether a piece, counted from 1, is here. */
export function hasPiece({ count, here }: PiecesHeld, piece: number): boolean {
  return piece <= count && (here === undefined || isSet(here, piece - 1));
}

/** Whether a bit of a row's marks is set; those behind the last byte are not. */
export function isSet(marks: Uint8Array, index: number): boolean {
  return (((marks[index >>> 3] ?? 0) >>> (index & 7)) & 1) === 1;
}

/** How many bits of marks are set. */
export function countSet(marks: Uint8Array): number {
  let count = 0;
  for (let index = 0; index < marks.length * 8; index += 1) if (isSet(marks, index)) count += 1;
  return count;
}

/** Sets a bit of marks that have room for it. */
export function setBit(marks: Uint8Array, index: number): void {
  const byte = index >>> 3;
  marks[byte] = (marks[byte] ?? 0) | (1 << (index & 7));
}

/** The same for marks that may be too short: they, or longer ones, with the bit set. */
export function withBit(marks: Uint8Array, index: number): Uint8Array {
  const byte = index >>> 3;
  let more = marks;
  if (byte >= marks.length) {
    more = new Uint8Array(byte + 1);
    more.set(marks);
  }
  setBit(more, index);
  return more;
}

/** By the number in a row: 0 for one that no pack holds. */
const kinds = [undefined, 'chunk', 'page', 'slab'] as const;
const KIND_BITS = 3;
const HAS_NAMED = 4;
const HAS_OWNER = 8;
const IS_REFERENCED = 16;
const HAS_OTHERS = 32;

function ownerBits(owner: ItemOwner | undefined): number {
  if (owner === undefined) return 0;
  return HAS_OWNER | (owner.owned === 'referenced' ? IS_REFERENCED : 0);
}

/** Marks behind their length: one of 256 pieces has 32 bytes of them. */
function writeMarks(row: RowWriter, marks: Uint8Array | undefined): RowWriter {
  return row.u8(marks?.length ?? 0).fixed(marks ?? NONE);
}

/** The row's bytes; those of chunks and pages hold nothing of slabs. */
export function encodeItemRow(item: ItemRow): Buffer {
  const { kind, places, pieces, plainSize, named, owner, others } = item;
  const row = new RowWriter();
  const more = (named.length > 0 ? HAS_NAMED : 0) | (others > 0 ? HAS_OTHERS : 0);
  row.u8(kinds.indexOf(kind) | more | ownerBits(owner));
  row.u32(plainSize === undefined ? 0 : plainSize + 1);
  if (owner !== undefined) row.fixed(owner.lineageId);
  if (others > 0) row.u32(others);
  if (named.length > 0) writeMarks(row, named);
  if (kind === 'slab') row.u16(pieces);
  for (const { pack, offset, length, here } of places) {
    row.u32(pack).u32(offset).u32(length);
    if (kind === 'slab') writeMarks(row, here);
  }
  return row.finish();
}

/** Throws `STORE_CATALOG` where a row ends early. */
export function decodeItemRow(row: RowReader): ItemRow {
  const head = row.u8();
  const kind = kinds[head & KIND_BITS];
  const size = row.u32();
  const owner: ItemOwner | undefined =
    (head & HAS_OWNER) === 0
      ? undefined
      : {
          lineageId: asLineageId(row.fixed(ID_BYTES)),
          owned: (head & IS_REFERENCED) === 0 ? 'uploaded' : 'referenced',
        };
  const others = (head & HAS_OTHERS) === 0 ? 0 : row.u32();
  const named = (head & HAS_NAMED) === 0 ? NONE : row.fixed(row.u8());
  const pieces = kind === 'slab' ? row.u16() : 0;
  const places: HeldPlace[] = [];
  while (!row.isAtEnd) {
    const place = { pack: row.u32(), offset: row.u32(), length: row.u32() };
    const marks = kind === 'slab' ? row.fixed(row.u8()) : NONE;
    places.push({ ...place, here: marks.length === 0 ? undefined : marks });
  }
  const plainSize = size === 0 ? undefined : size - 1;
  return { kind, places, pieces, plainSize, named, owner, others };
}
