import type { BlockRow } from '@aliquot/proto';
import { StoreError } from '../errors.ts';

/*
 * The rows of the catalog that say which versions a history has, in their very bytes: there is one
 * for each file, so these are most of a catalog. Numbers are big-endian, or varints of seven bits a
 * byte, the lowest first.
 */

/**
 * Which version: the leaf of its commit, or of the event that says "gone", and its slot in there.
 */
export interface VersionPlace {
  readonly leafIndex: number;
  readonly slot: number;
}

/** A place as the key of a map. */
export function placeName({ leafIndex, slot }: VersionPlace): string {
  return `${leafIndex}/${slot}`;
}

/** A version as its file's chain knows it. */
export interface KnownVersion extends VersionPlace {
  readonly timeMs: number;
  readonly kind: BlockRow['kind'];
}

/** The newest version of a file, "gone" included, or of a result. */
export interface HeadRow extends KnownVersion {
  readonly size: number;
}

/** Slots of one commit that a row says something of. */
export const GROUP_SLOTS = 256;

export function groupOf(slot: number): number {
  return Math.floor(slot / GROUP_SLOTS);
}

/** The live versions among a group of slots of one commit. */
export interface LiveRow {
  /** The receipt before the commit's, in its line: no version of it is earlier. */
  readonly afterMs: number | undefined;
  /** Bit i mod 8 of byte i / 8 is set where slot i of the group is live. */
  readonly bits: Uint8Array;
}

/** A version that was dropped, as far as those before it still need to know it. */
export interface DroppedNext extends VersionPlace {
  readonly timeMs: number;
}

/** What a version followed. */
export interface EarlierVersion extends KnownVersion {
  /** The time of the version that stands behind it now. */
  readonly followedMs: number;
  /** What took its place, where that was dropped; undefined: the version that stands behind it. */
  readonly replacedBy: DroppedNext | undefined;
}

/** Until when an earlier version was the newest of its file. */
export function untilOf({ followedMs, replacedBy }: EarlierVersion): number {
  return replacedBy?.timeMs ?? followedMs;
}

/** What the versions of a group followed, by their slot in the group. */
export interface EarlierRow {
  /** Those that followed an earlier one of their file. */
  readonly earlier: ReadonlyMap<number, EarlierVersion>;
  /**
   * The times of those before which everything was dropped: they may be later than what follows
   * from their commit.
   */
  readonly alone: ReadonlyMap<number, number>;
}

const kinds: readonly (BlockRow['kind'] | undefined)[] = [
  undefined,
  'file',
  'directory',
  'symlink',
  'gone',
  'result',
];

const TIME_BYTES = 6;
const TWO_TO_48 = 2 ** 48;
const MAX_VARINT_BYTES = 8;
const HEAD_MOST_BYTES = TIME_BYTES + 3 * MAX_VARINT_BYTES + 1;
/** Slot in the group, kind, slot, leaf, its time, the time of the one that followed. */
const EARLIER_BYTES = 1 + 1 + 2 + 3 * TIME_BYTES;
/** Beside the kind: slot, leaf and time follow of what took its place. */
const WAS_REPLACED = 0x80;
const REPLACED_BYTES = 2 + 2 * TIME_BYTES;
/** In the place of the kind: the time of the version itself follows, and nothing else. */
const STANDS_ALONE = 0;
const ALONE_BYTES = 1 + 1 + TIME_BYTES;

/** The row's bytes as latin1 text, which is how rows wait in memory: there is one for each file. */
export function headText(head: HeadRow): string {
  return scratch.toString('latin1', 0, writeHead(scratch, head));
}

export function encodeHead(head: HeadRow): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_MOST_BYTES);
  return bytes.subarray(0, writeHead(bytes, head));
}

const scratch = Buffer.allocUnsafeSlow(HEAD_MOST_BYTES);

/** Answers with its length. */
function writeHead(bytes: Buffer, { timeMs, leafIndex, slot, kind, size }: HeadRow): number {
  let at = writeTime(bytes, timeMs, 0);
  at = writeVarint(bytes, leafIndex, at);
  at = writeVarint(bytes, slot, at);
  bytes[at] = kinds.indexOf(kind);
  return writeVarint(bytes, size, at + 1);
}

/** Throws `STORE_CATALOG`. */
export function decodeHead(bytes: Uint8Array): HeadRow {
  const reader = new Reader(bytes);
  const timeMs = reader.time();
  const [leafIndex, slot] = [reader.varint(), reader.varint()];
  return { timeMs, leafIndex, slot, kind: reader.kind(), size: reader.varint() };
}

/** Undefined when nothing of it is live: then there is no row. */
export function encodeLive({ afterMs, bits }: LiveRow): Buffer | undefined {
  let length = bits.length;
  while (length > 0 && bits[length - 1] === 0) length -= 1;
  if (length === 0) return undefined;
  const bytes = Buffer.allocUnsafe(TIME_BYTES + length);
  writeTime(bytes, afterMs === undefined ? 0 : afterMs + 1, 0);
  bytes.set(bits.subarray(0, length), TIME_BYTES);
  return bytes;
}

/** Throws `STORE_CATALOG`. The bits are a copy with room for all of the group. */
export function decodeLive(bytes: Uint8Array): LiveRow & { readonly bits: Uint8Array } {
  const reader = new Reader(bytes);
  const time = reader.time();
  const bits = new Uint8Array(GROUP_SLOTS / 8);
  bits.set(bytes.subarray(TIME_BYTES, TIME_BYTES + bits.length));
  return { afterMs: time === 0 ? undefined : time - 1, bits };
}

/** Undefined when none of the group followed another: then there is no row. */
export function encodeEarlier({ earlier, alone }: EarlierRow): Buffer | undefined {
  let length = earlier.size * EARLIER_BYTES + alone.size * ALONE_BYTES;
  for (const { replacedBy } of earlier.values())
    if (replacedBy !== undefined) length += REPLACED_BYTES;
  if (length === 0) return undefined;
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const inGroup of [...earlier.keys(), ...alone.keys()].sort((a, b) => a - b)) {
    bytes[at] = inGroup;
    const version = earlier.get(inGroup);
    if (version === undefined) {
      bytes[at + 1] = STANDS_ALONE;
      at = writeTime(bytes, alone.get(inGroup) ?? 0, at + 2);
    } else at = writeEarlier(bytes, version, at + 1);
  }
  return bytes;
}

function writeEarlier(bytes: Buffer, version: EarlierVersion, from: number): number {
  const { kind, slot, leafIndex, timeMs, followedMs, replacedBy } = version;
  bytes[from] = kinds.indexOf(kind) | (replacedBy === undefined ? 0 : WAS_REPLACED);
  bytes.writeUInt16BE(slot, from + 1);
  let at = writeTime(bytes, leafIndex, from + 3);
  at = writeTime(bytes, timeMs, at);
  at = writeTime(bytes, followedMs, at);
  if (replacedBy === undefined) return at;
  bytes.writeUInt16BE(replacedBy.slot, at);
  at = writeTime(bytes, replacedBy.leafIndex, at + 2);
  return writeTime(bytes, replacedBy.timeMs, at);
}

/** The versions that others followed, by the slots of those. Throws `STORE_CATALOG`. */
export function decodeEarlier(bytes: Uint8Array): ReadonlyMap<number, EarlierVersion> {
  return decodeEarlierRow(bytes).earlier;
}

/** Throws `STORE_CATALOG`. */
export function decodeEarlierRow(bytes: Uint8Array): {
  readonly earlier: Map<number, EarlierVersion>;
  readonly alone: Map<number, number>;
} {
  const reader = new Reader(bytes);
  const earlier = new Map<number, EarlierVersion>();
  const alone = new Map<number, number>();
  while (!reader.isAtEnd) {
    const inGroup = reader.u8();
    const head = reader.u8();
    if (head === STANDS_ALONE) alone.set(inGroup, reader.time());
    else earlier.set(inGroup, readEarlier(reader, head));
  }
  return { earlier, alone };
}

function readEarlier(reader: Reader, head: number): EarlierVersion {
  const [kind, slot] = [kindOf(head & ~WAS_REPLACED), reader.u16()];
  const [leafIndex, timeMs, followedMs] = [reader.time(), reader.time(), reader.time()];
  const known = { kind, slot, leafIndex, timeMs, followedMs };
  if ((head & WAS_REPLACED) === 0) return { ...known, replacedBy: undefined };
  const replacedBy = { slot: reader.u16(), leafIndex: reader.time(), timeMs: reader.time() };
  return { ...known, replacedBy };
}

/** When the versions of a group became the newest, where their rows say so. */
export function timesIn({ earlier, alone }: EarlierRow): ReadonlyMap<number, number> {
  const times = new Map(alone);
  for (const [inGroup, { followedMs }] of earlier) times.set(inGroup, followedMs);
  return times;
}

/** Six bytes: milliseconds until the year 10889, and more leaves than any log has. */
function writeTime(bytes: Buffer, value: number, at: number): number {
  if (!(value >= 0 && value < TWO_TO_48)) throw outOfBounds(value);
  return bytes.writeUIntBE(value, at, TIME_BYTES);
}

function writeVarint(bytes: Buffer, value: number, at: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw outOfBounds(value);
  let rest = value;
  let to = at;
  for (; rest >= 128; to += 1) {
    bytes[to] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  bytes[to] = rest;
  return to + 1;
}

function outOfBounds(value: number): StoreError {
  return new StoreError('STORE_UNFIT', `the catalog cannot hold the number ${value}`);
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  time(): number {
    return this.#bytes.readUIntBE(this.#take(TIME_BYTES), TIME_BYTES);
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.u8();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      if (factor > Number.MAX_SAFE_INTEGER) throw notOurs();
    }
  }

  kind(): BlockRow['kind'] {
    return kindOf(this.u8());
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#bytes.length) throw notOurs();
    return at;
  }
}

function kindOf(number: number): BlockRow['kind'] {
  const kind = kinds[number];
  if (kind === undefined) throw notOurs();
  return kind;
}

function notOurs(): StoreError {
  return new StoreError(
    'STORE_CATALOG',
    'a catalog row is not of this release: run aliquot fsck --repair, which rebuilds the catalog',
  );
}
