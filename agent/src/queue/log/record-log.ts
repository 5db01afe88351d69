import { join } from 'node:path';
import { release } from '@aliquot/shared/crypto/release';
import { AppendFile } from '@aliquot/shared/durable/append-file';
import { ensureDirectory, readFully, removeDurably } from '@aliquot/shared/durable/durable';
import type { FilePort, OpenFile } from '@aliquot/shared/durable/file-port';
import { QueueError } from './errors.ts';
import { ReadWindow } from './read-window.ts';
import {
  checkFileHeader,
  digestOf,
  encodeFileHeader,
  encodeRecord,
  encodeRecordInto,
  FILE_HEADER_BYTES,
  type FileKind,
  findRecordHeader,
  parseRecordHeader,
  payloadMatches,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  type RecordKind,
} from './record.ts';

/** Where a record's header starts. */
export interface Position {
  readonly file: number;
  readonly offset: number;
}

export type Scanned =
  | {
      readonly type: 'record';
      readonly at: Position;
      readonly next: Position;
      readonly header: RecordHeader;
      readonly payload: Uint8Array;
    }
  /**
   * Bytes that are no sound record. `torn`: nothing sound follows in the newest file, as an
   * interrupted write leaves it. Else the scan goes on at `next`.
   */
  | {
      readonly type: 'damage';
      readonly at: Position;
      readonly next: Position;
      readonly torn: boolean;
    };

const SUFFIX: Readonly<Record<FileKind, string>> = { segment: '.seg', chain: '.log' };
const SEARCH_WINDOW_BYTES = 1024 * 1024;

/** Handles kept open between reads. */
const IDLE_READERS = 4;
/** What reading single records reads at once. */
const AHEAD_BYTES = 128 * 1024;
/**
 * Records of a segment are gathered for writes of this size, in memory that is used again: copying
 * is ten times as fast as a write of each.
 */
const GATHERED_BYTES = 1024 * 1024;
/** What a scan reads at once. */
const SCAN_WINDOW_BYTES = 1024 * 1024;

interface Reader {
  readonly file: Promise<OpenFile>;
  uses: number;
}

/**
 * A folder of numbered append-only record files: the queue's segments, and the chain log. Knows
 * framing, checksums and rotation, not what records mean. Calls that change it come one at a time
 * (the queue's own serial section sees to that).
 */
export class RecordLog {
  readonly kind: FileKind;
  readonly dir: string;
  readonly #port: FilePort;
  readonly #targetBytes: number;
  /** Sizes by number, ascending; the last is the one that grows. */
  readonly #sizes: Map<number, number>;
  /** Their sum. */
  #bytes: number;
  /**
   * Bytes below the number that was last asked about: every item asks, and there may be hundreds of
   * files.
   */
  #below: { readonly number: number; readonly bytes: number } | undefined;
  /**
   * Records up to this size are gathered before they are written. None in the chain log, where each
   * is synced anyhow: so one that finds no space leaves no trace.
   */
  readonly #smallBytes: number;
  /** Least recently used first. */
  readonly #readers = new Map<number, Reader>();
  #ahead: { readonly file: number; readonly window: ReadWindow } | undefined;
  /** Records that have their place in the active file but are not written yet, in order. */
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  #active: { readonly number: number; readonly file: AppendFile } | undefined;

  private constructor(
    port: FilePort,
    dir: string,
    kind: FileKind,
    targetBytes: number,
    sizes: Map<number, number>,
  ) {
    this.#port = port;
    this.dir = dir;
    this.kind = kind;
    this.#targetBytes = targetBytes;
    this.#sizes = sizes;
    this.#bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    this.#smallBytes = kind === 'segment' ? GATHERED_BYTES : 0;
  }

  /** Lists what is there; writes nothing. Files that are not of this log are left alone. */
  static async open(
    port: FilePort,
    dir: string,
    kind: FileKind,
    targetBytes: number,
  ): Promise<RecordLog> {
    await ensureDirectory(port, dir);
    const pattern = new RegExp(`^(\\d{8,15})\\${SUFFIX[kind]}$`);
    const found: [number, number][] = [];
    for await (const entry of port.list(dir)) {
      const name = entry.name.toString('latin1');
      const match = pattern.exec(name);
      if (match?.[1] !== undefined)
        found.push([Number(match[1]), Number((await port.stat(join(dir, name))).size)]);
    }
    found.sort((left, right) => left[0] - right[0]);
    return new RecordLog(port, dir, kind, targetBytes, new Map(found));
  }

  /** Numbers and sizes in bytes, oldest first. */
  files(): readonly { readonly number: number; readonly size: number }[] {
    return [...this.#sizes].map(([number, size]) => ({ number, size }));
  }

  /** The files with lower numbers, oldest first. */
  filesBelow(number: number): readonly { readonly number: number; readonly size: number }[] {
    const below: { number: number; size: number }[] = [];
    for (const [file, size] of this.#sizes) {
      if (file >= number) break;
      below.push({ number: file, size });
    }
    return below;
  }

  /** Bytes of all files from this number on. */
  bytesFrom(number: number): number {
    if (this.#below?.number !== number) {
      this.#below = {
        number,
        bytes: this.filesBelow(number).reduce((sum, { size }) => sum + size, 0),
      };
    }
    return this.#bytes - this.#below.bytes;
  }

  #resize(number: number, size: number): void {
    if (this.#below !== undefined && number < this.#below.number) this.#below = undefined;
    this.#bytes += size - (this.#sizes.get(number) ?? 0);
    this.#sizes.set(number, size);
  }

  /** The number of the file that the next record goes into, unless it rotates. */
  get activeNumber(): number {
    return this.#active?.number ?? this.lastNumber ?? 1;
  }

  get lastNumber(): number | undefined {
    let last: number | undefined;
    for (const number of this.#sizes.keys()) last = number;
    return last;
  }

  path(number: number): string {
    return join(this.dir, `${String(number).padStart(8, '0')}${SUFFIX[this.kind]}`);
  }

  /** Just behind the last record. */
  end(): Position {
    const file = this.activeNumber;
    return { file, offset: this.#sizes.get(file) ?? 0 };
  }

  /**
   * Gives one record its place; durable with the next `sync`. A record of the chain log that cannot
   * be written leaves no trace; those of a segment wait in memory, and a `sync` that cannot write
   * them may be repeated.
   */
  async append(kind: RecordKind, payload: Uint8Array, digest?: Uint8Array): Promise<Position> {
    const length = RECORD_HEADER_BYTES + payload.length;
    if (this.#gatheredBytes + length > GATHERED_BYTES) await this.#writeGathered();
    const active = await this.#writable(length);
    const offset = this.#sizes.get(active.number) ?? active.file.size;
    if (length > this.#smallBytes) {
      await active.file.append(encodeRecord(kind, payload, digest));
    } else {
      this.#gathered ??= Buffer.allocUnsafeSlow(GATHERED_BYTES);
      this.#gatheredBytes = encodeRecordInto(
        this.#gathered,
        this.#gatheredBytes,
        kind,
        payload,
        digest ?? digestOf(payload),
      );
    }
    this.#resize(active.number, offset + length);
    return { file: active.number, offset };
  }

  async sync(): Promise<void> {
    await this.#writeGathered();
    await this.#active?.file.sync();
  }

  /** Whether a flush failed, so that only opening again can tell what the disk holds. */
  get poisoned(): boolean {
    return this.#active?.file.poisoned === true;
  }

  async #writeGathered(): Promise<void> {
    if (this.#gathered === undefined || this.#gatheredBytes === 0) return;
    await this.#active?.file.append(this.#gathered.subarray(0, this.#gatheredBytes));
    this.#gatheredBytes = 0;
  }

  /** Makes what stands in the newest file durable, whoever wrote it; up to `known` it is. */
  async syncNewest(known?: Position): Promise<void> {
    const newest = this.lastNumber;
    if (newest === undefined) return;
    const { file } = await this.#openNewest(newest);
    await file.renew(Math.min(known?.file === newest ? known.offset : 0, file.size));
  }

  /** Cuts the newest file at `position`, durably. */
  async cut(position: Position): Promise<void> {
    const active = await this.#openNewest(position.file);
    await active.file.truncateTo(position.offset < FILE_HEADER_BYTES ? 0 : position.offset);
    if (active.file.size === 0)
      await active.file.append(encodeFileHeader(this.kind, active.number));
    await active.file.sync();
    this.#resize(active.number, active.file.size);
  }

  /**
   * Header and payload at a position, checked. Reads ahead, because the next one asked for is
   * mostly the next one there. Errors: `QUEUE_DAMAGED`.
   */
  async read(
    at: Position,
  ): Promise<{ readonly header: RecordHeader; readonly payload: Uint8Array }> {
    if (this.#ahead?.file !== at.file) {
      this.#ahead = {
        file: at.file,
        window: new ReadWindow(AHEAD_BYTES, (from, length) =>
          this.readBytes(at.file, from, length),
        ),
      };
    }
    const { window } = this.#ahead;
    const header = parseRecordHeader(await window.take(at.offset, RECORD_HEADER_BYTES), this.kind);
    const payload =
      header === undefined
        ? undefined
        : await window.take(at.offset + RECORD_HEADER_BYTES, header.length);
    if (header === undefined || payload === undefined || !payloadMatches(header, payload)) {
      throw new QueueError(
        'QUEUE_DAMAGED',
        `${this.path(at.file)} is damaged at byte ${at.offset}; run aliquot-agent fsck`,
      );
    }
    return { header, payload };
  }

  /** Up to `length` bytes; fewer at the end of the file, none when there is no such file. */
  async readBytes(number: number, offset: number, length: number): Promise<Uint8Array> {
    const size = this.#sizes.get(number);
    if (size === undefined) return new Uint8Array();
    const reader = await this.#acquire(number);
    try {
      return await readFully(
        await reader.file,
        offset,
        Math.max(0, Math.min(length, size - offset)),
      );
    } finally {
      reader.uses -= 1;
      await this.#release();
    }
  }

  /**
   * Every record from a position on (or all), in order, with its payload, each checked. Damage is
   * reported where it stands; a file header that is damaged throws.
   */
  async *scan(from?: Position): AsyncGenerator<Scanned, void, void> {
    for (const { number } of this.files()) {
      if (from !== undefined && number < from.file) continue;
      yield* this.scanFile(number, from !== undefined && number === from.file ? from.offset : 0);
    }
  }

  async *scanFile(number: number, offset = 0): AsyncGenerator<Scanned, void, void> {
    const newest = number === this.lastNumber;
    let at = Math.max(offset, FILE_HEADER_BYTES);
    const fileHeader = await this.readBytes(number, 0, FILE_HEADER_BYTES);
    const lostHeader =
      this.#sizes.get(number) === FILE_HEADER_BYTES && fileHeader.every((byte) => byte === 0);
    if (newest && (fileHeader.length < FILE_HEADER_BYTES || lostHeader)) {
      if (fileHeader.length > 0)
        yield {
          type: 'damage',
          at: { file: number, offset: 0 },
          next: { file: number, offset: 0 },
          torn: true,
        };
      return;
    }
    if (!(await this.#passesHeader(fileHeader, number)) && offset <= FILE_HEADER_BYTES)
      yield {
        type: 'damage',
        at: { file: number, offset: 0 },
        next: { file: number, offset: FILE_HEADER_BYTES },
        torn: false,
      };
    const window = new ReadWindow(SCAN_WINDOW_BYTES, (from, length) =>
      this.readBytes(number, from, length),
    );
    while (at < (this.#sizes.get(number) ?? 0)) {
      const header = parseRecordHeader(await window.take(at, RECORD_HEADER_BYTES), this.kind);
      const payload =
        header === undefined
          ? undefined
          : await window.take(at + RECORD_HEADER_BYTES, header.length);
      if (header !== undefined && payload !== undefined && payloadMatches(header, payload)) {
        const next = at + RECORD_HEADER_BYTES + header.length;
        yield {
          type: 'record',
          at: { file: number, offset: at },
          next: { file: number, offset: next },
          header,
          payload,
        };
        at = next;
        continue;
      }
      const resume = await this.#findHeader(number, at + 1);
      const next = resume < 0 ? (this.#sizes.get(number) ?? 0) : resume;
      yield {
        type: 'damage',
        at: { file: number, offset: at },
        next: { file: number, offset: next },
        torn: newest && resume < 0,
      };
      at = next;
    }
  }

  /**
   * Whether a file's header is whole. A segment can do without: each record says and proves what it
   * is; one of another release has none that this one knows. The chain log cannot: throws
   * `QUEUE_DAMAGED` or `QUEUE_VERSION`.
   */
  async #passesHeader(bytes: Uint8Array, number: number): Promise<boolean> {
    try {
      checkFileHeader(bytes, this.kind, number, this.path(number));
      return true;
    } catch (error) {
      if (!(error instanceof QueueError) || this.kind === 'chain') throw error;
      const first = await this.readBytes(number, FILE_HEADER_BYTES, RECORD_HEADER_BYTES);
      if (error.code === 'QUEUE_VERSION' && parseRecordHeader(first, this.kind) === undefined)
        throw error;
      return false;
    }
  }

  /**
   * Headers only, many at a time, for listing what a file holds; stops at the first unsound one.
   */
  async *headers(number: number): AsyncGenerator<readonly RecordHeader[], void, void> {
    for (let at = FILE_HEADER_BYTES; ; ) {
      const bytes = await this.readBytes(number, at, SCAN_WINDOW_BYTES);
      const headers: RecordHeader[] = [];
      let next = 0;
      while (next + RECORD_HEADER_BYTES <= bytes.length) {
        const header = parseRecordHeader(
          bytes.subarray(next, next + RECORD_HEADER_BYTES),
          this.kind,
        );
        if (header === undefined) break;
        headers.push(header);
        next += RECORD_HEADER_BYTES + header.length;
      }
      release(bytes);
      if (headers.length === 0) return;
      yield headers;
      at += next;
    }
  }

  /** Removes a file that is not the newest, for good. */
  async drop(number: number): Promise<void> {
    await this.#closeReader(number);
    this.#resize(number, 0);
    this.#sizes.delete(number);
    await removeDurably(this.#port, this.path(number));
  }

  async close(): Promise<void> {
    for (const number of [...this.#readers.keys()]) await this.#closeReader(number);
    await this.#active?.file.close();
    this.#active = undefined;
  }

  async #writable(bytes: number): Promise<{ readonly number: number; readonly file: AppendFile }> {
    let active = this.#active ?? (await this.#openNewest(this.lastNumber ?? 1));
    const size = active.file.size + this.#gatheredBytes;
    if (size > FILE_HEADER_BYTES && size + bytes > this.#targetBytes) {
      await this.#writeGathered();
      // Older files are wholly durable before a newer one exists: only the newest can have a torn
      // tail.
      await active.file.sync();
      const next = active.number + 1;
      await active.file.close();
      this.#active = undefined;
      active = await this.#openNewest(next);
    }
    return active;
  }

  async #openNewest(
    number: number,
  ): Promise<{ readonly number: number; readonly file: AppendFile }> {
    if (this.#active?.number === number) return this.#active;
    const file = await AppendFile.open(this.#port, this.path(number), { mode: 0o600 });
    try {
      if (file.size < FILE_HEADER_BYTES) {
        await file.truncateTo(0);
        await file.append(encodeFileHeader(this.kind, number));
        // Before any record: so a header that a power failure took stands alone, and a damaged one
        // before records is damage.
        await file.sync();
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#active = { number, file };
    this.#resize(number, file.size);
    return this.#active;
  }

  async #findHeader(number: number, from: number): Promise<number> {
    const size = this.#sizes.get(number) ?? 0;
    for (let at = from; at < size; at += SEARCH_WINDOW_BYTES - RECORD_HEADER_BYTES + 1) {
      const found = findRecordHeader(
        await this.readBytes(number, at, SEARCH_WINDOW_BYTES),
        0,
        this.kind,
      );
      if (found >= 0) return at + found;
    }
    return -1;
  }

  /** A handle that stays open while it is used; a few idle ones are kept. */
  async #acquire(number: number): Promise<Reader> {
    const known = this.#readers.get(number);
    const reader = known ?? { file: this.#port.open(this.path(number), 'read'), uses: 0 };
    reader.uses += 1;
    this.#readers.delete(number);
    this.#readers.set(number, reader);
    try {
      await reader.file;
    } catch (error) {
      reader.uses -= 1;
      if (this.#readers.get(number) === reader) this.#readers.delete(number);
      throw error;
    }
    return reader;
  }

  async #release(): Promise<void> {
    for (const [number, reader] of [...this.#readers]) {
      if (this.#readers.size <= IDLE_READERS) return;
      if (reader.uses === 0) await this.#closeReader(number);
    }
  }

  async #closeReader(number: number): Promise<void> {
    const reader = this.#readers.get(number);
    this.#readers.delete(number);
    if (reader !== undefined) await (await reader.file).close();
  }
}
