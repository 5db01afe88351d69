import { readFully } from '@aliquot/shared/durable/durable';
import { withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort, OpenFile } from '@aliquot/shared/durable/file-port';
import {
  decodeFooter,
  decodeIndex,
  decodeRecordHeader,
  FOOTER_BYTES,
  type Footer,
  type HeaderVerdict,
  type IndexRow,
  nearHeaders,
  nextMagic,
  PACK_HEADER_BYTES,
  payloadIsSound,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  type RecordKind,
} from './record.ts';

/** Bytes of one pack, however it is held open: by the writer, for reading, or by fsck. */
export interface PackSource {
  readonly path: string;
  readonly number: number;
  /** Bytes of the file that may be read. */
  readonly size: number;
  /** Up to `length` bytes at `position`; fewer at the end. */
  read(position: number, length: number): Promise<Buffer>;
}

/** A pack opened only for reading; its size is what it was when opened. */
export class ReadOnlyPack implements PackSource {
  readonly path: string;
  readonly number: number;
  readonly size: number;
  readonly #file: OpenFile;

  private constructor(path: string, number: number, size: number, file: OpenFile) {
    this.path = path;
    this.number = number;
    this.size = size;
    this.#file = file;
  }

  static open(port: FilePort, path: string, number: number): Promise<ReadOnlyPack> {
    return withFileErrors('open', path, async () => {
      const file = await port.open(path, 'read');
      return new ReadOnlyPack(path, number, (await file.facts()).size, file);
    });
  }

  read(position: number, length: number): Promise<Buffer> {
    return withFileErrors('read', this.path, () => readFully(this.#file, position, length));
  }

  /** Bytes of the file by now: it may have grown since, or been cut. */
  currentSize(): Promise<number> {
    return withFileErrors('read', this.path, async () => (await this.#file.facts()).size);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

export function packFileName(number: number): string {
  return `${String(number).padStart(8, '0')}.pack`;
}

/** The pack number of a file name, or `undefined`. */
export function packNumberOf(name: string): number | undefined {
  const match = /^(\d{8})\.pack$/.exec(name);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

export type Scanned =
  | {
      readonly type: 'record';
      readonly header: RecordHeader;
      readonly offset: number;
      /** Offset just behind the record. */
      readonly end: number;
      /** Present when `wanted` asked for it. */
      readonly payload: Buffer | undefined;
      /** False when the payload was read and is not what the header says. */
      readonly sound: boolean;
      /** True when a byte of the header had rotted, and the payload proved what it was. */
      readonly mended: boolean;
    }
  /** No complete, sound record begins here. Nothing more is yielded. */
  | { readonly type: 'bad'; readonly offset: number; readonly why: 'incomplete' | 'no record' }
  /** A sound record that only a later release understands. Nothing more is yielded. */
  | { readonly type: 'unknown'; readonly offset: number; readonly why: string };

/** Small enough to skip over chunk data cheaply, large enough to take many small records in one read. */
const WINDOW_BYTES = 64 * 1024;

/** Reads a pack forwards without a system call for each small record. */
class Window {
  readonly #source: PackSource;
  #start = 0;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(source: PackSource) {
    this.#source = source;
  }

  /** Exactly `length` bytes, or fewer where the pack (or `to`) ends. The result is only good until the next call. */
  async get(position: number, length: number, to: number): Promise<Buffer> {
    const wanted = Math.max(0, Math.min(length, to - position));
    if (position < this.#start || position + wanted > this.#start + this.#bytes.length) {
      this.#bytes = await this.#source.read(position, Math.max(wanted, Math.min(WINDOW_BYTES, to - position)));
      this.#start = position;
    }
    return this.#bytes.subarray(position - this.#start, position - this.#start + wanted);
  }
}

/**
 * Yields the records from offset `from` (a record boundary) up to `to`. Payloads are read, and checked against their id,
 * only where `wanted` says so. Memory: one record.
 */
export async function* scanRecords(
  source: PackSource,
  salt: number,
  options: { from?: number; to?: number; wanted: (kind: RecordKind, offset: number) => boolean },
): AsyncGenerator<Scanned> {
  const to = Math.min(options.to ?? source.size, source.size);
  const window = new Window(source);
  let offset = options.from ?? PACK_HEADER_BYTES;
  while (offset < to) {
    const bytes = await window.get(offset, RECORD_HEADER_BYTES, to);
    const verdict = decodeRecordHeader(bytes, salt);
    const mended = verdict.type === 'bad' ? await mendedRecord(source, salt, offset, Buffer.from(bytes), to) : undefined;
    if (mended !== undefined) {
      yield mended;
      offset = mended.end;
      continue;
    }
    if (verdict.type === 'bad') {
      yield { type: 'bad', offset, why: to - offset < RECORD_HEADER_BYTES ? 'incomplete' : 'no record' };
      return;
    }
    if (verdict.type === 'unknown') {
      yield { type: 'unknown', offset, why: verdict.why };
      return;
    }
    const { header } = verdict;
    const payloadAt = offset + RECORD_HEADER_BYTES;
    const end = payloadAt + header.length;
    if (end > to) {
      yield { type: 'bad', offset, why: 'incomplete' };
      return;
    }
    let payload: Buffer | undefined;
    if (options.wanted(header.kind, offset)) payload = Buffer.from(await window.get(payloadAt, header.length, to));
    yield { type: 'record', header, offset, end, payload, sound: payload === undefined || payloadIsSound(header, payload), mended: false };
    offset = end;
  }
}

/** The record behind a header of which one byte has rotted: its payload proves which. */
async function mendedRecord(
  source: PackSource,
  salt: number,
  offset: number,
  bytes: Buffer,
  to: number,
): Promise<Extract<Scanned, { type: 'record' }> | undefined> {
  const payloadAt = offset + RECORD_HEADER_BYTES;
  for (const header of nearHeaders(bytes, salt)) {
    const end = payloadAt + header.length;
    if (end > to) continue;
    const payload = await source.read(payloadAt, header.length);
    if (payloadIsSound(header, payload)) return { type: 'record', header, offset, end, payload, sound: true, mended: true };
  }
  return undefined;
}

/** The footer, when the pack is closed. */
export async function readFooter(source: PackSource, salt: number): Promise<Footer | undefined> {
  if (source.size < PACK_HEADER_BYTES + RECORD_HEADER_BYTES + FOOTER_BYTES) return undefined;
  const footer = decodeFooter(await source.read(source.size - FOOTER_BYTES, FOOTER_BYTES), source.number, salt);
  return footer !== undefined && footer.indexOffset < source.size - FOOTER_BYTES ? footer : undefined;
}

/** The rows of a closed pack's index, or `undefined` when index or footer is not sound. */
export async function readIndex(source: PackSource, salt: number): Promise<IndexRow[] | undefined> {
  const footer = await readFooter(source, salt);
  if (footer === undefined) return undefined;
  const to = source.size - FOOTER_BYTES;
  for await (const item of scanRecords(source, salt, { from: footer.indexOffset, to, wanted: () => true })) {
    if (item.type !== 'record' || item.header.kind !== 'index' || !item.sound || item.end !== to || item.payload === undefined)
      return undefined;
    const rows = decodeIndex(item.payload);
    return rows?.length === footer.records ? rows : undefined;
  }
  return undefined;
}

/**
 * Whether everything from a bad record at `offset` to the end may be a torn tail: true unless a sound record further on
 * was written when `offset` had already been synced (I-C5). Searches byte by byte, as lengths can no longer be trusted.
 */
export async function mayBeTorn(source: PackSource, salt: number, offset: number): Promise<boolean> {
  for await (const { verdict } of headersBehind(source, salt, offset)) {
    if (verdict.type === 'unknown' || verdict.header.syncedTo > offset) return false;
  }
  return true;
}

/** Whether a whole record that is sound, payload included, stands anywhere behind `offset`. */
export async function soundRecordBehind(source: PackSource, salt: number, offset: number): Promise<boolean> {
  for await (const { at, verdict } of headersBehind(source, salt, offset)) {
    if (verdict.type === 'unknown') return true;
    if (payloadIsSound(verdict.header, await source.read(at + RECORD_HEADER_BYTES, verdict.header.length))) return true;
  }
  return false;
}

/** Every header with a sound checksum behind `offset`, wherever it stands. */
async function* headersBehind(
  source: PackSource,
  salt: number,
  offset: number,
): AsyncGenerator<{ readonly at: number; readonly verdict: Exclude<HeaderVerdict, { type: 'bad' }> }> {
  const step = 1024 * 1024;
  for (let start = offset + 1; start < source.size; start += step) {
    const bytes = await source.read(start, step + RECORD_HEADER_BYTES - 1);
    for (let at = nextMagic(bytes, 0); at >= 0 && at < step; at = nextMagic(bytes, at + 1)) {
      const verdict = decodeRecordHeader(bytes.subarray(at, at + RECORD_HEADER_BYTES), salt);
      if (verdict.type !== 'bad') yield { at: start + at, verdict };
    }
  }
}
