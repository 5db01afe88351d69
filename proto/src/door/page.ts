/**
 * FORMAT.md, "Page": a fixed binary layout, big-endian. Pages are many and their references
 * uniform; a fixed width needs no canonical check and lets a scrubber walk a page without a parser.
 *
 * ```
 * "ALQP" ‖ u8 version = 1 ‖ u8 depth ‖ u16 count ‖ count × (id 32 ‖ u64 plain size ‖ u32 epoch) ‖
 * sealed keys (count × 32 + 16)
 * ```
 */
import { asChunkId } from '../brand.ts';
import { FormatError } from '../errors.ts';
import { HASH_BYTES, MAX_PAGE_DEPTH, MAX_PAGE_REFS, TAG_BYTES } from '../limits.ts';
import type { Page, Ref, References } from '../types.ts';
import { checkReferences, plainSizeOf } from './common.ts';

const MAGIC = Uint8Array.of(0x41, 0x4c, 0x51, 0x50);
const VERSION = 1;
const HEADER_BYTES = 8;
/** Bytes of one reference: id, plain size, epoch. */
const REF_BYTES = HASH_BYTES + 8 + 4;

/** The exact bytes before the sealed keys: what their seal authenticates. @throws FormatError */
export function encodePageClear(content: References): Uint8Array {
  const count = content.refs.length;
  check(content);
  const clear = new Uint8Array(HEADER_BYTES + count * REF_BYTES);
  const data = new DataView(clear.buffer);
  clear.set(MAGIC);
  data.setUint8(4, VERSION);
  data.setUint8(5, content.depth);
  data.setUint16(6, count);
  let at = HEADER_BYTES;
  for (const ref of content.refs) {
    clear.set(asChunkId(ref.id), at);
    data.setBigUint64(at + HASH_BYTES, BigInt(ref.plainSize));
    data.setUint32(at + HASH_BYTES + 8, ref.epoch);
    at += REF_BYTES;
  }
  return clear;
}

/**
 * A page's bytes; `sealedKeys` is one key of 32 bytes for each reference and the tag. @throws
 * FormatError
 */
export function encodePage(content: References, sealedKeys: Uint8Array): Uint8Array {
  const clear = encodePageClear(content);
  const expected = content.refs.length * HASH_BYTES + TAG_BYTES;
  if (sealedKeys.length !== expected)
    throw malformed(`has ${sealedKeys.length} bytes of sealed keys instead of ${expected}`);
  const page = new Uint8Array(clear.length + expected);
  page.set(clear);
  page.set(sealedKeys, clear.length);
  return page;
}

/** Where the ids stand that a page refers to: there is no object for each of them. */
export interface PageIds {
  /** Of what they name: 0 for chunks. */
  readonly depth: number;
  readonly count: number;
  /** The first id begins at this byte of the page, each other one `step` bytes further on. */
  readonly first: number;
  readonly step: number;
}

/** The ids of a page, of which sizes and epochs are not looked at. @throws FormatError */
export function pageIds(bytes: Uint8Array): PageIds {
  const { depth, count } = headOf(bytes);
  if (count === 0) throw malformed('is empty');
  if (depth >= MAX_PAGE_DEPTH)
    throw limit(`is ${depth} pages deep, more than the ${MAX_PAGE_DEPTH - 1} allowed`);
  return { depth, count, first: HEADER_BYTES, step: REF_BYTES };
}

/** What stands before the references, held against the length of the page. */
function headOf(plain: Uint8Array): {
  readonly depth: number;
  readonly count: number;
  readonly clearBytes: number;
} {
  if (plain.length < HEADER_BYTES || MAGIC.some((byte, i) => plain[i] !== byte))
    throw malformed('does not begin with "ALQP"');
  const data = new DataView(plain.buffer, plain.byteOffset, plain.length);
  const version = data.getUint8(4);
  if (version !== VERSION)
    throw new FormatError(
      'FORMAT_UNKNOWN_VERSION',
      `Page version is ${version}; this release knows version ${VERSION}`,
    );
  const count = data.getUint16(6);
  if (count > MAX_PAGE_REFS)
    throw limit(`has ${count} references, more than the ${MAX_PAGE_REFS} allowed`);
  const clearBytes = HEADER_BYTES + count * REF_BYTES;
  if (plain.length !== clearBytes + count * HASH_BYTES + TAG_BYTES)
    throw malformed(`has ${plain.length} bytes, which is not its size for ${count} references`);
  return { depth: data.getUint8(5), count, clearBytes };
}

/**
 * A page taken apart. Ids are copies; `sealedKeys` and `clear` are views over the input. @throws
 * FormatError
 */
export function decodePage(bytes: Uint8Array): Page {
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const { depth, clearBytes } = headOf(plain);
  const data = new DataView(plain.buffer, plain.byteOffset, plain.length);
  const refs: Ref[] = [];
  for (let at = HEADER_BYTES; at < clearBytes; at += REF_BYTES) {
    const id = asChunkId(plain.slice(at, at + HASH_BYTES));
    // Two halves: the high one must keep the sum a safe integer.
    const high = data.getUint32(at + HASH_BYTES);
    if (high > 0x1f_ffff) throw limit('names a size beyond 2^53');
    refs.push({
      id,
      plainSize: high * 2 ** 32 + data.getUint32(at + HASH_BYTES + 4),
      epoch: data.getUint32(at + HASH_BYTES + 8),
    });
  }
  const content: References = { depth, refs };
  check(content);
  return { content, sealedKeys: plain.subarray(clearBytes), clear: plain.subarray(0, clearBytes) };
}

function check(content: References): void {
  const { depth, refs } = content;
  if (!Number.isInteger(depth) || depth < 0) throw malformed('has no depth');
  // A page stands one level below the content that names it.
  checkReferences(content, 'Page', MAX_PAGE_DEPTH - 1);
  if (refs.length === 0) throw malformed('is empty');
  if (refs.length > MAX_PAGE_REFS)
    throw limit(`has ${refs.length} references, more than the ${MAX_PAGE_REFS} allowed`);
  for (const { plainSize, epoch } of refs) {
    if (!Number.isSafeInteger(plainSize) || plainSize < 1)
      throw malformed('names a chunk or page of no size');
    if (!Number.isInteger(epoch) || epoch < 1 || epoch > 0xffff_ffff)
      throw malformed('names no epoch');
  }
  if (!Number.isSafeInteger(plainSizeOf(content))) throw limit('stands for more than 2^53 bytes');
}

function malformed(what: string): FormatError {
  return new FormatError('FORMAT_MALFORMED', `Page ${what}`);
}

function limit(what: string): FormatError {
  return new FormatError('FORMAT_LIMIT', `Page ${what}`);
}
