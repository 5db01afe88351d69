import { join } from 'node:path';
import type { ChunkId, VaultId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { ensureDirectory, removeDurably, writeFully } from '@aliquot/shared/durable/durable';
import { withFileErrors } from '@aliquot/shared/durable/errors';
import { type FilePort, nodeFiles } from '@aliquot/shared/durable/file-port';
import type { Random } from '@aliquot/shared/ports';
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  RecordCodec,
} from '@aliquot/shared/records/codec';
import { identityOf, listRecordFiles } from '@aliquot/shared/records/folder';
import type { RecordFolder } from '@aliquot/shared/records/format';
import { RecordReader } from '@aliquot/shared/records/reader';
import { Serial } from '@aliquot/shared/serial';
import { StoreError } from '../../src/store/errors.ts';
import {
  encodeEnd,
  PACK_BYTES,
  PackIndex,
  type PackKind,
  packFormat,
} from '../../src/store/packs/pack-format.ts';
import { PackReading } from '../../src/store/packs/pack-reading.ts';
import { endOfPack } from '../../src/store/packs/pack-rows.ts';
import type {
  PackExtent,
  PackItem,
  PackOpening,
  PackRow,
  PackRun,
  PackStore,
  Place,
  PlacedItem,
} from '../../src/store/packs/pack-store.ts';
import { indexedPieces, piecesIn } from '../../src/store/packs/slab-pieces.ts';
import { writing } from '../../src/store/record-fault.ts';

export interface ObjectPackPorts {
  readonly files: FilePort;
  readonly random: Random;
  readonly packBytes?: number | undefined;
}

/** Refuses what an object store has not: renames, links, and writing to what is there. */
export const objectsOnly: FilePort = {
  ...nodeFiles,
  rename: () => Promise.reject(new Error('an object store renames nothing')),
  link: () => Promise.reject(new Error('an object store links nothing')),
  open: (path, mode, permissions) =>
    mode === 'update' || mode === 'updateOrCreate'
      ? Promise.reject(new Error('an object store appends to nothing'))
      : nodeFiles.open(path, mode, permissions),
};

/** A pack before it is an object. */
class HeldPack {
  readonly number: number;
  readonly index = new PackIndex();
  readonly #items = new Map<number, PackItem>();
  readonly #parts: Uint8Array[] = [];
  readonly #codec: RecordCodec<PackKind>;
  bytes = 0;

  constructor(header: Parameters<typeof encodeFileHeader>[1]) {
    this.number = header.number;
    this.#codec = new RecordCodec(packFormat, header);
    this.#add(encodeFileHeader(packFormat, header));
  }

  put({ id, kind, bytes }: PackItem): Place {
    const place = { pack: this.number, offset: this.bytes, length: bytes.length };
    // The caller's buffer is the caller's again when `put` has resolved.
    const own = Buffer.from(bytes);
    this.#record(kind, own, id);
    this.#items.set(place.offset, { id, kind, bytes: own });
    const pieces = indexedPieces(piecesIn(kind, own));
    this.index.add({ kind, offset: place.offset, length: bytes.length, id, ...pieces });
    return place;
  }

  item({ offset, length }: Place): PackItem | undefined {
    const item = this.#items.get(offset);
    return item?.bytes.length === length ? item : undefined;
  }

  rows(from: number): readonly PackRow[] {
    return [...this.#items].flatMap(([offset, { id, kind, bytes }]) => {
      const place = { pack: this.number, offset, length: bytes.length };
      const pieces = piecesIn(kind, bytes);
      return offset < from ? [] : [{ id, kind, place, pieces, sound: true }];
    });
  }

  /** The bytes of a closed pack. */
  closed(): Buffer {
    const end = { indexOffset: this.bytes, items: this.index.count };
    for (const [kind, payload] of [
      ['index', this.index.payload()],
      ['end', encodeEnd(end)],
    ] as const)
      this.#record(kind, payload, sha256(payload));
    return Buffer.concat(this.#parts);
  }

  #record(kind: PackKind, payload: Uint8Array, digest: Uint8Array): void {
    const header = Buffer.alloc(RECORD_HEADER_BYTES);
    this.#codec.encodeInto(header, 0, { kind, length: payload.length, syncedTo: 0, digest });
    this.#add(header);
    this.#add(payload);
  }

  #add(part: Uint8Array): void {
    this.#parts.push(part);
    this.bytes += part.length;
  }
}

/** Reads objects, and learns of those that are put and deleted. */
class ObjectReader extends RecordReader<PackKind> {
  static async list(folder: RecordFolder<PackKind>): Promise<ObjectReader> {
    const sizes = await listRecordFiles(folder.port, folder.dir, folder.format);
    return new ObjectReader(folder, sizes, await identityOf(folder, sizes));
  }

  added(number: number, size: number): void {
    this.sizes.set(number, size);
  }

  async deleted(number: number): Promise<void> {
    this.sizes.delete(number);
    await this.forget(number);
  }
}

const LAST_REMOVED = /^(\d{8})\.removed$/;

/**
 * A pack store over a folder that is used as an object store is: an object is put whole, read in
 * ranges, listed and deleted; nothing is ever appended to or renamed. What is put waits in memory,
 * and each `sync` makes one object of it, which is a closed pack byte for byte.
 */
export class ObjectPacks implements PackStore {
  readonly capabilities: PackStore['capabilities'];
  readonly #dir: string;
  readonly #ports: ObjectPackPorts;
  readonly #vaultId: VaultId;
  readonly #reader: ObjectReader;
  readonly #reading: PackReading;
  readonly #packBytes: number;
  readonly #queue = new Serial();
  #last: number;
  /** The number of the newest pack that was removed, as an object says. */
  #removed: number;
  #held: HeldPack | undefined;
  #isClosed = false;
  /** Nothing here is left in doubt by a failure: what could not be put waits on. */
  readonly poisoned = false;

  private constructor(
    dir: string,
    vaultId: VaultId,
    ports: ObjectPackPorts,
    reader: ObjectReader,
    { last, removed }: { readonly last: number; readonly removed: number },
  ) {
    this.#dir = dir;
    this.#ports = ports;
    this.#vaultId = vaultId;
    this.#reader = reader;
    this.#reading = new PackReading(reader);
    this.#packBytes = ports.packBytes ?? PACK_BYTES;
    this.#last = last;
    this.#removed = removed;
    this.capabilities = { grows: false, heldBytes: this.#packBytes };
  }

  static async open(
    dir: string,
    vaultId: VaultId,
    ports: ObjectPackPorts,
    { durable = [] }: PackOpening = {},
  ): Promise<ObjectPacks> {
    const { files: port } = ports;
    await ensureDirectory(port, dir);
    const reader = await ObjectReader.list({ port, dir, format: packFormat, owner: vaultId });
    let removed = 0;
    for await (const { name } of port.list(dir))
      removed = Math.max(removed, Number(LAST_REMOVED.exec(name.toString())?.[1] ?? 0));
    const given = Math.max(removed, reader.lastNumber ?? 0);
    const last = durable.reduce((most, { pack }) => Math.max(most, pack), given);
    const packs = new ObjectPacks(dir, vaultId, ports, reader, { last, removed });
    await packs.#dropHalf();
    if (last > given) await packs.#noteRemoved(last);
    return packs;
  }

  get bytes(): number {
    return this.packs().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get unsyncedBytes(): number {
    return this.#held?.bytes ?? 0;
  }

  put(items: readonly PackItem[]): Promise<readonly Place[]> {
    return this.#inTurn(async () => {
      if (items.length === 0) return [];
      const bytes = items.reduce((sum, item) => sum + RECORD_HEADER_BYTES + item.bytes.length, 0);
      if (this.#held !== undefined && this.#held.bytes + bytes > this.#packBytes)
        await this.#putObject(this.#held);
      const held = this.#held ?? this.#begin();
      return items.map((item) => held.put(item));
    });
  }

  sync(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#held !== undefined) await this.#putObject(this.#held);
    });
  }

  async read(id: ChunkId, place: Place) {
    this.#checkOpen();
    const held = this.#held?.number === place.pack ? this.#held.item(place) : undefined;
    if (held !== undefined && Buffer.compare(held.id, id) === 0)
      return { kind: held.kind, bytes: Buffer.from(held.bytes) };
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
    const closed = this.#reader.files().map(({ number, size }) => {
      return { pack: number, bytes: size, syncedBytes: size, closed: true };
    });
    if (this.#held === undefined) return closed;
    const { number, bytes } = this.#held;
    return [...closed, { pack: number, bytes, syncedBytes: 0, closed: false }];
  }

  async *rows(pack: number, from = 0): AsyncGenerator<readonly PackRow[]> {
    this.#checkOpen();
    if (this.#held?.number === pack) yield this.#held.rows(from);
    else yield* this.#reading.rows(pack, from, undefined);
  }

  async look(pack: number): Promise<void> {
    this.#checkOpen();
    if (this.#held?.number !== pack) await this.#reader.codecOf(pack);
  }

  closeNewest(): Promise<void> {
    return this.sync();
  }

  remove(pack: number): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#held?.number === pack) this.#held = undefined;
      if (this.#reader.sizeOf(pack) === undefined) return;
      if (pack === this.#reader.lastNumber) await this.#noteRemoved(pack);
      await this.#reader.deleted(pack);
      await removeDurably(this.#ports.files, this.#reader.path(pack));
    });
  }

  close(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      await this.#reader.close();
    });
  }

  #begin(): HeldPack {
    const { identity } = this.#reader;
    const salt = identity?.salt ?? Buffer.from(this.#ports.random.bytes(4)).readUInt32BE(0);
    this.#last += 1;
    this.#held = new HeldPack({ owner: this.#vaultId, salt, number: this.#last });
    return this.#held;
  }

  async #putObject(held: HeldPack): Promise<void> {
    const bytes = held.closed();
    await this.#put(this.#reader.path(held.number), bytes);
    this.#reader.added(held.number, bytes.length);
    this.#held = undefined;
  }

  /** What an object store calls PUT: on any error there is no such object. */
  async #put(path: string, bytes: Uint8Array): Promise<void> {
    const { files } = this.#ports;
    await withFileErrors('write', path, async () => {
      const file = await files.open(path, 'createNew', 0o600);
      try {
        await writeFully(file, bytes, 0);
        await file.sync();
      } catch (error) {
        await files.unlink(path);
        throw error;
      } finally {
        await file.close();
      }
      await files.syncDirectory(this.#dir);
    });
  }

  /** A folder keeps half an object where the power failed in a put; an object store would not. */
  async #dropHalf(): Promise<void> {
    const newest = this.#reader.lastNumber;
    if (newest === undefined) return;
    const size = this.#reader.sizeOf(newest) ?? 0;
    if (size > FILE_HEADER_BYTES && (await endOfPack(this.#reader, newest)) !== undefined) return;
    await this.#reader.deleted(newest);
    await removeDurably(this.#ports.files, this.#reader.path(newest));
  }

  /** Before the highest number goes, an object says that it was given. */
  async #noteRemoved(pack: number): Promise<void> {
    await this.#put(this.#removedName(pack), new Uint8Array(0));
    if (this.#removed > 0) await removeDurably(this.#ports.files, this.#removedName(this.#removed));
    this.#removed = pack;
  }

  #removedName(pack: number): string {
    return join(this.#dir, `${String(pack).padStart(8, '0')}.removed`);
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    return this.#queue.run(async () => {
      this.#checkOpen();
      return writing(this, run);
    });
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreError('STORE_CLOSED', 'these packs are closed');
  }
}
