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

/** The places that a list of blocks names; its keys are of no interest here. */
function placesIn(list: Uint8Array): BlockPlace[] {
  if (list.length < 4) throw new Malformed();
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  const end = list.length - 4 - 4 * view.getUint32(list.length - 4, true);
  if (end < 0) throw new Malformed();
  const places: BlockPlace[] = [];
  for (const at = new Cursor(list, 0, end); !at.atEnd; ) {
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
