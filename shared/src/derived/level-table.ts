import { readInto } from '../durable/durable.ts';
import type { OpenFile } from '../durable/file-port.ts';
import { crc32c } from './crc32c.ts';
import { maskedCrc } from './level-log.ts';
import { unpackSnappy } from './snappy.ts';
import { Cursor, Malformed } from './varint.ts';

/*
 * LevelDB's table format (doc/table_format.md there): blocks of rows, blocks about them (a filter),
 * a list of each, and a footer that says where the lists are. Behind each block stand its type and
 * a checksum, which LevelDB does not look at unless it is asked to; its binding never asks.
 */

const FOOTER_BYTES = 48;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
const TRAILER_BYTES = 5;
const WINDOW_BYTES = 256 * 1024;
const SNAPPY = 1;
const NUMBER_BYTES = 8;

/** Where a block is; its trailer comes behind. */
interface BlockPlace {
  readonly offset: number;
  readonly size: number;
}

/** Whether every byte of a table is what LevelDB wrote, but for the padding in its footer. */
export async function isWholeTable(file: OpenFile, size: number): Promise<boolean> {
  if (size < FOOTER_BYTES) return false;
  const window = new Window(file, size);
  try {
    const { meta, list } = await footerOf(window);
    const lists = [await window.block(meta), await window.block(list)];
    const places = [meta, list, ...lists.flatMap(placesIn)].sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const place of places) {
      if (place.offset !== end) return false;
      end += place.size + TRAILER_BYTES;
      if (!window.holds(place)) await window.read(place);
      window.checked(place);
    }
    return end === size - FOOTER_BYTES;
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
}

/** A change of one row, as a table or a log has it: the later one has the higher number. */
export interface LevelChange {
  readonly key: Uint8Array;
  readonly number: number;
  /** `undefined`: the row was removed. */
  readonly value: Uint8Array | undefined;
}

/**
 * The changes in the sound blocks of a table that may be damaged. What cannot be read gives none.
 * What is given is good until the next one is asked for.
 */
export async function* changesInTable(file: OpenFile, size: number): AsyncGenerator<LevelChange> {
  if (size < FOOTER_BYTES) return;
  const window = new Window(file, size);
  let places: readonly BlockPlace[];
  try {
    const { list } = await footerOf(window);
    places = placesIn(await window.block(list));
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return;
  }
  for (const place of places) {
    let changes: readonly LevelChange[];
    try {
      changes = changesIn(await window.block(place));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      continue;
    }
    yield* changes;
  }
}

function changesIn(block: Uint8Array): LevelChange[] {
  const changes: LevelChange[] = [];
  let before: Uint8Array = new Uint8Array(0);
  for (const at = new Cursor(block, 0, rowsEnd(block)); !at.atEnd; ) {
    const shared = at.varint();
    const ownBytes = at.varint();
    const valueBytes = at.varint();
    if (shared > before.length) throw new Malformed();
    before = Buffer.concat([before.subarray(0, shared), at.take(ownBytes)]);
    changes.push(changeOf(before, at.take(valueBytes)));
  }
  return changes;
}

/** LevelDB puts a number and a kind behind each of its keys, in 8 bytes. */
function changeOf(key: Uint8Array, value: Uint8Array): LevelChange {
  const end = key.length - NUMBER_BYTES;
  if (end < 0) throw new Malformed();
  const tail = new DataView(key.buffer, key.byteOffset + end, NUMBER_BYTES).getBigUint64(0, true);
  const isRemoved = (tail & 0xffn) === 0n;
  return {
    key: key.subarray(0, end),
    number: Number(tail >> 8n),
    value: isRemoved ? undefined : value,
  };
}

async function footerOf(
  window: Window,
): Promise<{ readonly meta: BlockPlace; readonly list: BlockPlace }> {
  const footer = await window.footer();
  if (!MAGIC.equals(footer.subarray(-MAGIC.length))) throw new Malformed();
  const at = new Cursor(footer, 0, FOOTER_BYTES - MAGIC.length);
  return { meta: placeAt(at), list: placeAt(at) };
}

function placeAt(at: Cursor): BlockPlace {
  return { offset: at.varint(), size: at.varint() };
}

/** Where the rows of a block end. */
function rowsEnd(block: Uint8Array): number {
  if (block.length < 4) throw new Malformed();
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const end = block.length - 4 - 4 * view.getUint32(block.length - 4, true);
  if (end < 0) throw new Malformed();
  return end;
}

/** The places that a list of blocks names; its keys are of no interest here. */
function placesIn(list: Uint8Array): BlockPlace[] {
  const places: BlockPlace[] = [];
  for (const at = new Cursor(list, 0, rowsEnd(list)); !at.atEnd; ) {
    at.varint(); // what its key shares with the one before
    const keyBytes = at.varint();
    const valueBytes = at.varint();
    at.take(keyBytes);
    places.push(placeAt(new Cursor(at.take(valueBytes))));
  }
  return places;
}

/**
 * Reads a file in large pieces, the next one mostly behind the last, into the same memory: what it
 * gave is good until it reads again.
 */
class Window {
  readonly #file: OpenFile;
  readonly #end: number;
  #memory: Buffer;
  #from = 0;
  #held: Buffer;

  constructor(file: OpenFile, end: number) {
    this.#file = file;
    this.#end = end;
    this.#memory = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, end));
    this.#held = this.#memory.subarray(0, 0);
  }

  /** Whether a block with its trailer is in memory. */
  holds({ offset, size }: BlockPlace): boolean {
    const end = this.#from + this.#held.length;
    return offset >= this.#from && offset + size + TRAILER_BYTES <= end;
  }

  /** Brings a block with its trailer into memory, and what follows it. */
  async read({ offset, size }: BlockPlace): Promise<void> {
    const length = size + TRAILER_BYTES;
    if (length > this.#end - offset) throw new Malformed();
    const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.#end - offset);
    if (wanted > this.#memory.length) this.#memory = Buffer.allocUnsafe(wanted);
    this.#held = await readInto(this.#file, offset, this.#memory.subarray(0, wanted));
    this.#from = offset;
    if (this.#held.length < wanted) throw new Malformed();
  }

  /** The footer. */
  async footer(): Promise<Buffer> {
    // A whole window: the lists stand in front of the footer.
    const offset = Math.max(0, this.#end - WINDOW_BYTES);
    await this.read({ offset, size: this.#end - offset - TRAILER_BYTES });
    return this.#held.subarray(-FOOTER_BYTES);
  }

  /** A block in memory with its type, whose checksum is right. */
  checked({ offset, size }: BlockPlace): Buffer {
    const start = offset - this.#from;
    const end = start + size + 1;
    if (this.#held.readUInt32LE(end) !== maskedCrc(crc32c(this.#held, start, end)))
      throw new Malformed();
    return this.#held.subarray(start, end);
  }

  /** What a block holds. */
  async block(place: BlockPlace): Promise<Uint8Array> {
    if (!this.holds(place)) await this.read(place);
    const bytes = this.checked(place);
    const content = bytes.subarray(0, place.size);
    return bytes[place.size] === SNAPPY ? unpackSnappy(content) : Buffer.from(content);
  }
}
