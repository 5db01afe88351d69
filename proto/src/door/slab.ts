/**
 * FORMAT.md, "Slab": small files, each sealed by itself, under one directory. A fixed binary
 * layout, big-endian, as a page's.
 *
 * ```
 * "ALQB" ‖ u8 version = 1 ‖ u8 form ‖ u16 n ‖ n × (u24 length ‖ SHA-256 of the piece's bytes 32) ‖
 * in form 1: ⌈n / 8⌉ bytes, bit i mod 8 of byte ⌊i / 8⌋ set when piece i is here ‖ the pieces
 * ```
 *
 * The id is the SHA-256 of the first 8 + 35 n bytes with byte 5 as 0. It covers the pieces' hashes,
 * not their bytes, so a slab may lack pieces and still prove the others, without a key. Form 0 has
 * all of them, form 1 has holes.
 *
 * What readers need: `decodeSlab` takes the layout apart and hashes nothing. `slabId` and
 * `checkPieces` of `@aliquot/shared/content/slab` prove the directory and what is here; `openPiece`
 * there proves and opens one. Whoever stores or answers in part makes form 1 with `encodeSlab`.
 */
import { FormatError } from '../errors.ts';
import { HASH_BYTES, MAX_PIECE_BYTES, MAX_SLAB_BYTES, MAX_SLAB_PIECES } from '../limits.ts';
import type { Slab, SlabPiece } from '../types.ts';

const MAGIC = Uint8Array.of(0x41, 0x4c, 0x51, 0x42);
const VERSION = 1;
/** What `slabOutline` looks at. */
export const SLAB_HEADER_BYTES = 8;
const HEADER_BYTES = SLAB_HEADER_BYTES;
const FORM_AT = 5;
const WHOLE = 0;
const WITH_HOLES = 1;
const LENGTH_BYTES = 3;
/** Bytes of one piece in the directory: its length, its hash. */
const ROW_BYTES = LENGTH_BYTES + HASH_BYTES;
/** A codec byte, and at least one byte of content: an empty file is no piece. */
const MIN_PIECE_BYTES = 2;

/** Bytes of the directory of a slab of `count` pieces. */
function slabDirectoryBytes(count: number): number {
  return HEADER_BYTES + count * ROW_BYTES;
}

/**
 * A slab's bytes: whole, or with holes where pieces are not here.
 *
 * @throws FormatError also when none is here.
 */
export function encodeSlab(pieces: readonly SlabPiece[]): Uint8Array {
  const count = pieces.length;
  checkCount(count);
  const directoryBytes = slabDirectoryBytes(count);
  let whole = directoryBytes;
  let here = directoryBytes;
  let holes = 0;
  for (const { length, hash, sealed } of pieces) {
    checkLength(length);
    if (hash.length !== HASH_BYTES) throw malformed('has a piece without a hash');
    whole += length;
    if (sealed === undefined) holes += 1;
    else if (sealed.length === length) here += length;
    else throw malformed(`has a piece of ${sealed.length} bytes instead of ${length}`);
  }
  checkSize(whole);
  if (holes === count) throw malformed('has none of its pieces');
  const bitmapBytes = holes === 0 ? 0 : bitmapLength(count);
  const slab = new Uint8Array(here + bitmapBytes);
  slab.set(MAGIC);
  slab[4] = VERSION;
  slab[FORM_AT] = holes === 0 ? WHOLE : WITH_HOLES;
  slab[6] = count >>> 8;
  slab[7] = count & 0xff;
  let row = HEADER_BYTES;
  let at = directoryBytes + bitmapBytes;
  for (let index = 0; index < count; index += 1) {
    const { length, hash, sealed } = pieces[index] as SlabPiece;
    slab[row] = length >>> 16;
    slab[row + 1] = (length >>> 8) & 0xff;
    slab[row + 2] = length & 0xff;
    slab.set(hash, row + LENGTH_BYTES);
    row += ROW_BYTES;
    if (sealed === undefined) continue;
    if (holes > 0) {
      const byte = directoryBytes + (index >>> 3);
      slab[byte] = (slab[byte] ?? 0) | (1 << (index & 7));
    }
    slab.set(sealed, at);
    at += length;
  }
  return slab;
}

/**
 * A slab taken apart: views over the input. Nothing is proved yet.
 *
 * @throws FormatError when the layout is not exactly as above.
 */
export function decodeSlab(input: Uint8Array): Slab {
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.length);
  const { withHoles, count } = headerOf(bytes);
  const directoryBytes = slabDirectoryBytes(count);
  const bitmapBytes = withHoles ? bitmapLength(count) : 0;
  if (bytes.length < directoryBytes + bitmapBytes)
    throw malformed('is cut off inside of its directory');
  const bitmap = bytes.subarray(directoryBytes, directoryBytes + bitmapBytes);
  const places = new Int32Array(count);
  let whole = directoryBytes;
  let at = directoryBytes + bitmapBytes;
  let holes = 0;
  for (let index = 0; index < count; index += 1) {
    const length = lengthAt(bytes, index);
    checkLength(length);
    whole += length;
    if (withHoles && (((bitmap[index >>> 3] ?? 0) >>> (index & 7)) & 1) === 0) {
      places[index] = -1;
      holes += 1;
    } else {
      places[index] = at;
      at += length;
    }
  }
  checkSize(whole);
  if (withHoles) checkHoles(bitmap, count, holes);
  if (bytes.length !== at)
    throw malformed(`has ${bytes.length} bytes instead of the ${at} that its directory gives`);
  return { directory: directoryOf(bytes, directoryBytes), count, places, bytes };
}

/** What the first bytes of a slab tell of the rest. */
export interface SlabOutline {
  readonly count: number;
  /** Where the marks of the pieces that are here stand; undefined when all are. */
  readonly marks: { readonly offset: number; readonly length: number } | undefined;
}

/** The outline of a slab of which the header is known. @throws FormatError */
export function slabOutline(head: Uint8Array): SlabOutline {
  const { withHoles, count } = headerOf(head);
  const marks = { offset: slabDirectoryBytes(count), length: bitmapLength(count) };
  return { count, marks: withHoles ? marks : undefined };
}

/**
 * Whether bytes are the directory of a whole slab and nothing else. Their SHA-256 is that slab's
 * id, so no chunk may be these bytes: it would stand where the slab belongs.
 */
export function isSlabDirectory(bytes: Uint8Array): boolean {
  if (MAGIC.some((byte, at) => bytes[at] !== byte)) return false;
  const count = ((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0);
  return bytes.length === slabDirectoryBytes(count);
}

/** A piece of a slab by its place from 0 on: views. @throws FormatError when there is no such. */
export function pieceOf({ bytes, count, places }: Slab, index: number): SlabPiece {
  const place = places[index];
  if (place === undefined) throw malformed(`has ${count} pieces, and none at ${index}`);
  const length = lengthAt(bytes, index);
  const row = HEADER_BYTES + index * ROW_BYTES;
  return {
    length,
    hash: bytes.subarray(row + LENGTH_BYTES, row + ROW_BYTES),
    sealed: place < 0 ? undefined : bytes.subarray(place, place + length),
  };
}

function headerOf(bytes: Uint8Array): { readonly withHoles: boolean; readonly count: number } {
  if (bytes.length < HEADER_BYTES || MAGIC.some((byte, at) => bytes[at] !== byte))
    throw malformed('does not begin with "ALQB"');
  checkKnown('version', bytes[4], VERSION, VERSION);
  checkKnown('form', bytes[FORM_AT], WHOLE, WITH_HOLES);
  const count = ((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0);
  checkCount(count);
  return { withHoles: bytes[FORM_AT] === WITH_HOLES, count };
}

/** The directory as its id covers it: a copy only where the slab has holes. */
function directoryOf(bytes: Uint8Array, length: number): Uint8Array {
  const directory = bytes.subarray(0, length);
  if (directory[FORM_AT] === WHOLE) return directory;
  const whole = directory.slice();
  whole[FORM_AT] = WHOLE;
  return whole;
}

function lengthAt(bytes: Uint8Array, index: number): number {
  const row = HEADER_BYTES + index * ROW_BYTES;
  return ((bytes[row] ?? 0) << 16) | ((bytes[row + 1] ?? 0) << 8) | (bytes[row + 2] ?? 0);
}

function bitmapLength(count: number): number {
  return (count + 7) >>> 3;
}

function checkKnown(what: string, value: number | undefined, from: number, to: number): void {
  if (value === undefined || value < from || value > to)
    throw new FormatError(
      'FORMAT_UNKNOWN_VERSION',
      `Slab ${what} is ${value}; this release knows ${from === to ? from : `${from} and ${to}`}`,
    );
}

function checkCount(count: number): void {
  if (count === 0) throw malformed('has no pieces');
  if (count > MAX_SLAB_PIECES)
    throw limit(`has ${count} pieces, more than the ${MAX_SLAB_PIECES} allowed`);
}

function checkLength(length: number): void {
  if (!Number.isInteger(length) || length < MIN_PIECE_BYTES) throw malformed('has an empty piece');
  if (length > MAX_PIECE_BYTES)
    throw limit(`has a piece of ${length} bytes, more than the ${MAX_PIECE_BYTES} allowed`);
}

/** By the lengths in the directory, so that one with holes was allowed when it was whole. */
function checkSize(whole: number): void {
  if (whole > MAX_SLAB_BYTES)
    throw limit(`has ${whole} bytes, more than the ${MAX_SLAB_BYTES} allowed`);
}

/** One way to say it: no holes is form 0, no pieces is no slab, and bits behind the last are 0. */
function checkHoles(bitmap: Uint8Array, count: number, holes: number): void {
  if (holes === 0) throw malformed('says that it has holes, and has none');
  if (holes === count) throw malformed('has none of its pieces');
  if ((count & 7) !== 0 && (bitmap.at(-1) ?? 0) >>> (count & 7) !== 0)
    throw malformed('has marks for pieces that it does not have');
}

function malformed(what: string): FormatError {
  return new FormatError('FORMAT_MALFORMED', `Slab ${what}`);
}

function limit(what: string): FormatError {
  return new FormatError('FORMAT_LIMIT', `Slab ${what}`);
}
