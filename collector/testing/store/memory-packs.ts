import type { ChunkId } from '@aliquot/proto';
import { soundPieces } from '@aliquot/shared/content/slab-proof';
import { payloadMatches } from '@aliquot/shared/records/payload';
import { Serial } from '@aliquot/shared/serial';
import { StoreError } from '../../src/store/errors.ts';
import { packFormat } from '../../src/store/packs/pack-format.ts';
import {
  ITEM_ROOM_BYTES,
  type PackExtent,
  type PackItem,
  type PackOpening,
  type PackRow,
  type PackRun,
  type PackStore,
  type Place,
  type PlacedItem,
} from '../../src/store/packs/pack-store.ts';
import { piecesIn } from '../../src/store/packs/slab-pieces.ts';

interface MemoryItem extends Omit<PackItem, 'bytes'> {
  readonly offset: number;
  readonly pieces: PackRow['pieces'];
  /** With the room in front of it. */
  readonly bytes: Buffer;
}

interface MemoryPack {
  readonly number: number;
  readonly items: Map<number, MemoryItem>;
  bytes: number;
  syncedBytes: number;
  closed: boolean;
}

/**
 * What outlives a `MemoryPacks`: it is opened on the same medium again.
 */
export class PackMedium {
  readonly packs = new Map<number, MemoryPack>();
  /** The highest number that was given. */
  last = 0;

  /** Test only: a byte of an item rots. */
  rot({ pack, offset, length }: Place, byte = 0): void {
    const item = this.packs.get(pack)?.items.get(offset);
    if (item === undefined || item.bytes.length !== ITEM_ROOM_BYTES + length)
      throw new TypeError('no item lies there');
    const at = ITEM_ROOM_BYTES + byte;
    item.bytes[at] = item.bytes.readUInt8(at) ^ 1;
  }
}

const PACK_BYTES = 64 * 1024 * 1024;
const ROWS_AT_ONCE = 1024;

/**
 * Packs in memory, for worlds in one process and for tests of what stands above: a crash is opening
 * the medium again without a `sync`, which drops everything that was not synced.
 */
export class MemoryPacks implements PackStore {
  readonly capabilities = { grows: true, heldBytes: Number.POSITIVE_INFINITY };
  readonly #medium: PackMedium;
  readonly #packBytes: number;
  readonly #queue = new Serial();
  #closed = false;

  constructor(
    medium: PackMedium,
    { durable = [] }: PackOpening = {},
    { packBytes = PACK_BYTES }: { readonly packBytes?: number } = {},
  ) {
    this.#medium = medium;
    this.#packBytes = packBytes;
    for (const { pack } of durable) medium.last = Math.max(medium.last, pack);
    for (const pack of medium.packs.values()) dropUnsynced(pack);
  }

  get bytes(): number {
    return this.packs().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get unsyncedBytes(): number {
    return this.packs().reduce((sum, { bytes, syncedBytes }) => sum + bytes - syncedBytes, 0);
  }

  put(items: readonly PackItem[]): Promise<readonly Place[]> {
    return this.#queue.run(async () => {
      this.#checkOpen();
      const bytes = items.reduce((sum, item) => sum + ITEM_ROOM_BYTES + item.bytes.length, 0);
      const pack = this.#packWithRoom(bytes);
      return items.map(({ id, kind, bytes }) => {
        const place = { pack: pack.number, offset: pack.bytes, length: bytes.length };
        const held = Buffer.concat([Buffer.alloc(ITEM_ROOM_BYTES), bytes]);
        const pieces = piecesIn(kind, bytes);
        pack.items.set(place.offset, { id, kind, pieces, offset: place.offset, bytes: held });
        pack.bytes += held.length;
        return place;
      });
    });
  }

  sync(): Promise<void> {
    return this.#queue.run(async () => {
      this.#checkOpen();
      for (const pack of this.#medium.packs.values()) pack.syncedBytes = pack.bytes;
    });
  }

  async read(id: ChunkId, place: Place) {
    const { kind, bytes } = this.#item({ id, place });
    return { kind, bytes: Buffer.from(bytes.subarray(ITEM_ROOM_BYTES)) };
  }

  async salvage(id: ChunkId, { pack, offset }: Place): Promise<Uint8Array | undefined> {
    const item = this.#medium.packs.get(pack)?.items.get(offset);
    return item && soundPieces(item.bytes.subarray(ITEM_ROOM_BYTES), id)?.bytes;
  }

  async *readRuns(items: readonly PlacedItem[]): AsyncGenerator<PackRun, void, void> {
    for (const item of items) yield this.#runOf(item);
  }

  packs(): readonly PackExtent[] {
    return [...this.#medium.packs.values()]
      .map(({ number, bytes, syncedBytes, closed }) => {
        return { pack: number, bytes, syncedBytes, closed };
      })
      .sort((a, b) => a.pack - b.pack);
  }

  async *rows(number: number, from = 0): AsyncGenerator<readonly PackRow[]> {
    this.#checkOpen();
    const pack = this.#medium.packs.get(number);
    if (pack === undefined) throw new StoreError('STORE_DAMAGED', `pack ${number} is not there`);
    const rows = [...pack.items.values()]
      .filter(({ offset }) => offset >= from)
      .map(({ id, kind, pieces, offset, bytes }): PackRow => {
        const place = { pack: number, offset, length: bytes.length - ITEM_ROOM_BYTES };
        return { id, kind, pieces, place, sound: true };
      });
    for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) yield rows.slice(at, at + ROWS_AT_ONCE);
  }

  async look(): Promise<void> {
    this.#checkOpen(); // nobody can put another one in its place
  }

  closeNewest(): Promise<void> {
    return this.#queue.run(async () => {
      this.#checkOpen();
      const last = this.#medium.packs.get(this.#medium.last);
      if (last === undefined || last.bytes === 0) return;
      last.closed = true;
      last.syncedBytes = last.bytes;
    });
  }

  remove(pack: number): Promise<void> {
    return this.#queue.run(async () => {
      this.#checkOpen();
      this.#medium.packs.delete(pack);
    });
  }

  async close(): Promise<void> {
    await this.#queue.run(async () => {
      this.#closed = true;
    });
  }

  #packWithRoom(bytes: number): MemoryPack {
    const last = this.#medium.packs.get(this.#medium.last);
    if (last !== undefined && !last.closed) {
      if (last.bytes === 0 || last.bytes + bytes <= this.#packBytes) return last;
      last.closed = true;
      last.syncedBytes = last.bytes;
    }
    const number = this.#medium.last + 1;
    const pack = { number, items: new Map(), bytes: 0, syncedBytes: 0, closed: false };
    this.#medium.packs.set(number, pack);
    this.#medium.last = number;
    return pack;
  }

  #item({ id, place }: PlacedItem): MemoryItem {
    this.#checkOpen();
    const item = this.#medium.packs.get(place.pack)?.items.get(place.offset);
    const bytes = item?.bytes.subarray(ITEM_ROOM_BYTES);
    const named = { length: place.length, digest: id };
    const proves = item && bytes && payloadMatches(packFormat.kinds[item.kind], named, bytes);
    if (item === undefined || proves !== true)
      throw new StoreError(
        'STORE_DAMAGED',
        `pack ${place.pack}: the item at byte ${place.offset} is damaged or gone`,
      );
    return item;
  }

  #runOf({ id, place }: PlacedItem): PackRun {
    try {
      const { kind, bytes } = this.#item({ id, place });
      const item = { id, kind, offset: ITEM_ROOM_BYTES, length: place.length };
      return { type: 'run', bytes: Buffer.from(bytes), items: [item] };
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_DAMAGED') throw error;
      return { type: 'damaged', ids: [id] };
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'these packs are closed');
  }
}

function dropUnsynced(pack: MemoryPack): void {
  for (const offset of pack.items.keys()) if (offset >= pack.syncedBytes) pack.items.delete(offset);
  pack.bytes = pack.syncedBytes;
}
