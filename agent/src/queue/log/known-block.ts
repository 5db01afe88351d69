import { QueueError } from './errors.ts';
import type { KnownStat } from './facts.ts';
import { CONTENT_TAG_BYTES, checkPath, type KnownRecord, MAX_PATH_BYTES } from './payloads.ts';

/*
 * Known files as the index and the scan carry them: many in one value, in the order of their paths.
 *
 *   block     u8 1, then the files one behind the other
 *   file      varint bytes that its path shares with the one before it, varint the other bytes, those bytes,
 *             varint length of the columns, columns
 *   columns   u8 kind, i64 mtime, i64 ctime, u64 inode, u32 mode, content tag, then varints: size, entry number,
 *             captured (ms), result path length
 *
 * Columns say nothing of other files, so a block is written anew by copying them. Derived, so the
 * form may change with any release (I-A5).
 */

/** Files of a block after which another is begun. */
export const BLOCK_FILES = 128;
/** Bytes of a block after which another is begun. Test only: what is packed here keeps to it. */
export const BLOCK_BYTES = 16 * 1024;

const VERSION = 1;
const kinds = ['file', 'directory', 'symlink'] as const;
const MTIME = 1;
const CTIME = 9;
const INODE = 17;
const MODE = 25;
const TAG = 29;
const VARINTS = TAG + CONTENT_TAG_BYTES;
const MOST_COLUMNS = 127;

/** A known file as it stands in a block. */
export interface KnownRow {
  readonly path: Uint8Array;
  readonly columns: Uint8Array;
}

const scratch = Buffer.alloc(MOST_COLUMNS);
const numbers = new DataView(scratch.buffer, scratch.byteOffset, scratch.byteLength);

/** Errors: `QUEUE_REFUSED` for what no record can hold. */
export function encodeColumns({ entry, stat }: KnownRecord): Uint8Array {
  checkPath(stat.path);
  if (stat.contentTag.length !== CONTENT_TAG_BYTES)
    throw new QueueError('QUEUE_REFUSED', `a content tag has ${CONTENT_TAG_BYTES} bytes`);
  scratch[0] = kinds.indexOf(stat.kind);
  numbers.setBigInt64(MTIME, stat.mtimeNs);
  numbers.setBigInt64(CTIME, stat.ctimeNs);
  numbers.setBigUint64(INODE, stat.ino);
  numbers.setUint32(MODE, stat.mode);
  scratch.set(stat.contentTag, TAG);
  let at = writeVarint(scratch, VARINTS, stat.size);
  at = writeVarint(scratch, at, entry);
  at = writeVarint(scratch, at, stat.capturedAtMs);
  at = writeVarint(scratch, at, stat.resultPathLength);
  return Buffer.from(scratch.subarray(0, at));
}

/** Error: `QUEUE_DAMAGED`. */
export function decodeColumns({ path, columns }: KnownRow): KnownRecord {
  const view = new DataView(columns.buffer, columns.byteOffset, columns.byteLength);
  const kind = columns.length < VARINTS ? undefined : kinds[view.getUint8(0)];
  if (kind === undefined) throw damaged('unknown columns');
  const rest = new Reader(columns, VARINTS);
  const [size, entry, capturedAtMs, resultPathLength] = [
    rest.varint(),
    rest.varint(),
    rest.varint(),
    rest.varint(),
  ];
  if (rest.at !== columns.length || resultPathLength > path.length) throw damaged('its columns');
  const stat: KnownStat = {
    path,
    kind,
    size,
    mtimeNs: view.getBigInt64(MTIME),
    ctimeNs: view.getBigInt64(CTIME),
    ino: view.getBigUint64(INODE),
    mode: view.getUint32(MODE),
    contentTag: new Uint8Array(columns.subarray(TAG, VARINTS)),
    capturedAtMs,
    resultPathLength,
  };
  return { entry, stat };
}

/** As many blocks as these files take, in their order. */
export function packKnown(rows: readonly KnownRow[], files = BLOCK_FILES): readonly KnownBlock[] {
  const blocks: KnownBlock[] = [];
  let from = 0;
  while (from < rows.length) {
    const block = packOne(rows, from, files);
    blocks.push(block);
    from += block.files;
  }
  return blocks;
}

/** A block as it was packed. */
export interface KnownBlock {
  readonly first: KnownRow;
  readonly files: number;
  readonly bytes: Uint8Array;
}

function packOne(rows: readonly KnownRow[], from: number, most: number): KnownBlock {
  const first = rows[from] as KnownRow;
  const keeps: number[] = [];
  let length = 1;
  let before: Uint8Array = new Uint8Array(0);
  const end = Math.min(rows.length, from + most);
  for (let at = from; at < end; at += 1) {
    const row = rows[at] as KnownRow;
    const keep = sharedBytes(before, row.path);
    const bytes =
      varintBytes(keep) +
      varintBytes(row.path.length - keep) +
      (row.path.length - keep) +
      1 +
      row.columns.length;
    if (keeps.length > 0 && length + bytes > BLOCK_BYTES) break;
    keeps.push(keep);
    length += bytes;
    before = row.path;
  }
  const bytes = new Uint8Array(length);
  bytes[0] = VERSION;
  let at = 1;
  for (let part = 0; part < keeps.length; part += 1) {
    const row = rows[from + part] as KnownRow;
    const keep = keeps[part] as number;
    at = writeVarint(bytes, at, keep);
    at = writeVarint(bytes, at, row.path.length - keep);
    bytes.set(keep === 0 ? row.path : row.path.subarray(keep), at);
    at += row.path.length - keep;
    bytes[at] = row.columns.length;
    bytes.set(row.columns, at + 1);
    at += 1 + row.columns.length;
  }
  return { first, files: keeps.length, bytes };
}

/** Error: `QUEUE_DAMAGED`. */
export function unpackKnown(block: Uint8Array): KnownRow[] {
  const rows: KnownRow[] = [];
  const cursor = new KnownCursor(block);
  while (cursor.next()) rows.push(cursor.row);
  return rows;
}

/**
 * Goes through a block file by file, and says of each what a scan compares without making an object
 * of it. Error: `QUEUE_DAMAGED`.
 */
export class KnownCursor {
  readonly #reader: Reader;
  readonly #view: DataView;
  /** Where the columns of the file begin, and end. */
  #from = 0;
  #to = 0;
  /** The path of the file, one character for each byte. */
  path = '';

  constructor(block: Uint8Array) {
    this.#reader = new Reader(block, 1);
    this.#view = new DataView(block.buffer, block.byteOffset, block.byteLength);
    if (block[0] !== VERSION) throw damaged('unknown layout');
  }

  /** Goes on to the next file; false at the end. */
  next(): boolean {
    const reader = this.#reader;
    if (reader.atEnd) return false;
    const keep = reader.varint();
    const add = reader.varint();
    if (keep > this.path.length || keep + add > MAX_PATH_BYTES || keep + add === 0)
      throw damaged('its paths');
    this.path = this.path.slice(0, keep) + reader.text(add);
    const length = reader.varint();
    if (length < VARINTS + 4 || length > MOST_COLUMNS) throw damaged('its columns');
    reader.pass(length);
    this.#from = reader.at - length;
    this.#to = reader.at;
    return true;
  }

  /** The columns of the file, in the memory of the block. */
  get columns(): Uint8Array {
    return this.#reader.part(this.#from, this.#to);
  }

  /** The file as it is handed on. */
  get row(): KnownRow {
    return { path: Buffer.from(this.path, 'latin1'), columns: this.columns };
  }

  get kind(): KnownStat['kind'] {
    const kind = kinds[this.#view.getUint8(this.#from)];
    if (kind === undefined) throw damaged('unknown kind');
    return kind;
  }

  get mtimeNs(): bigint {
    return this.#view.getBigInt64(this.#from + MTIME);
  }

  get ctimeNs(): bigint {
    return this.#view.getBigInt64(this.#from + CTIME);
  }

  get ino(): bigint {
    return this.#view.getBigUint64(this.#from + INODE);
  }

  get mode(): number {
    return this.#view.getUint32(this.#from + MODE);
  }

  get contentTag(): Uint8Array {
    return this.#reader.part(this.#from + TAG, this.#from + VARINTS);
  }

  get size(): number {
    return this.#number(0);
  }

  get capturedAtMs(): number {
    return this.#number(2);
  }

  get resultPathLength(): number {
    return this.#number(3);
  }

  /** One of the numbers behind the fixed columns, in their order. */
  #number(which: number): number {
    const reader = this.#reader;
    const end = reader.at;
    reader.at = this.#from + VARINTS;
    for (let before = 0; before < which; before += 1) reader.varint();
    const number = reader.varint();
    reader.at = end;
    return number;
  }
}

class Reader {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
      const byte = this.#bytes[this.at];
      if (byte === undefined) break;
      this.at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    throw damaged('a number');
  }

  text(length: number): string {
    this.pass(length);
    return this.#bytes.toString('latin1', this.at - length, this.at);
  }

  /** Some of the bytes, not copied. */
  part(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(from, to);
  }

  /** Goes past so many bytes. */
  pass(length: number): void {
    if (length > this.#bytes.length - this.at) throw damaged('it ends too early');
    this.at += length;
  }
}

function damaged(why: string): QueueError {
  return new QueueError('QUEUE_DAMAGED', `index of known files: ${why}; run aliquot-agent fsck`);
}

function sharedBytes(one: Uint8Array, other: Uint8Array): number {
  const most = Math.min(one.length, other.length);
  let at = 0;
  while (at < most && one[at] === other[at]) at += 1;
  return at;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

function writeVarint(into: Uint8Array, at: number, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new QueueError('QUEUE_REFUSED', `not a counter: ${value}`);
  let next = at;
  let rest = value;
  while (rest >= 128) {
    into[next++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  into[next++] = rest;
  return next;
}
