import type { ChunkId, VaultId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { type Hasher, hereHasher } from '@aliquot/shared/hashing/hasher';
import type { Random } from '@aliquot/shared/ports';
import type { NewRecord, Position } from '@aliquot/shared/records/format';
import { RecordLog } from '@aliquot/shared/records/record-log';
import { Serial } from '@aliquot/shared/serial';
import { StoreError } from '../errors.ts';
import { writing } from '../record-fault.ts';
import {
  encodeEnd,
  isItem,
  MAX_PACK_ITEMS,
  PACK_BYTES,
  PACK_FORMAT,
  PackIndex,
  type PackKind,
} from './pack-format.ts';
import { endOfPack, type OpenIndex, packRows } from './pack-rows.ts';
import { readRuns } from './pack-runs.ts';
import type {
  PackExtent,
  PackItem,
  PackOpening,
  PackRow,
  PackRun,
  PackStore,
  Place,
  PlacedItem,
} from './pack-store.ts';

export interface DiskPackPorts {
  readonly files: FilePort;
  readonly random: Random;
  /** Proves what is read in runs; on the spot unless told. */
  readonly hasher?: Hasher | undefined;
  /** A pack is closed before it grows past this; tests make it small. */
  readonly packBytes?: number | undefined;
}

/** The pack that takes what is put. */
interface GrowingPack extends OpenIndex {
  readonly number: number;
}

/** Packs held open for reading. */
const HANDLES = 16;

/**
 * Packs as files of records in a folder, `00000001.pack` and on: FORMAT.md, "Pack". The newest one
 * grows until it is full, and then gets its index; nothing in a pack is ever changed in place.
 *
 * Seam: for VaultCore.
 */
export class DiskPacks implements PackStore {
  readonly capabilities = { grows: true, heldBytes: 0 };
  readonly #log: RecordLog<PackKind>;
  readonly #hasher: Hasher;
  readonly #queue = new Serial();
  #growing: GrowingPack | undefined;
  #isClosed = false;

  private constructor(log: RecordLog<PackKind>, hasher: Hasher) {
    this.#log = log;
    this.#hasher = hasher;
  }

  /**
   * Throws `STORE_CORRUPT` when the newest pack is not this vault's, or of another release, and
   * `STORE_FAILED` when the disk cannot be written to.
   */
  static async open(
    dir: string,
    vaultId: VaultId,
    { files, random, hasher = hereHasher, packBytes = PACK_BYTES }: DiskPackPorts,
    { durable = [], discard = false }: PackOpening = {},
  ): Promise<DiskPacks> {
    let packs: DiskPacks | undefined;
    const log = await RecordLog.open({
      ...{ port: files, dir, format: PACK_FORMAT, owner: vaultId, handles: HANDLES },
      ...{ random, targetBytes: packBytes },
      usedNumbers: durable.reduce((most, { pack }) => Math.max(most, pack), 0),
      closing: (file) => (packs === undefined ? [] : packs.#closing(file)),
    });
    packs = new DiskPacks(log, hasher);
    try {
      await packs.#resume(durable, discard);
      return packs;
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.#log.bytesFrom(0);
  }

  get unsyncedBytes(): number {
    const [end, synced] = [this.#log.end(), this.#log.synced];
    return end.offset - synced.offset;
  }

  put(items: readonly PackItem[]): Promise<readonly Place[]> {
    return this.#inTurn(async () => {
      if (items.length === 0) return [];
      const growing = this.#growing;
      if (growing !== undefined && growing.index.count + items.length > MAX_PACK_ITEMS)
        await this.#log.rotate();
      const records = items.map(({ id, kind, bytes }) => ({ kind, payload: bytes, digest: id }));
      const positions = await this.#log.appendAll(records);
      return items.map(({ id, kind, bytes }, at): Place => {
        const { file, offset } = positions[at] ?? { file: 0, offset: 0 };
        const place = { pack: file, offset, length: bytes.length };
        this.#growingPack(file).index.add({ kind, offset, length: bytes.length, id });
        return place;
      });
    });
  }

  sync(): Promise<void> {
    return this.#inTurn(() => this.#log.sync());
  }

  async read(id: ChunkId, place: Place) {
    this.#checkOpen();
    const damaged = (why: string, cause?: unknown) => {
      const says = `${this.#log.path(place.pack)}: the item at byte ${place.offset} ${why}`;
      return new StoreError('STORE_DAMAGED', `${says}; aliquot fsck names what it concerns`, {
        cause,
      });
    };
    if (this.#log.sizeOf(place.pack) === undefined) throw damaged('is gone with its pack');
    try {
      const at = { file: place.pack, offset: place.offset };
      const { header, payload } = await this.#log.read(at, place.length);
      if (!isItem(header.kind) || !equalBytes(header.digest, id))
        throw damaged('is another one than the catalog says');
      return { kind: header.kind, bytes: payload };
    } catch (error) {
      if (error instanceof StoreError && error.code !== 'STORE_DAMAGED')
        throw damaged(`cannot be read: ${error.message}`, error);
      if (error instanceof FileError && error.code === 'FILE_MISSING')
        throw damaged('is gone with its pack', error);
      throw error;
    }
  }

  readRuns(items: readonly PlacedItem[]): AsyncGenerator<PackRun, void, void> {
    const source = {
      readBytes: async (pack: number, offset: number, length: number) => {
        this.#checkOpen();
        try {
          // The header of the file first: one that is not ours has nothing that we may read.
          await this.#log.codecOf(pack);
          return await this.#log.readBytes(pack, offset, length);
        } catch (error) {
          const isHere = error instanceof FileError && error.code !== 'FILE_MISSING';
          if (isHere || !(error instanceof FileError || error instanceof StoreError)) throw error;
          return Buffer.alloc(0); // each item of it is told as damaged, one by one
        }
      },
      codecOf: async (pack: number) => (await this.#log.codecOf(pack)).codec,
      readAlone: async ({ id, place }: PlacedItem) => {
        try {
          return await this.read(id, place);
        } catch (error) {
          if (!(error instanceof StoreError) || error.code !== 'STORE_DAMAGED') throw error;
          return undefined;
        }
      },
    };
    return readRuns(source, this.#hasher, items);
  }

  packs(): readonly PackExtent[] {
    const { file, offset } = this.#log.synced;
    return this.#log.files().map(({ number, size }) => ({
      ...{ pack: number, bytes: size, syncedBytes: number === file ? offset : size },
      closed: number !== this.#growing?.number,
    }));
  }

  async *rows(pack: number, from = 0): AsyncGenerator<readonly PackRow[]> {
    this.#checkOpen();
    if (this.#log.sizeOf(pack) === undefined)
      throw new StoreError('STORE_DAMAGED', `${this.#log.path(pack)} is not there`);
    const growing = this.#growing?.number === pack ? this.#growing : undefined;
    yield* packRows(this.#log, pack, from, growing);
  }

  remove(pack: number): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#log.sizeOf(pack) === undefined) return;
      if (pack === this.#log.lastNumber) {
        // The next one is there before the highest number goes: so it is never given again.
        this.#growing = undefined;
        await this.#log.rotate();
        await this.#log.begin();
        this.#growingPack(this.#log.activeNumber);
      }
      await this.#log.drop(pack);
    });
  }

  close(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      await this.#log.close();
    });
  }

  /** Goes on with the newest pack, unless it is closed, or broken where it was durable. */
  async #resume(durable: NonNullable<PackOpening['durable']>, discard: boolean): Promise<void> {
    const number = this.#log.lastNumber;
    // Where a newer number was given and its pack is gone, this one was closed before that.
    if (number === undefined || this.#log.activeNumber !== number) return;
    const extent = durable.find(({ pack }) => pack === number);
    const known = { file: number, offset: extent?.syncedBytes ?? 0 };
    await writing(this.#log, async () => {
      if (discard && known.offset < (this.#log.sizeOf(number) ?? 0)) await this.#log.cut(known);
      if ((await endOfPack(this.#log, number)) !== undefined) {
        if (known.offset < (this.#log.sizeOf(number) ?? 0)) await this.#log.syncNewest(known);
        await this.#log.rotate();
        return;
      }
      const growing = await this.#examine(known);
      if (growing === undefined) await this.#log.rotate();
      else this.#growing = growing;
    });
  }
  /**
   * The newest pack with its torn tail cut and the rest durable; `undefined` when something broken
   * stands in it that was durable: then nothing more is put there.
   */
  async #examine(known: Position): Promise<GrowingPack | undefined> {
    const index = new PackIndex();
    const unsound = new Set<number>();
    let isBroken = false;
    let closingAt: number | undefined;
    await this.#log.resume(
      ({ type, header, offset }) => {
        if (header === undefined) isBroken = true;
        else if (isItem(header.kind)) {
          const { kind, length, digest: id } = header;
          index.add({ kind, offset, length, id });
          if (type === 'damage') unsound.add(offset);
        } else closingAt ??= offset;
      },
      { known },
    );
    // An index without an end: the power failed while the pack was being closed.
    if (closingAt !== undefined && closingAt >= known.offset)
      await this.#log.cut({ file: known.file, offset: closingAt });
    else if (closingAt !== undefined) isBroken = true;
    return isBroken ? undefined : { number: known.file, index, unsound };
  }

  #growingPack(number: number): GrowingPack {
    if (this.#growing?.number !== number)
      this.#growing = { number, index: new PackIndex(), unsound: new Set() };
    return this.#growing;
  }

  /** What ends a full pack: nothing where it was not this store that filled it. */
  #closing(file: number): readonly NewRecord<PackKind>[] {
    const index = this.#growing?.number === file ? this.#growing.index : undefined;
    if (index === undefined || index.count === 0) return [];
    const end = { indexOffset: this.#log.sizeOf(file) ?? 0, items: index.count };
    return [
      { kind: 'index', payload: index.payload() },
      { kind: 'end', payload: encodeEnd(end) },
    ];
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    return this.#queue.run(async () => {
      this.#checkOpen();
      return writing(this.#log, run);
    });
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreError('STORE_CLOSED', 'these packs are closed');
  }
}
