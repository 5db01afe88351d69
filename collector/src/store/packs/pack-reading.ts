import type { ChunkId, StoredKind } from '@aliquot/proto';
import { soundPieces } from '@aliquot/shared/content/slab-proof';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { FileError } from '@aliquot/shared/durable/errors';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { RecordReader } from '@aliquot/shared/records/reader';
import { isDamaged, StoreError } from '../errors.ts';
import { isItem, type PackKind } from './pack-format.ts';
import { type OpenIndex, packRows } from './pack-rows.ts';
import { type RunSource, readRuns } from './pack-runs.ts';
import type { PackRow, PackRun, Place, PlacedItem } from './pack-store.ts';

/** The reading half of a store whose packs are files of records: see `PackStore`. */
export class PackReading {
  readonly #reader: RecordReader<PackKind>;

  constructor(reader: RecordReader<PackKind>) {
    this.#reader = reader;
  }

  async read(id: ChunkId, place: Place): Promise<{ kind: StoredKind; bytes: Uint8Array }> {
    if (this.#reader.sizeOf(place.pack) === undefined)
      throw this.#damaged(place, 'is gone with its pack');
    try {
      const at = { file: place.pack, offset: place.offset };
      const { header, payload } = await this.#reader.read(at, place.length);
      if (!isItem(header.kind) || !equalBytes(header.digest, id))
        throw this.#damaged(place, 'is another one than the catalog says');
      return { kind: header.kind, bytes: payload };
    } catch (error) {
      if (error instanceof StoreError && error.code !== 'STORE_DAMAGED')
        throw this.#damaged(place, `cannot be read: ${error.message}`, error);
      if (error instanceof FileError && error.code === 'FILE_MISSING')
        throw this.#damaged(place, 'is gone with its pack', error);
      throw error;
    }
  }

  /** See `PackStore.salvage`. */
  async salvage(id: ChunkId, { pack, offset, length }: Place): Promise<Uint8Array | undefined> {
    const bytes = await this.#bytes(pack, offset + RECORD_HEADER_BYTES, length);
    return soundPieces(bytes, id)?.bytes;
  }

  /** `alone` reads one item by itself; throws `STORE_DAMAGED`. */
  readRuns(
    items: readonly PlacedItem[],
    alone: (item: PlacedItem) => Promise<{ kind: StoredKind; bytes: Uint8Array }>,
  ): AsyncGenerator<PackRun, void, void> {
    const source: RunSource = {
      readBytes: (pack, offset, length) => this.#bytes(pack, offset, length),
      codecOf: async (pack) => (await this.#reader.codecOf(pack)).codec,
      readAlone: async (item) => {
        try {
          return await alone(item);
        } catch (error) {
          if (!isDamaged(error)) throw error;
          return undefined;
        }
      },
    };
    return readRuns(source, items);
  }

  async *rows(
    pack: number,
    from: number,
    open: OpenIndex | undefined,
  ): AsyncGenerator<readonly PackRow[]> {
    if (this.#reader.sizeOf(pack) === undefined && open === undefined)
      throw new StoreError('STORE_DAMAGED', `${this.#reader.path(pack)} is not there`);
    yield* packRows(this.#reader, pack, from, open);
  }

  /** None where the pack is gone or not ours: each item of it is then reported as damaged. */
  async #bytes(pack: number, offset: number, length: number): Promise<Buffer> {
    try {
      // The header of the file first: one that is not ours has nothing that we may read.
      await this.#reader.codecOf(pack);
      return await this.#reader.readBytes(pack, offset, length);
    } catch (error) {
      const isGone = error instanceof FileError && error.code === 'FILE_MISSING';
      if (!isGone && !(error instanceof StoreError)) throw error;
      return Buffer.alloc(0);
    }
  }

  #damaged({ pack, offset }: Place, why: string, cause?: unknown): StoreError {
    return new StoreError(
      'STORE_DAMAGED',
      `${this.#reader.path(pack)}: the item at byte ${offset} ${why}; aliquot fsck names what it concerns`,
      { cause },
    );
  }
}
