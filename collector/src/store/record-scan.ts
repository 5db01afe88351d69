import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { releaseWhole } from '@aliquot/shared/crypto/release';
import {
  digestAt,
  type Hashed,
  type Hasher,
  hereHasher,
  type Span,
} from '@aliquot/shared/hashing/hasher';
import type { PackSource } from './pack-source.ts';
import {
  decodeFooter,
  decodeIndex,
  decodeRecordHeader,
  FOOTER_BYTES,
  type Footer,
  type HeaderVerdict,
  type IndexRow,
  isData,
  nearHeaders,
  nextMagic,
  PACK_HEADER_BYTES,
  payloadIsSound,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  type RecordKind,
} from './record.ts';

/**
 * Reads packs record by record, proving what it reads, and finds records where lengths can no
 * longer be trusted.
 */

export type Scanned =
  | {
      readonly type: 'record';
      readonly header: RecordHeader;
      readonly offset: number;
      /** Offset just behind the record. */
      readonly end: number;
      /** Present when `wanted` asked for it; not that of a chunk or page, which is only proved. */
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

export interface ScanOptions {
  /** Where to begin: at a record. Unless given, at the first one. */
  readonly from?: number;
  readonly to?: number;
  /** Whose payloads are read, and checked against their ids. */
  readonly wanted: (kind: RecordKind, offset: number) => boolean;
  /** Where that is done; unless given, on the spot. */
  readonly hasher?: Hasher;
}

/**
 * Bytes read at once where everything is wanted: most records whole, and a disk that reads on and
 * on.
 */
const READING_BYTES = 2 * 1024 * 1024;
/**
 * The same where the data of chunks is skipped: little is read in vain, and many small records need
 * one read.
 */
const SKIPPING_BYTES = 64 * 1024;

/**
 * Yields the records from `from` up to `to`. Memory: two of the runs that are read at once, or the
 * two largest records.
 */
export async function* scanRecords(
  source: PackSource,
  salt: number,
  options: ScanOptions,
): AsyncGenerator<Scanned> {
  const { wanted, hasher = hereHasher } = options;
  const to = Math.min(options.to ?? source.size, source.size);
  let offset = options.from ?? PACK_HEADER_BYTES;
  const read = (least: number): Promise<Reading> => {
    const wish = Math.max(least, wanted('chunk', offset) ? READING_BYTES : SKIPPING_BYTES);
    const length = Math.max(0, Math.min(wish, to - offset));
    const reading = source
      .read(offset, length)
      .then((bytes) => ({ bytes, isShort: bytes.length < length }));
    reading.catch(() => undefined); // thrown where it is awaited
    return reading;
  };
  let ahead = read(0);
  try {
    while (offset < to) {
      const { bytes, isShort } = await ahead;
      const run = recordsIn(bytes, {
        offset,
        to: isShort ? offset + bytes.length : to,
        salt,
        wanted,
      });
      offset = run.end;
      if (run.stop === undefined && offset < to) ahead = read(run.least);
      yield* provedRecords(bytes, run, hasher);
      if (run.stop === undefined) continue;
      const mended =
        run.stop.type === 'bad' ? await mendedRecord(source, salt, offset, to) : undefined;
      yield mended ?? run.stop;
      if (mended === undefined) return;
      offset = mended.end;
      ahead = read(0);
    }
  } finally {
    await ahead.catch(() => undefined); // the file is closed once this has ended
  }
}

interface Reading {
  readonly bytes: Buffer;
  /** The file has fewer bytes than it had: somebody cut it meanwhile. */
  readonly isShort: boolean;
}

/** The records that stand whole in a run of bytes, and what ends it. */
interface Run {
  readonly records: readonly { readonly header: RecordHeader; readonly offset: number }[];
  /** Where the payloads to be proved lie in the bytes, by record. */
  readonly spans: readonly (Span | undefined)[];
  /** Offset of what comes next. */
  readonly end: number;
  /** Bytes needed to go on there. */
  readonly least: number;
  /** What stands there instead of a record. */
  readonly stop: Exclude<Scanned, { type: 'record' }> | undefined;
}

function recordsIn(
  bytes: Buffer,
  {
    offset,
    to,
    salt,
    wanted,
  }: { readonly offset: number; readonly to: number; readonly salt: number } & Pick<
    ScanOptions,
    'wanted'
  >,
): Run {
  const records: { readonly header: RecordHeader; readonly offset: number }[] = [];
  const spans: (Span | undefined)[] = [];
  let at = 0;
  const ended = (least: number, stop?: Run['stop']): Run => ({
    records,
    spans,
    end: offset + at,
    least,
    stop,
  });
  for (let here = offset; here < to; here = offset + at) {
    if (to - here < RECORD_HEADER_BYTES)
      return ended(0, { type: 'bad', offset: here, why: 'incomplete' });
    if (at + RECORD_HEADER_BYTES > bytes.length) return ended(RECORD_HEADER_BYTES);
    const verdict = decodeRecordHeader(bytes.subarray(at, at + RECORD_HEADER_BYTES), salt);
    if (verdict.type === 'bad') return ended(0, { type: 'bad', offset: here, why: 'no record' });
    if (verdict.type === 'unknown')
      return ended(0, { type: 'unknown', offset: here, why: verdict.why });
    const { header } = verdict;
    const whole = RECORD_HEADER_BYTES + header.length;
    if (here + whole > to) return ended(0, { type: 'bad', offset: here, why: 'incomplete' });
    const isWanted = wanted(header.kind, here);
    if (isWanted && at + whole > bytes.length) return ended(whole);
    records.push({ header, offset: here });
    spans.push(isWanted ? { offset: at + RECORD_HEADER_BYTES, length: header.length } : undefined);
    at += whole;
  }
  return ended(0, bytes.length === 0 ? { type: 'bad', offset, why: 'incomplete' } : undefined);
}

async function* provedRecords(
  bytes: Buffer,
  { records, spans }: Run,
  hasher: Hasher,
): AsyncGenerator<Scanned> {
  const wanted = spans.filter((span) => span !== undefined);
  const hashed: Hashed =
    wanted.length === 0 ? { bytes, digests: new Uint8Array(0) } : await hasher.hash(bytes, wanted);
  try {
    let next = 0;
    for (const [index, { header, offset }] of records.entries()) {
      const span = spans[index];
      const end = offset + RECORD_HEADER_BYTES + header.length;
      const sound = span === undefined || equalBytes(digestAt(hashed, next), header.id);
      const isGiven = span !== undefined && !isData(header.kind);
      const payload = isGiven
        ? Buffer.from(hashed.bytes.subarray(span.offset, span.offset + span.length))
        : undefined;
      if (span !== undefined) next += 1;
      yield { type: 'record', header, offset, end, payload, sound, mended: false };
    }
  } finally {
    releaseWhole(hashed.bytes);
  }
}

/** The record behind a header of which one byte has rotted: its payload proves which. */
async function mendedRecord(
  source: PackSource,
  salt: number,
  offset: number,
  to: number,
): Promise<Extract<Scanned, { type: 'record' }> | undefined> {
  const payloadAt = offset + RECORD_HEADER_BYTES;
  for (const header of nearHeaders(
    await source.read(offset, Math.min(RECORD_HEADER_BYTES, to - offset)),
    salt,
  )) {
    const end = payloadAt + header.length;
    if (end > to) continue;
    const payload = await source.read(payloadAt, header.length);
    if (payloadIsSound(header, payload))
      return { type: 'record', header, offset, end, payload, sound: true, mended: true };
  }
  return undefined;
}

/** The footer, when the pack is closed. */
export async function readFooter(source: PackSource, salt: number): Promise<Footer | undefined> {
  if (source.size < PACK_HEADER_BYTES + RECORD_HEADER_BYTES + FOOTER_BYTES) return undefined;
  const footer = decodeFooter(
    await source.read(source.size - FOOTER_BYTES, FOOTER_BYTES),
    source.number,
    salt,
  );
  return footer !== undefined && footer.indexOffset < source.size - FOOTER_BYTES
    ? footer
    : undefined;
}

/** The rows of a closed pack's index, or `undefined` when index or footer is not sound. */
export async function readIndex(source: PackSource, salt: number): Promise<IndexRow[] | undefined> {
  const footer = await readFooter(source, salt);
  if (footer === undefined) return undefined;
  const to = source.size - FOOTER_BYTES;
  for await (const item of scanRecords(source, salt, {
    from: footer.indexOffset,
    to,
    wanted: () => true,
  })) {
    if (
      item.type !== 'record' ||
      item.header.kind !== 'index' ||
      !item.sound ||
      item.end !== to ||
      item.payload === undefined
    )
      return undefined;
    const rows = decodeIndex(item.payload);
    return rows?.length === footer.records ? rows : undefined;
  }
  return undefined;
}

/**
 * Whether everything from a bad record at `offset` to the end may be a torn tail: true unless a
 * sound record further on was written when `offset` had already been synced (I-C5). Searches byte
 * by byte, as lengths can no longer be trusted.
 */
export async function mayBeTorn(
  source: PackSource,
  salt: number,
  offset: number,
): Promise<boolean> {
  for await (const { verdict } of headersBehind(source, salt, offset)) {
    if (verdict.type === 'unknown' || verdict.header.syncedTo > offset) return false;
  }
  return true;
}

/** Whether a whole record that is sound, payload included, stands anywhere behind `offset`. */
export async function soundRecordBehind(
  source: PackSource,
  salt: number,
  offset: number,
): Promise<boolean> {
  for await (const { at, verdict } of headersBehind(source, salt, offset)) {
    if (verdict.type === 'unknown') return true;
    if (
      payloadIsSound(
        verdict.header,
        await source.read(at + RECORD_HEADER_BYTES, verdict.header.length),
      )
    )
      return true;
  }
  return false;
}

/** Every header with a sound checksum behind `offset`, wherever it stands. */
async function* headersBehind(
  source: PackSource,
  salt: number,
  offset: number,
): AsyncGenerator<{
  readonly at: number;
  readonly verdict: Exclude<HeaderVerdict, { type: 'bad' }>;
}> {
  const step = 1024 * 1024;
  for (let start = offset + 1; start < source.size; start += step) {
    const bytes = await source.read(start, step + RECORD_HEADER_BYTES - 1);
    for (let at = nextMagic(bytes, 0); at >= 0 && at < step; at = nextMagic(bytes, at + 1)) {
      const verdict = decodeRecordHeader(bytes.subarray(at, at + RECORD_HEADER_BYTES), salt);
      if (verdict.type !== 'bad') yield { at: start + at, verdict };
    }
  }
}
