import { sha256 } from '../crypto/primitives.ts';
import { AppendFile } from '../durable/append-file.ts';
import { ensureDirectory, removeDurably, rewriteDurably } from '../durable/durable.ts';
import type { Random } from '../ports.ts';
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type LogIdentity,
  OWNER_BYTES,
  RECORD_HEADER_BYTES,
  type RecordCodec,
} from './codec.ts';
import { identityOf, listGenerations } from './folder.ts';
import type { NewRecord, Position, RecordFolder } from './format.ts';
import { type LogItem, RecordReader } from './reader.ts';

export interface RecordLogOptions<K extends string> extends RecordFolder<K> {
  readonly random: Random;
  /** A new file begins when a record would take the present one above this. */
  readonly targetBytes: number;
  /**
   * Records up to this size are gathered in memory that is used again, and written together: by the
   * next one that does not fit, or by `sync`. 0, or not given: every append is written at once, and
   * one that finds no space leaves no trace.
   */
  readonly gatherBytes?: number | undefined;
  /** Records that end a full file: its index. Asked for again when they could not be written. */
  readonly closing?: ((file: number) => readonly NewRecord<K>[]) | undefined;
  /** Numbers up to this one were used, though their files may be gone. */
  readonly usedNumbers?: number | undefined;
}

interface ActiveFile<K extends string> {
  readonly number: number;
  readonly file: AppendFile;
  readonly codec: RecordCodec<K>;
}

const FILE_MODE = 0o600;

/**
 * A folder of numbered append-only files of records: the agent's queue segments and chain log, the
 * collector's history and packs. Calls that change it come one at a time; reads may run at any
 * time.
 *
 * Promises: `append` answers with the place where its record begins. What was appended is durable
 * when a `sync` called after it has returned. A file is durable as a whole before the next one is
 * made, so only the newest can have a torn tail. After a failed flush (`poisoned`) only opening
 * again can tell what the disk holds.
 *
 * To open: `open`, then either `resume`, or `syncNewest`, `scan` and `cut` for what is torn; only
 * then `append`.
 */
export class RecordLog<K extends string> extends RecordReader<K> {
  readonly #options: RecordLogOptions<K>;
  /** Sum of all sizes. */
  #bytes = 0;
  /** Bytes below the number that was last asked about: there may be hundreds of files. */
  #below: { readonly number: number; readonly bytes: number } | undefined;
  /** Records that have their place in the active file but are not written yet, in order. */
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  #active: ActiveFile<K> | undefined;
  /** The number of the next file, where the newest takes nothing more. */
  #next: number | undefined;

  private constructor(
    options: RecordLogOptions<K>,
    sizes: Map<number, number>,
    identity: LogIdentity | undefined,
    generations: Map<number, number>,
  ) {
    super(options, sizes, identity, generations);
    this.#options = options;
    for (const size of sizes.values()) this.#bytes += size;
    const used = options.usedNumbers ?? 0;
    if (used > (this.lastNumber ?? 0)) this.#next = used + 1;
  }

  /** Lists what is there; makes the folder, and writes nothing else. */
  static override async open<K extends string>(
    options: RecordLogOptions<K>,
  ): Promise<RecordLog<K>> {
    await ensureDirectory(options.port, options.dir);
    const { port, dir, format } = options;
    const { sizes, generations } = await listGenerations(port, dir, format);
    const identity = await identityOf(options, sizes, generations);
    return new RecordLog(options, sizes, identity, generations);
  }

  /** Bytes of all files from this number on. */
  bytesFrom(number: number): number {
    if (this.#below?.number !== number) {
      let bytes = 0;
      for (const [file, size] of this.sizes) if (file < number) bytes += size;
      this.#below = { number, bytes };
    }
    return this.#bytes - this.#below.bytes;
  }

  /** The number of the file that the next record goes into, unless it rotates. */
  get activeNumber(): number {
    return this.#active?.number ?? this.#next ?? this.lastNumber ?? 1;
  }

  /** Just behind the last record. */
  end(): Position {
    const file = this.activeNumber;
    return { file, offset: this.sizes.get(file) ?? 0 };
  }

  /** Everything before this is on stable storage. */
  get synced(): Position {
    const end = this.end();
    // What was to end a file, and failed half-way, is not part of it.
    return this.#active === undefined
      ? end
      : { file: end.file, offset: Math.min(this.#active.file.syncedSize, end.offset) };
  }

  /** Whether a flush failed, so that only opening again can tell what the disk holds. */
  get poisoned(): boolean {
    return this.#active?.file.poisoned === true;
  }

  /**
   * Gives one record its place. One that is gathered waits in memory, and a `sync` that cannot
   * write it may be repeated; one that is written at once and finds no space leaves no trace.
   * Throws `tooLarge`.
   */
  async append(kind: K, payload: Uint8Array, digest = sha256(payload)): Promise<Position> {
    const length = RECORD_HEADER_BYTES + payload.length;
    const gatherBytes = this.#options.gatherBytes ?? 0;
    if (this.#gatheredBytes + length > gatherBytes) await this.#writeGathered();
    const { number, file, codec } = await this.#writable(length);
    const offset = this.sizes.get(number) ?? file.size;
    const header = { kind, length: payload.length, syncedTo: file.syncedSize, digest };
    if (length > gatherBytes) {
      const bytes = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
      codec.encodeInto(bytes, 0, header);
      await file.append(bytes, payload);
    } else {
      this.#gathered ??= Buffer.allocUnsafeSlow(gatherBytes);
      codec.encodeInto(this.#gathered, this.#gatheredBytes, header);
      this.#gathered.set(payload, this.#gatheredBytes + RECORD_HEADER_BYTES);
      this.#gatheredBytes += length;
    }
    this.#resize(number, offset + length);
    return { file: number, offset };
  }

  /** Bytes of records that are worth a write of their own, and never too much for a file. */
  get togetherBytes(): number {
    return Math.min(this.#options.gatherBytes ?? 0, this.#options.targetBytes);
  }

  /**
   * Places records next to each other in one file with one write; on any error none of them is
   * there. Throws `tooLarge`.
   */
  async appendAll(records: readonly NewRecord<K>[]): Promise<Position[]> {
    const places = await this.placesOf(records.map(({ payload }) => payload.length));
    await this.#writeGathered();
    if (this.#active !== undefined) await this.#writeAll(this.#active, records);
    return places;
  }

  /**
   * Where records with payloads of these lengths will stand, if they are what `appendAll` is given
   * next: so that what follows from them is made whole before any of them is there. Begins another
   * file when this one has no room for them.
   */
  async placesOf(lengths: readonly number[]): Promise<Position[]> {
    const bytes = lengths.reduce((sum, length) => sum + RECORD_HEADER_BYTES + length, 0);
    const { number, file } = await this.#writable(bytes);
    let offset = this.sizes.get(number) ?? file.size;
    return lengths.map((length) => {
      const place = { file: number, offset };
      offset += RECORD_HEADER_BYTES + length;
      return place;
    });
  }

  async sync(): Promise<void> {
    await this.#writeGathered();
    await this.#active?.file.sync();
  }

  /**
   * Ends the newest file, durably, with what closes it, so that the next record begins another one.
   * A file that was not written to since the opening is taken for ended as it is.
   */
  async rotate(): Promise<void> {
    const active = this.#active;
    if (active !== undefined) {
      await this.#writeGathered();
      // Older files are wholly durable before a newer one exists: only the newest can have a torn
      // tail.
      await active.file.sync();
      await this.#writeClosing(active);
      await active.file.close();
      this.#active = undefined;
    }
    const newest = active?.number ?? this.lastNumber;
    if (newest !== undefined) this.#next = Math.max(this.#next ?? 0, newest + 1);
  }

  /** The same, also where it was not written to since; one without records stays. */
  async endNewest(): Promise<void> {
    if (this.end().offset <= FILE_HEADER_BYTES) return;
    await this.#openNewest(this.activeNumber);
    await this.rotate();
  }

  /**
   * Each durable before the next, so that the last of them, which says that the file is whole,
   * never outlives the ones before it. All or none: they are asked for again.
   */
  async #writeClosing(active: ActiveFile<K>): Promise<void> {
    const { size } = active.file;
    try {
      for (const record of this.#options.closing?.(active.number) ?? []) {
        await this.#writeAll(active, [record]);
        await active.file.sync();
      }
    } catch (error) {
      if (active.file.size > size && !active.file.poisoned) await active.file.truncateTo(size);
      this.#resize(active.number, size);
      throw error;
    }
  }

  /**
   * Goes on where a process before this one ended: cuts the torn tail of the newest file and makes
   * the rest durable. `visit` hears of each record of that file, and of damage, and throws where
   * nobody may go on; payloads are proved only behind `known`, before which everything was durable.
   * `discardAfter` is where a flush has failed: what follows may be in the page cache only, and is
   * cut however sound it looks. Throws `later`.
   */
  async resume(
    visit: (item: Exclude<LogItem<K>, { type: 'unknown' }>) => void,
    { known, discardAfter }: { readonly known?: Position; readonly discardAfter?: Position } = {},
  ): Promise<void> {
    const newest = this.lastNumber;
    if (newest === undefined) return;
    if (discardAfter?.file === newest && discardAfter.offset < this.end().offset)
      await this.cut(discardAfter);
    const durableTo = known?.file === newest ? known.offset : 0;
    let torn: Position | undefined;
    for await (const item of this.scanFile(newest, {
      durableTo,
      take: (_, offset) => (offset < durableTo ? 'skip' : 'prove'),
    })) {
      if (item.type === 'unknown')
        throw this.format.error(
          'later',
          `${this.path(newest)}: at byte ${item.offset}: ${item.why} is not known to this release`,
        );
      if (item.type === 'damage' && item.isTorn) torn = item;
      else visit(item);
    }
    if (torn !== undefined) await this.cut({ file: newest, offset: torn.offset });
    await this.syncNewest(known);
  }

  /**
   * Makes the newest file durable, no matter which process wrote it; up to `known` it is already.
   */
  async syncNewest(known?: Position): Promise<void> {
    const newest = this.lastNumber;
    if (newest === undefined || this.#next !== undefined) return;
    const { file } = await this.#openNewest(newest);
    await file.renew(Math.min(known?.file === newest ? known.offset : 0, file.size));
  }

  /** Cuts the newest file at a position, durably. */
  async cut({ file: number, offset }: Position): Promise<void> {
    const active = await this.#openNewest(number);
    if (offset < FILE_HEADER_BYTES && active.file.size > FILE_HEADER_BYTES) {
      await active.file.truncateTo(0);
      await active.file.append(encodeFileHeader(this.format, this.#headerOf(number)));
      await active.file.sync();
    } else if (offset >= FILE_HEADER_BYTES) await active.file.truncateTo(offset);
    await this.forget(number);
    this.#resize(number, active.file.size);
  }

  /**
   * Writes a record again where it stood, durably, and proves it. Who calls knows that it stood
   * there, from what was kept beside the log.
   */
  async rewrite({ file, offset }: Position, record: NewRecord<K>): Promise<void> {
    const { kind, payload, digest = sha256(payload) } = record;
    const { codec } = await this.codecOf(file);
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES + payload.length);
    // All that stood before it is durable by now.
    codec.encodeInto(bytes, 0, { kind, length: payload.length, syncedTo: offset, digest });
    bytes.set(payload, RECORD_HEADER_BYTES);
    await rewriteDurably(this.port, this.path(file), offset, bytes);
    this.changed(file);
    this.#resize(file, Math.max(this.sizes.get(file) ?? 0, offset + bytes.length));
    await this.read({ file, offset }, payload.length);
  }

  /** Makes the file that the next record goes into, durably, where it is not there yet. */
  async begin(): Promise<void> {
    if (await this.isUnborn(this.activeNumber)) await this.#openNewest(this.activeNumber);
  }

  override adopt(number: number, generation: number, size: number): void {
    this.#resize(number, size);
    super.adopt(number, generation, size);
  }

  /** Removes a file that is not the newest, for good. */
  async drop(number: number): Promise<void> {
    await this.forget(number);
    this.#resize(number, 0);
    this.sizes.delete(number);
    await removeDurably(this.port, this.path(number));
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#active?.file.close();
    this.#active = undefined;
  }

  #resize(number: number, size: number): void {
    if (this.#below !== undefined && number < this.#below.number) this.#below = undefined;
    this.#bytes += size - (this.sizes.get(number) ?? 0);
    this.sizes.set(number, size);
  }

  async #writeGathered(): Promise<void> {
    if (this.#gathered === undefined || this.#gatheredBytes === 0) return;
    await this.#active?.file.append(this.#gathered.subarray(0, this.#gatheredBytes));
    this.#gatheredBytes = 0;
  }

  /** Headers and payloads as one run of bytes, of which the large ones are not copied. */
  async #writeAll(
    { number, file, codec }: ActiveFile<K>,
    records: readonly NewRecord<K>[],
  ): Promise<void> {
    const headers = Buffer.allocUnsafe(records.length * RECORD_HEADER_BYTES);
    const parts: Uint8Array[] = [];
    for (const [at, { kind, payload, digest = sha256(payload) }] of records.entries()) {
      const start = at * RECORD_HEADER_BYTES;
      codec.encodeInto(headers, start, {
        ...{ kind, length: payload.length },
        ...{ syncedTo: file.syncedSize, digest },
      });
      parts.push(headers.subarray(start, start + RECORD_HEADER_BYTES), payload);
    }
    await file.append(...parts);
    this.#resize(number, file.size);
  }

  async #writable(bytes: number): Promise<ActiveFile<K>> {
    const active = this.#active ?? (await this.#openNewest(this.activeNumber));
    const size = active.file.size + this.#gatheredBytes;
    if (size <= FILE_HEADER_BYTES || size + bytes <= this.#options.targetBytes) return active;
    await this.rotate();
    return this.#openNewest(this.activeNumber);
  }

  async #openNewest(number: number): Promise<ActiveFile<K>> {
    if (this.#active?.number === number) return this.#active;
    const isNew = await this.isUnborn(number);
    const known = isNew ? undefined : (await this.codecOf(number)).codec;
    const file = await AppendFile.open(this.port, this.path(number), { mode: FILE_MODE });
    try {
      const header = this.#headerOf(number);
      if (isNew) {
        await file.truncateTo(0);
        await file.append(encodeFileHeader(this.format, header));
        // Before any record: a header that a power failure took stands alone.
        await file.sync();
      }
      this.#active = { number, file, codec: known ?? this.begun(header) };
    } catch (error) {
      await file.close();
      throw error;
    }
    if (number === this.#next) this.#next = undefined;
    this.#resize(number, file.size);
    return this.#active;
  }

  #headerOf(number: number): LogIdentity & { readonly number: number } {
    const { owner, salt, random } = this.#options;
    const identity = this.identity ?? {
      owner: owner ?? random.bytes(OWNER_BYTES),
      salt: salt ?? Buffer.from(random.bytes(4)).readUInt32BE(0),
    };
    return { ...identity, number };
  }
}
