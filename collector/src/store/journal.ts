import { join } from 'node:path';
import type { VaultId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { AppendFile } from '@aliquot/shared/durable/append-file';
import { ensureDirectory } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Random } from '@aliquot/shared/ports';
import { StoreError, type UnfitRecord } from './errors.ts';
import { appending, flushing } from './journal-io.ts';
import {
  corrupt,
  indexedRecords,
  isSeamless,
  listPacks,
  type ReplayItem,
  soundEnd,
  soundRecords,
} from './journal-scan.ts';
import { type PackSource, packFileName, ReadOnlyPack } from './pack-source.ts';
import { comparePositions, type Position } from './position.ts';
import {
  decodePackHeader,
  decodeRecordHeader,
  encodeFooter,
  encodePackHeader,
  encodeRecordHeader,
  isData,
  MAX_PACK_RECORDS,
  nearHeaders,
  PACK_BYTES,
  PACK_HEADER_BYTES,
  PackIndex,
  payloadIsSound,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  type RecordKind,
} from './record.ts';
import { readFooter, readIndex } from './record-scan.ts';

export interface NewRecord {
  readonly kind: Exclude<RecordKind, 'index'>;
  /** SHA-256 of the payload. */
  readonly id: Uint8Array;
  readonly payload: Uint8Array;
}

export interface Placed {
  readonly position: Position;
  /** Just behind the record. */
  readonly end: Position;
}

export interface JournalPorts {
  readonly files: FilePort;
  readonly random: Random;
  /** A pack is closed before it grows past this; tests make it small. */
  readonly packBytes?: number;
  /** Closed packs whose index fsck has found to be wrong: they are read record by record. */
  readonly unindexed?: ReadonlySet<number>;
  /** Hears of each record that an opening passes over, because it cannot be applied. */
  readonly onUnfit?: ((record: UnfitRecord) => void) | undefined;
}

interface OpenPack {
  readonly file: AppendFile;
  readonly number: number;
  readonly salt: number;
  readonly index: PackIndex;
}

interface Reader {
  readonly pack: ReadOnlyPack;
  readonly salt: number;
  /** Reads under way: a reader in use is not closed. */
  users: number;
}

/** Closed packs held open for reading. */
const READERS = 16;
const PACK_MODE = 0o600;

/**
 * The journal: everything a vault ever stored, in the order in which it happened, in pack files of
 * about 64 MiB.
 *
 * Promises: `append` places its records next to each other, all or none of them; `sync` makes
 * durable what was appended before; opening cuts a torn tail and nothing else (I-C5). Calls must
 * not overlap (the vault's queue sees to it), except `read`, which may run at any time.
 */
export class Journal {
  readonly dir: string;
  readonly #ports: JournalPorts;
  readonly #vaultId: VaultId;
  #current: OpenPack | undefined;
  #lastNumber: number;
  /** Bytes of the closed packs, for the statistics. */
  #closedBytes = 0;
  readonly #readers = new Map<number, Reader>();
  /** Set when the journal is only inspected: where the last pack's sound records end. */
  #inspectedEnd: number | undefined;

  private constructor(dir: string, vaultId: VaultId, ports: JournalPorts) {
    this.dir = dir;
    this.#vaultId = vaultId;
    this.#ports = ports;
    this.#lastNumber = 0;
  }

  /**
   * Opens the packs, cuts a torn tail and syncs what is left, so that nothing is built on bytes
   * that only the page cache holds. Records up to `known` (the catalog's checkpoint) were durable
   * and are not read again. `discardAfter` is where a sync has failed: what stands behind it may be
   * in the page cache only, and is cut however sound it looks. Throws `STORE_CORRUPT` naming file
   * and offset when records that were durable are gone or broken.
   */
  static async open(
    dir: string,
    vaultId: VaultId,
    ports: JournalPorts,
    {
      known,
      discardAfter,
    }: { readonly known?: Position | undefined; readonly discardAfter?: Position | undefined } = {},
  ): Promise<Journal> {
    const journal = new Journal(dir, vaultId, ports);
    await ensureDirectory(ports.files, dir);
    const numbers = await listPacks(ports.files, dir);
    for (const number of numbers.slice(0, -1))
      journal.#closedBytes += (await ports.files.stat(journal.#path(number))).size;
    const last = numbers.at(-1);
    if (
      known !== undefined &&
      comparePositions(known, { pack: (last ?? 0) + 1, offset: PACK_HEADER_BYTES }) > 0
    ) {
      throw new StoreError(
        'STORE_CORRUPT',
        `${dir}: pack ${known.pack} is missing; put back the newest packs of this vault`,
      );
    }
    if (last === undefined) await journal.#begin(1);
    else await journal.#resume(last, known, offsetIn(last, discardAfter));
    return journal;
  }

  /**
   * The packs as they lie, for fsck: nothing is cut, made or synced, and appending is a mistake.
   * Ends at `end`, where fsck found the records to end, so a collector may be writing at the same
   * time.
   */
  static inspect(
    dir: string,
    vaultId: VaultId,
    ports: JournalPorts,
    end: Position | undefined,
  ): Journal {
    const journal = new Journal(dir, vaultId, ports);
    journal.#lastNumber = end?.pack ?? 0;
    journal.#inspectedEnd = end?.offset ?? PACK_HEADER_BYTES;
    return journal;
  }

  /** Where the next record will stand, or (between two packs) where the last one ended. */
  get end(): Position {
    return this.#current === undefined
      ? { pack: this.#lastNumber + 1, offset: PACK_HEADER_BYTES }
      : {
          pack: this.#current.number,
          offset: Math.max(this.#current.file.size, PACK_HEADER_BYTES),
        };
  }

  /** Everything before this is on stable storage. */
  get synced(): Position {
    return this.#current === undefined
      ? this.end
      : { pack: this.#current.number, offset: this.#current.file.syncedSize };
  }

  get packs(): number {
    return this.#lastNumber;
  }

  get bytes(): number {
    return this.#closedBytes + (this.#current?.file.size ?? 0);
  }

  /**
   * Where records with payloads of these lengths will stand, if they are what is appended next: so
   * that what follows from them is made whole before any of them is there. Begins another pack when
   * this one has no room for them.
   */
  async placeOf(lengths: readonly number[]): Promise<Placed[]> {
    const bytes = lengths.reduce((sum, length) => sum + RECORD_HEADER_BYTES + length, 0);
    const pack = await this.#packWithRoom(bytes, lengths.length);
    let offset = pack.file.size;
    return lengths.map((length) => {
      const position = { pack: pack.number, offset };
      offset += RECORD_HEADER_BYTES + length;
      return { position, end: { pack: pack.number, offset } };
    });
  }

  /** Places records next to each other in one pack; on any error none of them is there. */
  async append(records: readonly NewRecord[]): Promise<Placed[]> {
    const placed = await this.placeOf(records.map(({ payload }) => payload.length));
    const pack = this.#current;
    if (pack === undefined) throw new TypeError('a place was given in no pack');
    const headers: RecordHeader[] = [];
    const parts: Uint8Array[] = [];
    for (const { kind, id, payload } of records) {
      const header: RecordHeader = {
        kind,
        length: payload.length,
        syncedTo: pack.file.syncedSize,
        id,
      };
      headers.push(header);
      parts.push(encodeRecordHeader(header, pack.salt), payload);
    }
    await appending(pack.file, () => pack.file.append(...parts));
    for (const [at, header] of headers.entries())
      pack.index.add(header, placed[at]?.position.offset ?? 0);
    return placed;
  }

  async sync(): Promise<void> {
    const file = this.#current?.file;
    if (file !== undefined) await flushing(() => file.sync());
  }

  /**
   * One record, its payload proved against its id. Throws `STORE_DAMAGED` when it is not what was
   * stored.
   */
  async read(
    position: Position,
    length: number,
  ): Promise<{ header: RecordHeader; payload: Buffer }> {
    const { bytes, salt, path } = await this.#using(position.pack, async (source, salt) => {
      return {
        bytes: await source.read(position.offset, RECORD_HEADER_BYTES + length),
        salt,
        path: source.path,
      };
    });
    const verdict = decodeRecordHeader(bytes.subarray(0, RECORD_HEADER_BYTES), salt);
    const payload = bytes.subarray(RECORD_HEADER_BYTES);
    const fits = (header: RecordHeader): boolean =>
      header.length === length && payloadIsSound(header, payload);
    const header =
      verdict.type === 'header' ? verdict.header : [...nearHeaders(bytes, salt)].find(fits);
    if (header === undefined || !fits(header)) {
      throw new StoreError(
        'STORE_DAMAGED',
        `${path}: the record at byte ${position.offset} is damaged; aliquot fsck names what it concerns`,
      );
    }
    return { header, payload };
  }

  /**
   * Bytes as they lie, nothing proved: fewer at the end of the pack. `salt` is what its record
   * headers are checked with.
   */
  readRun(position: Position, length: number): Promise<{ bytes: Buffer; salt: number }> {
    return this.#using(position.pack, async (source, salt) => ({
      bytes: await source.read(position.offset, length),
      salt,
    }));
  }

  /**
   * All records from a position on, oldest first. Payloads come for every kind but chunks and
   * pages. Of the pack that is being written every payload is proved; of a closed one those that
   * come, and what is said of its chunks and pages is its index's word, as long as the index is
   * whole. Throws `STORE_CORRUPT` for anything broken that is not merely the data of a chunk or
   * page.
   */
  async *replay(from: Position): AsyncGenerator<ReplayItem> {
    for (let number = from.pack; number <= this.#lastNumber; number += 1) {
      const start = number === from.pack ? from.offset : PACK_HEADER_BYTES;
      const current = this.#current;
      if (current?.number === number) {
        yield* soundRecords(
          this.#sourceOf(current),
          current.salt,
          start,
          current.file.size,
          () => true,
        );
        continue;
      }
      const pack = await ReadOnlyPack.open(this.#ports.files, this.#path(number), number);
      try {
        const end = number === this.#lastNumber ? this.#inspectedEnd : undefined;
        if (end !== undefined && end <= start) continue;
        const { salt } = await this.#header(pack);
        const footer = end === undefined ? await readFooter(pack, salt) : undefined;
        const to = end ?? footer?.indexOffset;
        if (to === undefined)
          throw corrupt(pack.path, pack.size, 'this pack should be closed, but has no footer');
        const rows =
          footer === undefined || this.#ports.unindexed?.has(number) === true
            ? undefined
            : await readIndex(pack, salt);
        if (rows !== undefined && isSeamless(rows, to))
          yield* indexedRecords(pack, salt, start, rows);
        else yield* soundRecords(pack, salt, start, to, (kind) => !isData(kind));
      } finally {
        await pack.close();
      }
    }
  }

  async close(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    await current?.file.close();
    for (const { pack } of this.#readers.values()) await pack.close();
    this.#readers.clear();
  }

  #path(number: number): string {
    return join(this.dir, packFileName(number));
  }

  #sourceOf({ file, number }: Pick<OpenPack, 'file' | 'number'>): PackSource {
    return {
      path: this.#path(number),
      number,
      size: file.size,
      read: (position, length) => file.read(position, length),
    };
  }

  async #using<T>(
    number: number,
    run: (source: PackSource, salt: number) => Promise<T>,
  ): Promise<T> {
    const current = this.#current;
    if (current?.number === number) return run(this.#sourceOf(current), current.salt);
    const reader = this.#readers.get(number) ?? (await this.#openReader(number));
    this.#readers.delete(number);
    // a Map keeps insertion order: the first one is the longest unused
    this.#readers.set(number, reader);
    reader.users += 1;
    try {
      return await run(reader.pack, reader.salt);
    } finally {
      reader.users -= 1;
    }
  }

  async #openReader(number: number): Promise<Reader> {
    const pack = await ReadOnlyPack.open(this.#ports.files, this.#path(number), number);
    try {
      const { salt } = await this.#header(pack);
      const raced = this.#readers.get(number);
      if (raced === undefined) {
        const reader: Reader = { pack, salt, users: 0 };
        this.#readers.set(number, reader);
        await this.#dropIdleReaders();
        return reader;
      }
      await pack.close();
      return raced;
    } catch (error) {
      await pack.close();
      throw error;
    }
  }

  async #dropIdleReaders(): Promise<void> {
    for (const [number, reader] of this.#readers) {
      if (this.#readers.size <= READERS) return;
      if (reader.users > 0) continue;
      this.#readers.delete(number);
      await reader.pack.close();
    }
  }

  async #header(source: PackSource): Promise<{ salt: number }> {
    const expected = { path: source.path, number: source.number, vaultId: this.#vaultId };
    const header = decodePackHeader(await source.read(0, PACK_HEADER_BYTES), expected);
    if (header === undefined) throw corrupt(source.path, 0, 'the pack has no sound header');
    return header;
  }

  async #packWithRoom(bytes: number, records: number): Promise<OpenPack> {
    if (this.#inspectedEnd !== undefined)
      throw new TypeError('an inspected journal is not written to');
    const pack = this.#current ?? (await this.#begin(this.#lastNumber + 1));
    const fits =
      pack.file.size + bytes <= (this.#ports.packBytes ?? PACK_BYTES) &&
      pack.index.count + records <= MAX_PACK_RECORDS;
    if (fits || pack.index.count === 0) return pack;
    await this.#finish(pack);
    return this.#begin(pack.number + 1);
  }

  /** Closes a pack: everything synced, then index and footer, synced (I-C6). */
  async #finish(pack: OpenPack): Promise<void> {
    await flushing(() => pack.file.sync());
    const payload = pack.index.payload();
    const header = encodeRecordHeader(
      {
        kind: 'index',
        length: payload.length,
        syncedTo: pack.file.syncedSize,
        id: sha256(payload),
      },
      pack.salt,
    );
    const footer = encodeFooter(
      { indexOffset: pack.file.size, records: pack.index.count },
      pack.number,
      pack.salt,
    );
    await appending(pack.file, () => pack.file.append(Buffer.concat([header, payload, footer])));
    await flushing(() => pack.file.sync());
    this.#current = undefined;
    this.#closedBytes += pack.file.size;
    await pack.file.close();
  }

  async #begin(number: number): Promise<OpenPack> {
    const file = await appending(undefined, () =>
      AppendFile.open(this.#ports.files, this.#path(number), { mode: PACK_MODE }),
    );
    try {
      // Bytes of a header that a crash or a full disk left behind; a pack with records never comes
      // here.
      if (file.size > 0) await flushing(() => file.truncateTo(0));
      const salt = Buffer.from(this.#ports.random.bytes(4)).readUInt32BE(0);
      await appending(file, () =>
        file.append(encodePackHeader({ number, vaultId: this.#vaultId, salt })),
      );
      await flushing(() => file.sync());
      const pack = { file, number, salt, index: new PackIndex() };
      this.#lastNumber = number;
      this.#current = pack;
      return pack;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Goes on with the last pack: finds its sound end, cuts what is torn behind it, syncs the rest.
   */
  async #resume(
    number: number,
    known: Position | undefined,
    discardAfter: number | undefined,
  ): Promise<void> {
    const knownOffset = offsetIn(number, known) ?? 0;
    const wasClosed = known !== undefined && known.pack > number;
    const file = await appending(undefined, () =>
      AppendFile.open(this.#ports.files, this.#path(number), { mode: PACK_MODE }),
    );
    try {
      if (discardAfter !== undefined && discardAfter < file.size)
        await flushing(() => file.truncateTo(discardAfter));
      const index = new PackIndex();
      const source = this.#sourceOf({ file, number });
      this.#lastNumber = number;
      if (file.size <= PACK_HEADER_BYTES && knownOffset <= PACK_HEADER_BYTES) {
        // Nothing but (part of) a header was ever written: begin the pack again.
        await file.close();
        await this.#begin(number);
        return;
      }
      if (knownOffset > file.size)
        throw corrupt(
          source.path,
          file.size,
          `the pack was ${knownOffset} bytes long and has lost its end`,
        );
      const { salt } = await this.#header(source);
      // A power failure may keep a footer and take the index before it: then the pack was never
      // closed, and its records were synced before both.
      const closed = wasClosed ? await readFooter(source, salt) : await readIndex(source, salt);
      if (wasClosed && closed === undefined)
        throw corrupt(source.path, file.size, 'the pack was closed and has lost its end');
      if (closed !== undefined) {
        await flushing(() => file.renew(Math.min(knownOffset, file.size)));
        this.#closedBytes += file.size;
        await file.close();
        return;
      }
      const end = await soundEnd(source, salt, knownOffset, (header, offset) =>
        index.add(header, offset),
      );
      await flushing(async () => {
        await file.truncateTo(end);
        // A process before this one may have met a failed flush: its pages look written, and only
        // writing them again makes them so (D3).
        await file.renew(Math.min(knownOffset, end));
      });
      this.#current = { file, number, salt, index };
    } catch (error) {
      await file.close().catch(() => undefined); // the first error is the one to tell
      throw error;
    }
  }
}

function offsetIn(pack: number, position: Position | undefined): number | undefined {
  return position?.pack === pack ? position.offset : undefined;
}
