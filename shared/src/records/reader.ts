import { join } from 'node:path';
import { readFully } from '../durable/durable.ts';
import { withFileErrors } from '../durable/errors.ts';
import type { FilePort, OpenFile } from '../durable/file-port.ts';
import {
  FILE_HEADER_BYTES,
  type FileHeader,
  type LogIdentity,
  RECORD_HEADER_BYTES,
  RecordCodec,
} from './codec.ts';
import { identityOf, judgeFileHeader, listGenerations, recordFileName } from './folder.ts';
import type { FileFormat, Position, RecordFolder, RecordHeader, RecordSource } from './format.ts';
import { ReadWindow } from './read-window.ts';
import { type ScannedRecord, type ScanOptions, scanRecords } from './scan.ts';

/** One record with its payload, both proved. */
export interface ReadRecord<K extends string> {
  readonly header: RecordHeader<K>;
  readonly payload: Uint8Array;
}

/** A record, or bytes that are no record, with the file that holds them. */
export type LogItem<K extends string> = ScannedRecord<K> & { readonly file: number };

interface Handle {
  readonly file: Promise<OpenFile>;
  uses: number;
}

const HANDLES = 4;
/** What reading single records of unknown length reads at once. */
const AHEAD_BYTES = 128 * 1024;

/**
 * Reads a folder of numbered files of records: single ones, runs, or all in order. Knows framing
 * and checksums, not what records mean. Sizes are those at the opening; a `RecordLog` keeps them up
 * to date for what it writes itself.
 *
 * Errors: what `FileFormat.error` makes of each `RecordFault`, and `FileError`.
 */
export class RecordReader<K extends string> {
  readonly dir: string;
  readonly format: FileFormat<K>;
  protected readonly port: FilePort;
  /** Sizes by number, ascending; the last is the one that grows. */
  protected readonly sizes: Map<number, number>;
  /** Of files that were written anew: which of them is in force. */
  readonly #generations: Map<number, number>;
  #identity: LogIdentity | undefined;
  readonly #codecs = new Map<
    number,
    { readonly codec: RecordCodec<K>; readonly isSound: boolean }
  >();
  readonly #most: number;
  readonly #owner: Uint8Array | undefined;
  /** Least recently used first. */
  readonly #handles = new Map<number, Handle>();
  /** Those of files that were written anew since; closed with the next read. */
  #retired: Handle[] = [];
  #ahead: { readonly file: number; readonly window: ReadWindow } | undefined;

  protected constructor(
    { port, dir, format, owner, handles = HANDLES }: RecordFolder<K>,
    sizes: Map<number, number>,
    identity: LogIdentity | undefined,
    generations: Map<number, number> = new Map(),
  ) {
    this.#generations = generations;
    this.port = port;
    this.dir = dir;
    this.format = format;
    this.sizes = sizes;
    this.#identity = identity;
    this.#most = handles;
    this.#owner = owner;
  }

  /** Lists what is there; writes nothing. */
  static async open<K extends string>(folder: RecordFolder<K>): Promise<RecordReader<K>> {
    const { port, dir, format } = folder;
    const { sizes, generations } = await listGenerations(port, dir, format);
    const identity = await identityOf(folder, sizes, generations);
    return new RecordReader(folder, sizes, identity, generations);
  }

  /** Whose files these are, and their salt; undefined while no file says it. */
  get identity(): LogIdentity | undefined {
    return this.#identity && { owner: this.#identity.owner, salt: this.#identity.salt };
  }

  /** Numbers and sizes in bytes, oldest first. */
  files(): readonly { readonly number: number; readonly size: number }[] {
    return [...this.sizes].map(([number, size]) => ({ number, size }));
  }

  get lastNumber(): number | undefined {
    let last: number | undefined;
    for (const number of this.sizes.keys()) last = number;
    return last;
  }

  /** Bytes of a file; undefined when it is not there. */
  sizeOf(number: number): number | undefined {
    return this.sizes.get(number);
  }

  /** Bytes of a file by now: it may have grown since the opening, or been cut. */
  sizeNow(number: number): Promise<number> {
    const path = this.path(number);
    return withFileErrors('read', path, async () => Number((await this.port.stat(path)).size));
  }

  path(number: number): string {
    return this.pathOf(number, this.generationOf(number));
  }

  /** Where a generation of a file is, or would be. */
  pathOf(number: number, generation: number): string {
    return join(this.dir, recordFileName(this.format, number, generation));
  }

  /** How often the file in force was written anew. */
  generationOf(number: number): number {
    return this.#generations.get(number) ?? 0;
  }

  /**
   * From now on a file is the one of this generation, which is there. Who reads the former one goes
   * on until it is at its end.
   */
  adopt(number: number, generation: number, size: number): void {
    this.#generations.set(number, generation);
    this.sizes.set(number, size);
    this.#codecs.delete(number);
    this.changed(number);
    const handle = this.#handles.get(number);
    this.#handles.delete(number);
    if (handle?.uses === 0) this.#retired.push(handle);
  }

  /**
   * The record at a position, header and payload proved; a header of which one byte has rotted is
   * mended. With its length known it is read at once, else with what follows, because the next one
   * asked for is mostly the next one there. Throws `damaged`.
   */
  async read(at: Position, length?: number): Promise<ReadRecord<K>> {
    const { codec } = this.#codecs.get(at.file) ?? (await this.codecOf(at.file));
    const found =
      length === undefined
        ? await this.#readAhead(codec, at)
        : await this.#readWhole(codec, at, length);
    if (found !== undefined) return found;
    throw this.format.error(
      'damaged',
      `${this.path(at.file)}: the record at byte ${at.offset} is damaged`,
    );
  }

  /** The header at a position, undefined when none is sound there; its payload is not looked at. */
  async readHeader(at: Position): Promise<RecordHeader<K> | undefined> {
    const bytes = await this.readBytes(at.file, at.offset, RECORD_HEADER_BYTES);
    if (bytes.length < RECORD_HEADER_BYTES) return undefined;
    const verdict = (await this.codecOf(at.file)).codec.decode(bytes);
    return verdict.type === 'header' ? verdict.header : undefined;
  }

  /**
   * Bytes as they lie, nothing proved: fewer at the end of the file, none when there is no such
   * file. `codecOf` tells what their headers say.
   */
  async readBytes(number: number, offset: number, length: number): Promise<Buffer> {
    const size = this.sizes.get(number);
    const available = size === undefined ? 0 : Math.max(0, Math.min(length, size - offset));
    if (available === 0) return Buffer.alloc(0);
    const handle = await this.#acquire(number);
    try {
      return await withFileErrors('read', this.path(number), async () =>
        readFully(await handle.file, offset, available),
      );
    } finally {
      await this.#letGo(number, handle);
    }
  }

  /**
   * What decodes the record headers of a file, and whether its own header is sound; one that is not
   * is found out from the other files. Throws `foreign`, `later`, or `damaged` where
   * nothing tells what the header was.
   */
  async codecOf(
    number: number,
  ): Promise<{ readonly codec: RecordCodec<K>; readonly isSound: boolean }> {
    const known = this.#codecs.get(number);
    if (known !== undefined) return known;
    const bytes = await this.readBytes(number, 0, FILE_HEADER_BYTES);
    const where = { path: this.path(number), number, owner: this.#owner };
    const { header, isSound } = judgeFileHeader(bytes, this.format, where, this.#identity);
    this.#identity ??= header;
    const found = { codec: new RecordCodec(this.format, header), isSound };
    this.#codecs.set(number, found);
    return found;
  }

  /**
   * Every record from a position on (or all), file by file, and the bytes that are no record. What
   * stands before the position was durable.
   */
  async *scan(
    from?: Position,
    options: Pick<ScanOptions<K>, 'take' | 'hasher' | 'runBytes'> = {},
  ): AsyncGenerator<LogItem<K>, void, void> {
    for (const { number } of this.files()) {
      if (from !== undefined && number < from.file) continue;
      const offset = number === from?.file ? from.offset : 0;
      yield* this.scanFile(number, { ...options, from: offset, durableTo: offset });
    }
  }

  /**
   * The records of one file from an offset on, and the bytes that are no record. The newest file
   * may end in a torn tail, see `scanRecords`; a newest file that a power failure took before its
   * first record was written is one torn tail. A damaged header is damage of its own.
   */
  async *scanFile(
    number: number,
    options: ScanOptions<K> = {},
  ): AsyncGenerator<LogItem<K>, void, void> {
    const size = this.sizes.get(number) ?? 0;
    const isHeld = this.format.hasGenerations === true && size > 0;
    const held = isHeld
      ? await withFileErrors('read', this.path(number), () => this.#acquire(number))
      : undefined;
    try {
      yield* this.#scan(number, size, held, options);
    } finally {
      if (held !== undefined) await this.#letGo(number, held);
    }
  }

  async *#scan(
    number: number,
    size: number,
    held: Handle | undefined,
    options: ScanOptions<K>,
  ): AsyncGenerator<LogItem<K>, void, void> {
    const isNewest = number === this.lastNumber;
    const { from = 0, durableTo = 0 } = options;
    const damage = { type: 'damage', file: number, offset: 0, header: undefined } as const;
    if (isNewest && durableTo <= FILE_HEADER_BYTES && (await this.isUnborn(number))) {
      if (size > 0) yield { ...damage, end: size, isTorn: true };
      return;
    }
    const { codec, isSound } = await this.codecOf(number);
    if (!isSound && from <= FILE_HEADER_BYTES)
      yield { ...damage, end: FILE_HEADER_BYTES, isTorn: false };
    const tail = isNewest ? { durableTo } : { durableTo: undefined };
    for await (const item of scanRecords(this.#source(number, size, held), codec, {
      ...options,
      ...tail,
    }))
      yield { ...item, file: number };
  }

  async close(): Promise<void> {
    for (const { file } of this.#retired.splice(0)) await (await file).close();
    for (const number of [...this.#handles.keys()]) await this.#closeHandle(number);
  }

  /** Bytes of a file were written again: what was read ahead of them is not what stands there. */
  protected changed(number: number): void {
    if (this.#ahead?.file === number) this.#ahead = undefined;
  }

  /** Forgets what is known of a file that changes under its name or goes. */
  protected async forget(number: number): Promise<void> {
    this.#codecs.delete(number);
    if (this.#ahead?.file === number) this.#ahead = undefined;
    await this.#closeHandle(number);
  }

  /** What a new file begins with, so that its header need not be read back. */
  protected begun(header: FileHeader): RecordCodec<K> {
    const codec = new RecordCodec(this.format, header);
    this.#identity ??= header;
    this.#codecs.set(header.number, { codec, isSound: true });
    return codec;
  }

  /** `held`: the file as it was opened for this, whatever takes its place meanwhile. */
  #source(number: number, size: number, held: Handle | undefined): RecordSource {
    const path = this.path(number);
    const read = (position: number, length: number): Promise<Buffer> =>
      held === undefined
        ? this.readBytes(number, position, length)
        : withFileErrors('read', path, async () =>
            readFully(await held.file, position, Math.max(0, Math.min(length, size - position))),
          );
    return { path, number, size, read };
  }

  /**
   * Whether a file has not got its header yet: that is durable before any record, so one that a
   * power failure took is short, or zeros and nothing behind.
   */
  protected async isUnborn(number: number): Promise<boolean> {
    if ((this.sizes.get(number) ?? 0) > FILE_HEADER_BYTES) return false;
    const bytes = await this.readBytes(number, 0, FILE_HEADER_BYTES);
    return bytes.length < FILE_HEADER_BYTES || bytes.every((byte) => byte === 0);
  }

  async #readWhole(
    codec: RecordCodec<K>,
    at: Position,
    length: number,
  ): Promise<ReadRecord<K> | undefined> {
    const bytes = await this.readBytes(at.file, at.offset, RECORD_HEADER_BYTES + length);
    const verdict = codec.decode(bytes);
    const payload = bytes.subarray(RECORD_HEADER_BYTES);
    if (verdict.type === 'header')
      return codec.proves(verdict.header, payload)
        ? { header: verdict.header, payload }
        : undefined;
    for (const header of codec.near(bytes))
      if (codec.proves(header, payload)) return { header, payload };
    return undefined;
  }

  async #readAhead(codec: RecordCodec<K>, at: Position): Promise<ReadRecord<K> | undefined> {
    if (this.#ahead?.file !== at.file) {
      this.#ahead = {
        file: at.file,
        window: new ReadWindow(AHEAD_BYTES, (from, length) =>
          this.readBytes(at.file, from, length),
        ),
      };
    }
    const { window } = this.#ahead;
    const bytes = await window.take(at.offset, RECORD_HEADER_BYTES);
    const verdict = codec.decode(bytes);
    const payloadAt = at.offset + RECORD_HEADER_BYTES;
    if (verdict.type === 'header') {
      const { header } = verdict;
      const payload = await window.take(payloadAt, header.length);
      return codec.proves(header, payload) ? { header, payload } : undefined;
    }
    for (const header of codec.near(bytes)) {
      const payload = await window.take(payloadAt, header.length);
      if (codec.proves(header, payload)) return { header, payload };
    }
    return undefined;
  }

  /** A handle that stays open while it is used; a few idle ones are kept. */
  async #acquire(number: number): Promise<Handle> {
    const known = this.#handles.get(number);
    const handle = known ?? { file: this.port.open(this.path(number), 'read'), uses: 0 };
    handle.uses += 1;
    this.#handles.delete(number);
    this.#handles.set(number, handle);
    try {
      await handle.file;
    } catch (error) {
      handle.uses -= 1;
      if (this.#handles.get(number) === handle) this.#handles.delete(number);
      throw error;
    }
    return handle;
  }

  /** One use less of a handle; where its file was written anew meanwhile, it is closed then. */
  async #letGo(number: number, handle: Handle): Promise<void> {
    handle.uses -= 1;
    if (handle.uses === 0 && this.#handles.get(number) !== handle) this.#retired.push(handle);
    await this.#release();
  }

  async #release(): Promise<void> {
    for (const { file } of this.#retired.splice(0)) await (await file).close();
    for (const [number, handle] of [...this.#handles]) {
      if (this.#handles.size <= this.#most) return;
      if (handle.uses === 0) await this.#closeHandle(number);
    }
  }

  async #closeHandle(number: number): Promise<void> {
    const handle = this.#handles.get(number);
    this.#handles.delete(number);
    if (handle !== undefined) await (await handle.file).close();
  }
}
