/**
 * FORMAT.md, "EntryDraft", written at once: the bytes that the codec gives, for the drafts of which
 * there are a hundred thousand. The codec builds two objects of each and lists of what to write,
 * which costs ten times as much.
 */
import {
  HASH_BYTES,
  MAX_CLASS_CHARS,
  MAX_MODE,
  MAX_PATH_BYTES,
  MAX_PIECE_PLAIN_BYTES,
  MAX_SLAB_PIECES,
  MAX_TIME_MS,
  MAX_UINT32,
} from '../limits.ts';
import type { EntryDraft } from '../types.ts';

const ID_BYTES = 16;
/** All but class and path, each field at its largest. */
const OTHER_BYTES = 512;
const CLASS_PATTERN = /^[a-z0-9-]+$/;
const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

/** Drafts stand one behind the other in memory of this size: one piece for each would cost more. */
const SHARED_BYTES = 64 << 10;

let out = new Uint8Array(SHARED_BYTES);
let at = 0;
/** The class that was checked last: nearly always the next one too. */
let lastClass = '';

/**
 * The draft of a plain file that is one piece of a slab, if every rule of the codec plainly holds;
 * undefined for all others, which the codec writes or refuses. The bytes are not written to again,
 * and share their memory with those of other drafts.
 */
export function pieceDraftBytes(draft: EntryDraft): Uint8Array | undefined {
  const { list, read, content, resultId, slabKey } = draft;
  const [ref, more] = content.refs;
  const [key] = read?.keys ?? [];
  if (
    ref === undefined ||
    more !== undefined ||
    read === undefined ||
    key === undefined ||
    read.keys.length !== 1 ||
    draft.kind !== 'file' ||
    draft.completion === 'growing' ||
    !isBytes(draft.sourceId, ID_BYTES) ||
    !isBytes(draft.fileId, ID_BYTES) ||
    !isClass(draft.class) ||
    !isWhole(draft.size, 1, MAX_PIECE_PLAIN_BYTES) ||
    !isWhole(draft.capturedAtMs, 0, MAX_TIME_MS) ||
    content.depth !== 0 ||
    !isWhole(content.piece, 1, MAX_SLAB_PIECES) ||
    !isBytes(ref.id, HASH_BYTES) ||
    ref.plainSize !== draft.size ||
    !isWhole(ref.epoch, 1, MAX_UINT32) ||
    !isBytes(read.sha256, HASH_BYTES) ||
    !isBytes(key, HASH_BYTES) ||
    (resultId !== undefined && !isBytes(resultId, ID_BYTES)) ||
    (slabKey !== undefined && !isBytes(slabKey, HASH_BYTES)) ||
    !isPlainList(list)
  )
    return undefined;
  const most = OTHER_BYTES + draft.class.length + list.path.length;
  if (out.length - at < most) {
    out = new Uint8Array(Math.max(SHARED_BYTES, most));
    at = 0;
  }
  const from = at;
  number(0x08, 1);
  number(0x10, 1);
  bytes(0x1a, draft.sourceId);
  ascii(0x22, draft.class);
  bytes(0x2a, draft.fileId);
  number(0x30, draft.size);
  number(0x38, draft.capturedAtMs);
  number(0x40, draft.completion === 'assumed' ? 1 : 2);
  const ofContent = begin(0x4a);
  const ofRef = begin(0x12);
  bytes(0x0a, ref.id);
  number(0x10, ref.plainSize);
  number(0x18, ref.epoch);
  end(ofRef);
  number(0x18, content.piece);
  end(ofContent);
  const ofList = begin(0x52);
  number(0x08, 1);
  number(0x10, list.platform === 'posix' ? 1 : 2);
  bytes(0x1a, list.path);
  number(0x20, list.resultPathLength);
  folded(0x28, list.mtimeNs);
  number(0x30, list.mode);
  number(0x38, list.attributes);
  end(ofList);
  const ofRead = begin(0x5a);
  number(0x08, 1);
  bytes(0x12, read.sha256);
  bytes(0x1a, key);
  end(ofRead);
  if (resultId !== undefined) bytes(0x62, resultId);
  if (slabKey !== undefined) bytes(0x6a, slabKey);
  return out.subarray(from, at);
}

function isBytes(value: unknown, length: number): boolean {
  return value instanceof Uint8Array && value.length === length;
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function isClass(name: string): boolean {
  if (name === lastClass) return true;
  if (typeof name !== 'string' || name.length > MAX_CLASS_CHARS || !CLASS_PATTERN.test(name))
    return false;
  lastClass = name;
  return true;
}

function isPlainList(list: EntryDraft['list']): boolean {
  const { path, mtimeNs } = list;
  return (
    path instanceof Uint8Array &&
    path.length > 0 &&
    path.length <= MAX_PATH_BYTES &&
    !path.includes(0) &&
    list.linkTarget instanceof Uint8Array &&
    list.linkTarget.length === 0 &&
    isWhole(list.resultPathLength, 0, path.length) &&
    typeof mtimeNs === 'bigint' &&
    mtimeNs >= MIN_INT64 &&
    mtimeNs <= MAX_INT64 &&
    (list.platform === 'posix'
      ? isWhole(list.mode, 0, MAX_MODE) && list.attributes === 0
      : list.platform === 'windows' && list.mode === 0 && isWhole(list.attributes, 0, MAX_UINT32))
  );
}

function varint(value: number): void {
  let rest = value;
  while (rest >= 128) {
    out[at] = (rest % 128) | 128;
    at += 1;
    rest = Math.floor(rest / 128);
  }
  out[at] = rest;
  at += 1;
}

/** A number; 0 is not written. */
function number(tag: number, value: number): void {
  if (value === 0) return;
  out[at] = tag;
  at += 1;
  varint(value);
}

function bytes(tag: number, value: Uint8Array): void {
  out[at] = tag;
  at += 1;
  varint(value.length);
  out.set(value, at);
  at += value.length;
}

function ascii(tag: number, text: string): void {
  out[at] = tag;
  at += 1;
  varint(text.length);
  for (let index = 0; index < text.length; index += 1) out[at + index] = text.charCodeAt(index);
  at += text.length;
}

/** A signed number: 0, -1, 1, -2, 2 are 0, 1, 2, 3, 4. */
function folded(tag: number, value: bigint): void {
  if (value === 0n) return;
  out[at] = tag;
  at += 1;
  const fold = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  let low = Number(fold & 0xfff_ffffn);
  let middle = Number((fold >> 28n) & 0xfff_ffffn);
  const high = Number(fold >> 56n);
  if (middle === 0 && high === 0) {
    varint(low);
    return;
  }
  for (let index = 0; index < 4; index += 1, low >>>= 7) {
    out[at] = (low & 127) | 128;
    at += 1;
  }
  if (high === 0) {
    varint(middle);
    return;
  }
  for (let index = 0; index < 4; index += 1, middle >>>= 7) {
    out[at] = (middle & 127) | 128;
    at += 1;
  }
  varint(high);
}

/** A message of at least one byte; its length is written by `end`. */
function begin(tag: number): number {
  out[at] = tag;
  at += 2;
  return at;
}

/** Moves what is longer than its length's first byte says. */
function end(from: number): void {
  const length = at - from;
  const more = length < 0x80 ? 0 : length < 0x4000 ? 1 : 2;
  if (more > 0) out.copyWithin(from + more, from, at);
  at = from - 1;
  varint(length);
  at += length;
}
