import type { ChunkId, VaultId } from '@aliquot/proto';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Random } from '@aliquot/shared/ports';
import type { NewRecord, Position } from '@aliquot/shared/records/format';
import { RecordReader } from '@aliquot/shared/records/reader';
import { RecordLog } from '@aliquot/shared/records/record-log';
import { Serial } from '@aliquot/shared/serial';
import { StoreError } from '../errors.ts';
import { writing } from '../record-fault.ts';
import {
  encodeEnd,
  type IndexRow,
  isItem,
  MAX_PACK_ITEMS,
  PACK_BYTES,
  PackIndex,
  type PackKind,
  packFormat,
} from './pack-format.ts';
import { PackReading } from './pack-reading.ts';
import { endOfPack, type OpenIndex, piecesAt } from './pack-rows.ts';
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
import { indexedPieces, piecesIn, rottenPieces } from './slab-pieces.ts';

export interface DiskPackPorts {
  readonly files: FilePort;
  readonly random: Random;
  /** A pack is closed before it grows past this; tests make it small. */
  readonly packBytes?: number | undefined;
}

/** The pack that takes what is put. */
interface GrowingPack extends OpenIndex {
  readonly number: number;
  /** Where its index stands that is durable already, and lacks the pack's end behind it. */
  readonly indexAt?: number | undefined;
}

/** Packs held open for reading. */
const HANDLES = 16;

/**
 * Packs as files of records in a folder, `00000001.pack` and on: FORMAT.md, "Pack". The newest one
 * grows until it is full, and then gets its index; nothing in a pack is ever changed in place.
 */
export class DiskPacks implements PackStore {
  readonly capabilities = { grows: true, heldBytes: 0 };
  readonly #reader: RecordReader<PackKind>;
  /** `undefined` where the packs are only looked at. */
  readonly #log: RecordLog<PackKind> | undefined;
  readonly #reading: PackReading;
  readonly #queue = new Serial();
  #growing: GrowingPack | undefined;
  #isClosed = false;

  private constructor(reader: RecordReader<PackKind>, log: RecordLog<PackKind> | undefined) {
    this.#reader = reader;
    this.#log = log;
    this.#reading = new PackReading(reader);
  }

  /**
   * Throws `STORE_CORRUPT` when the newest pack is not this vault's, or of another release, and
   * `STORE_FAILED` when the disk cannot be written to.
   */
  static async open(
    dir: string,
    vaultId: VaultId,
    { files, random, packBytes = PACK_BYTES }: DiskPackPorts,
    { durable = [], discard = false }: PackOpening = {},
  ): Promise<DiskPacks> {
    let packs: DiskPacks | undefined;
    const log = await RecordLog.open({
      ...{ port: files, dir, format: packFormat, owner: vaultId, handles: HANDLES },
      ...{ random, targetBytes: packBytes },
      usedNumbers: durable.reduce((most, { pack }) => Math.max(most, pack), 0),
      closing: (file) => (packs === undefined ? [] : packs.#closing(file)),
    });
    packs = new DiskPacks(log, log);
    try {
      await packs.#resume(log, durable, discard);
      return packs;
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  /**
   * The packs as they lie, for fsck: nothing is cut, made or synced, and putting is a mistake. A
   * collector may be writing at the same time.
   */
  static async inspect(
    dir: string,
    vaultId: VaultId,
    { files }: Pick<DiskPackPorts, 'files'>,
  ): Promise<DiskPacks> {
    const folder = { port: files, dir, format: packFormat, owner: vaultId, handles: HANDLES };
    return new DiskPacks(await RecordReader.open(folder), undefined);
  }

  get bytes(): number {
    if (this.#log !== undefined) return this.#log.bytesFrom(0);
    return this.#reader.files().reduce((sum, { size }) => sum + size, 0);
  }

  get unsyncedBytes(): number {
    return this.#log === undefined ? 0 : this.#log.end().offset - this.#log.synced.offset;
  }

  put(items: readonly PackItem[]): Promise<readonly Place[]> {
    return this.#inTurn(async (log) => {
      if (items.length === 0) return [];
      const growing = this.#growing;
      if (growing !== undefined && growing.index.count + items.length > MAX_PACK_ITEMS)
        await log.rotate();
      const records = items.map(({ id, kind, bytes }) => ({ kind, payload: bytes, digest: id }));
      const positions = await log.appendAll(records);
      return items.map(({ id, kind, bytes }, at): Place => {
        const { file, offset } = positions[at] ?? { file: 0, offset: 0 };
        const place = { pack: file, offset, length: bytes.length };
        const pieces = indexedPieces(piecesIn(kind, bytes));
        this.#growingPack(file).index.add({ kind, offset, length: bytes.length, id, ...pieces });
        return place;
      });
    });
  }

  sync(): Promise<void> {
    return this.#inTurn((log) => log.sync());
  }

  async read(id: ChunkId, place: Place) {
    this.#checkOpen();
    return this.#reading.read(id, place);
  }

  async salvage(id: ChunkId, place: Place): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    return this.#reading.salvage(id, place);
  }

  readRuns(items: readonly PlacedItem[]): AsyncGenerator<PackRun, void, void> {
    this.#checkOpen();
    return this.#reading.readRuns(items, ({ id, place }) => this.read(id, place));
  }

  packs(): readonly PackExtent[] {
    const synced = this.#log?.synced;
    return this.#reader.files().map(({ number, size }) => ({
      ...{ pack: number, bytes: size, syncedBytes: number === synced?.file ? synced.offset : size },
      closed: number !== this.#growing?.number,
    }));
  }

  async *rows(pack: number, from = 0): AsyncGenerator<readonly PackRow[]> {
    this.#checkOpen();
    const open = this.#growing?.number === pack ? this.#growing : undefined;
    yield* this.#reading.rows(pack, from, open);
  }

  async look(pack: number): Promise<void> {
    this.#checkOpen();
    await this.#reader.codecOf(pack);
  }

  closeNewest(): Promise<void> {
    return this.#inTurn(async (log) => {
      if (this.#growing === undefined || this.#growing.index.count === 0) return;
      await log.rotate();
      this.#growing = undefined;
    });
  }

  remove(pack: number): Promise<void> {
    return this.#inTurn(async (log) => {
      if (log.sizeOf(pack) === undefined) return;
      if (pack === log.lastNumber) {
        // The next one is there before the highest number goes: so it is never given again. It is
        // closed first, for a failure may keep it.
        await log.rotate();
        await log.begin();
        this.#growingPack(log.activeNumber);
      }
      await log.drop(pack);
    });
  }

  close(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      await this.#reader.close();
    });
  }

  /** Goes on with the newest pack, unless it is closed, or broken where it was durable. */
  async #resume(
    log: RecordLog<PackKind>,
    durable: NonNullable<PackOpening['durable']>,
    discard: boolean,
  ): Promise<void> {
    const number = log.lastNumber;
    if (number === undefined || log.activeNumber !== number) {
      // A newer number was given and its pack is gone: what is here was closed before that. Nobody
      // may know of it any more at the next opening, so the pack that comes next begins now.
      if (durable.length > 0) {
        await writing(log, () => log.begin());
        this.#growingPack(log.activeNumber);
      }
      return;
    }
    const extent = durable.find(({ pack }) => pack === number);
    const known = { file: number, offset: extent?.syncedBytes ?? 0 };
    await writing(log, async () => {
      if (discard && known.offset < (log.sizeOf(number) ?? 0)) await log.cut(known);
      if ((await endOfPack(log, number)) !== undefined) {
        if (known.offset < (log.sizeOf(number) ?? 0)) await log.syncNewest(known);
        await log.rotate();
        return;
      }
      const growing = await examine(log, known);
      this.#growing = growing;
      if (growing === undefined || growing.indexAt !== undefined) await log.rotate();
    });
  }

  #growingPack(number: number): GrowingPack {
    if (this.#growing?.number !== number)
      this.#growing = { number, index: new PackIndex(), unsound: new Set() };
    return this.#growing;
  }

  /** What ends a full pack: nothing where it was not this store that filled it. */
  #closing(file: number): readonly NewRecord<PackKind>[] {
    const growing = this.#growing?.number === file ? this.#growing : undefined;
    if (growing === undefined || growing.index.count === 0) return [];
    const { index, indexAt } = growing;
    const indexOffset = indexAt ?? this.#reader.sizeOf(file) ?? 0;
    const end = {
      kind: 'end' as const,
      payload: encodeEnd({ indexOffset, items: index.count }),
    };
    return indexAt === undefined ? [{ kind: 'index', payload: index.payload() }, end] : [end];
  }

  #inTurn<T>(run: (log: RecordLog<PackKind>) => Promise<T>): Promise<T> {
    return this.#queue.run(async () => {
      this.#checkOpen();
      const log = this.#log;
      if (log === undefined) throw new TypeError('inspected packs are not written to');
      return writing(log, () => run(log));
    });
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreError('STORE_CLOSED', 'these packs are closed');
  }
}

/**
 * The newest pack with its torn tail cut and the rest durable; `undefined` when something broken
 * stands in it that was durable: then nothing more is put there.
 */
async function examine(
  log: RecordLog<PackKind>,
  known: Position,
): Promise<GrowingPack | undefined> {
  const found: Omit<IndexRow, 'pieces' | 'hasHoles'>[] = [];
  const unsound = new Set<number>();
  let isBroken = false;
  let indexAt: number | undefined;
  let isBehind = false;
  await log.resume(
    ({ type, header, offset }) => {
      isBehind = indexAt !== undefined;
      if (header === undefined) isBroken = true;
      else if (isItem(header.kind)) {
        const { kind, length, digest: id } = header;
        found.push({ kind, offset, length, id });
        if (type === 'damage') unsound.add(offset);
      } else indexAt ??= offset;
    },
    { known },
  );
  // An index without an end: power or disk failed while the pack was being closed. It is made
  // again, unless it was durable: then its end is.
  if (indexAt !== undefined && indexAt >= known.offset) {
    await log.cut({ file: known.file, offset: indexAt });
    indexAt = undefined;
  } else if (isBehind) isBroken = true;
  if (isBroken) return undefined;
  const index = new PackIndex();
  for (const row of found) {
    const place = { pack: known.file, offset: row.offset, length: row.length };
    const held = row.kind === 'slab' ? await piecesAt(log, place) : undefined;
    if (row.kind === 'slab' && held === undefined) unsound.add(row.offset);
    const pieces = row.kind === 'slab' ? (held ?? rottenPieces) : undefined;
    index.add({ ...row, ...indexedPieces(pieces) });
  }
  return { number: known.file, index, unsound, indexAt };
}
