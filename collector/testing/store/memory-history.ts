import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { StoreError } from '../../src/store/errors.ts';
import {
  compareHistory,
  type HistoryBatch,
  type HistoryFile,
  type HistoryItem,
  type HistoryLog,
  type HistoryOpening,
  type HistoryPlace,
  type HistoryPoint,
  type HistoryRecord,
  historyStart,
  type NewHistoryFile,
} from '../../src/store/history/history-log.ts';

interface KeptItem extends HistoryItem {
  readonly payload: Buffer;
  readonly digest: Uint8Array;
}

/**
 * What outlives a `MemoryHistory`: it is opened on the same medium again.
 */
export class HistoryMedium {
  readonly items: KeptItem[] = [];
  /** By file: how often it was written anew. */
  readonly generations = new Map<number, number>();
  /** The file that was ended before it was full. */
  ended = 0;
  /** How many of them are synced. */
  synced = 0;

  /** The index of the first record at a point or behind it. */
  indexOf(point: HistoryPoint): number {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const item = this.items[middle];
      if (item !== undefined && compareHistory(item.place, point) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Test only: a byte of a record rots. */
  rot(place: HistoryPlace): void {
    const payload = this.items[this.indexOf(place)]?.payload;
    if (payload === undefined || payload.length === 0) throw new TypeError('nothing can rot there');
    payload[0] = payload.readUInt8(0) ^ 1;
  }
}

/** What a file of it takes before the next one begins. */
const FILE_BYTES = 16 * 1024 * 1024;
/** Counted with each record, as on disk. */
const HEADER_BYTES = 52;

/**
 * A history in memory, for worlds in one process and for tests of what stands above: a crash is
 * opening the medium again without a `sync`.
 */
export class MemoryHistory implements HistoryLog {
  readonly capabilities = { heldBytes: Number.POSITIVE_INFINITY };
  replaced = 0;
  /** Files that were written anew and are not in force. */
  readonly #anew = new Map<string, KeptItem[]>();
  #written = 0;
  readonly #medium: HistoryMedium;
  readonly #fileBytes: number;
  #closed = false;

  /** Throws `STORE_CORRUPT` when what was durable is not there. */
  constructor(
    medium: HistoryMedium,
    { durable = historyStart }: HistoryOpening = {},
    { fileBytes = FILE_BYTES }: { readonly fileBytes?: number } = {},
  ) {
    this.#medium = medium;
    this.#fileBytes = fileBytes;
    medium.items.length = medium.synced;
    if (compareHistory(this.end, durable) < 0)
      throw new StoreError(
        'STORE_CORRUPT',
        `the history ends at ${this.end.file}:${this.end.offset} and was longer`,
      );
  }

  get end(): HistoryPoint {
    const end = this.#medium.items.at(-1)?.end ?? historyStart;
    return end.file !== this.#medium.ended || end.file === 0
      ? end
      : { file: end.file + 1, offset: 0 };
  }

  get synced(): HistoryPoint {
    return this.#medium.items[this.#medium.synced - 1]?.end ?? historyStart;
  }

  get bytes(): number {
    return this.#medium.items.reduce((sum, { payload }) => sum + HEADER_BYTES + payload.length, 0);
  }

  async placesOf(lengths: readonly number[]): Promise<HistoryBatch> {
    this.#checkOpen();
    const bytes = lengths.reduce((sum, length) => sum + HEADER_BYTES + length, 0);
    const { file, offset } = this.end;
    const fits = file > 0 && offset + bytes <= this.#fileBytes;
    let end: HistoryPoint =
      fits || (file > 0 && offset === 0) ? { file, offset } : { file: file + 1, offset: 0 };
    const places = lengths.map((length) => {
      const place = { ...end, length };
      end = { file: end.file, offset: end.offset + HEADER_BYTES + length };
      return place;
    });
    return { places, end };
  }

  async append(rows: readonly HistoryRecord[]): Promise<HistoryBatch> {
    const batch = await this.placesOf(rows.map(({ payload }) => payload.length));
    for (const [at, place] of batch.places.entries()) {
      const row = rows[at];
      if (row === undefined) continue;
      const end = { file: place.file, offset: place.offset + HEADER_BYTES + place.length };
      const payload = Buffer.from(row.payload);
      this.#medium.items.push({ kind: row.kind, payload, digest: sha256(payload), place, end });
    }
    return batch;
  }

  async mend(place: HistoryPlace, { payload }: HistoryRecord): Promise<boolean> {
    const item = this.#medium.items[this.#medium.indexOf(place)];
    if (item === undefined || !equalBytes(item.digest, sha256(payload))) return false;
    item.payload.set(payload);
    return true;
  }

  async endFile(): Promise<void> {
    this.#medium.synced = this.#medium.items.length;
    this.#medium.ended = this.#medium.items.at(-1)?.place.file ?? 0;
  }

  files(): readonly HistoryFile[] {
    const bytes = new Map<number, number>();
    for (const { place, payload } of this.#medium.items)
      bytes.set(place.file, (bytes.get(place.file) ?? 0) + HEADER_BYTES + payload.length);
    return [...bytes].map(([file, size]) => {
      return { file, generation: this.#medium.generations.get(file) ?? 0, bytes: size };
    });
  }

  async writeAnew(file: number, records: AsyncIterable<HistoryRecord>): Promise<NewHistoryFile> {
    this.#checkOpen();
    const items: KeptItem[] = [];
    let offset = 0;
    for await (const { kind, payload: bytes, digest } of records) {
      const payload = Buffer.from(bytes);
      const place = { file, offset, length: payload.length };
      offset += HEADER_BYTES + payload.length;
      const is = { kind, payload, digest: digest ?? sha256(payload), place };
      items.push({ ...is, end: { file, offset } });
    }
    const generation = (this.#medium.generations.get(file) ?? 0) + 1;
    this.#written += 1;
    const beside = String(this.#written);
    this.#anew.set(beside, items);
    return { file, generation, bytes: offset, places: items.map(({ place }) => place), beside };
  }

  async putInForce(
    { file, generation, beside }: NewHistoryFile,
    follow: () => void,
  ): Promise<void> {
    const { items } = this.#medium;
    const anew = this.#anew.get(beside) ?? [];
    const at = items.findIndex(({ place }) => place.file === file);
    const count = items.filter(({ place }) => place.file === file).length;
    items.splice(at, count, ...anew);
    this.#medium.synced += anew.length - count;
    this.#medium.generations.set(file, generation);
    this.replaced += 1;
    follow();
  }

  async removeFormer(): Promise<void> {}

  async discard({ beside }: NewHistoryFile): Promise<void> {
    this.#anew.delete(beside);
  }

  async shortFiles(): Promise<readonly HistoryPoint[]> {
    return [];
  }

  async sync(): Promise<void> {
    this.#checkOpen();
    this.#medium.synced = this.#medium.items.length;
  }

  async read(place: HistoryPlace): Promise<HistoryRecord> {
    this.#checkOpen();
    const found = this.#medium.items[this.#medium.indexOf(place)];
    const stands = found !== undefined && compareHistory(found.place, place) === 0;
    if (!stands || found.place.length !== place.length || !isSound(found))
      throw new StoreError(
        'STORE_DAMAGED',
        `no sound record stands at ${place.file}:${place.offset} of the history`,
      );
    return { kind: found.kind, payload: Buffer.from(found.payload) };
  }

  async *replay(from: HistoryPoint): AsyncGenerator<HistoryItem> {
    this.#checkOpen();
    const items = this.#medium.items.slice(this.#medium.indexOf(from));
    for (const item of items) {
      const { kind, payload, place, end } = item;
      const isBroken = !isSound(item);
      const digest = isBroken ? item.digest : undefined;
      yield { kind, payload, place, end, isBroken, digest };
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'this history is closed');
  }
}

function isSound({ payload, digest }: KeptItem): boolean {
  return equalBytes(sha256(payload), digest);
}
