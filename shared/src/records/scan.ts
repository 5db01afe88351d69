import { releaseWhole } from '../crypto/bytes.ts';
import { digestsAt, type Hashed, type Hasher, hereHasher, type Span } from '../hashing/hasher.ts';
import {
  FILE_HEADER_BYTES,
  type HeaderVerdict,
  nextMagic,
  RECORD_HEADER_BYTES,
  type RecordCodec,
} from './codec.ts';
import type { ProofPlan, RecordHeader, RecordSource } from './format.ts';
import { planOf } from './payload.ts';

/**
 * What is done with a payload: stepped over, proved by its SHA-256, or proved and handed over.
 */
export type Taking = 'skip' | 'prove' | 'give';

export interface ScanOptions<K extends string> {
  /** Where to begin: at a record. Unless given, at the first one. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** Asked for each record; unless given, every payload is handed over. */
  readonly take?: ((kind: K, offset: number) => Taking) | undefined;
  /**
   * For the newest file of a log, which may end in a torn tail: how many leading bytes are known to
   * have been durable. Unless given, every bad place is damage.
   */
  readonly durableTo?: number | undefined;
  /** Where payloads are proved; unless given, on the spot. */
  readonly hasher?: Hasher | undefined;
  /** Bytes read at once where payloads are wanted; 2 MiB by default. */
  readonly runBytes?: number | undefined;
}

export type ScannedRecord<K extends string> =
  | {
      readonly type: 'record';
      readonly header: RecordHeader<K>;
      readonly offset: number;
      /** Just behind the record. */
      readonly end: number;
      /** Present when it was to be given: in memory of its own. */
      readonly payload: Uint8Array | undefined;
      /** True when a byte of the header had rotted, and the payload proved what it was. */
      readonly isMended: boolean;
    }
  /**
   * Bytes that are no sound record. `isTorn`: as an interrupted write leaves the end of a log, and
   * nothing more is yielded. Else the scan goes on at `end`.
   */
  | {
      readonly type: 'damage';
      readonly offset: number;
      readonly end: number;
      readonly isTorn: boolean;
      /** What stood there, when only the payload has rotted. */
      readonly header: RecordHeader<K> | undefined;
    }
  /** A sound record that only a later release understands. Nothing more is yielded. */
  | { readonly type: 'unknown'; readonly offset: number; readonly why: string };

/** A disk reads on and on, and most records stand whole in what is read. */
const READING_BYTES = 2 * 1024 * 1024;
/** Where payloads are stepped over: little in vain, and many small records need one read. */
const SKIPPING_BYTES = 64 * 1024;
const SEARCHING_BYTES = 1024 * 1024;

/**
 * Yields the records of one file from `from` up to `to`, and the bytes that are no record. Memory:
 * two of the runs that are read at once, or the two largest records.
 *
 * The torn-tail rule: a bad place in the newest file begins the torn tail, and everything from
 * there may be cut, unless it was durable: because it stands below `durableTo`, or because a sound
 * record further on says by its `syncedTo` that it was, or is of a later release. Where sound
 * records are kept in any case, one further on is enough.
 */
export async function* scanRecords<K extends string>(
  source: RecordSource,
  codec: RecordCodec<K>,
  options: ScanOptions<K> = {},
): AsyncGenerator<ScannedRecord<K>, void, void> {
  const { take = () => 'give', hasher = hereHasher, runBytes = READING_BYTES } = options;
  const to = Math.min(options.to ?? source.size, source.size);
  let offset = Math.max(options.from ?? 0, FILE_HEADER_BYTES);
  let wish = SKIPPING_BYTES;
  const read = (least: number): Promise<Reading> => {
    const length = Math.max(0, Math.min(Math.max(least, wish), to - offset));
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
        ...{ offset, codec, take },
        to: isShort ? offset + bytes.length : to,
      });
      offset = run.end;
      // By what was wanted last: records that are given and such that are stepped over may mix.
      wish = run.takesLast ? runBytes : SKIPPING_BYTES;
      if (run.stop === undefined && offset < to) ahead = read(run.least);
      for await (const item of provedRecords<K>(bytes, run, { codec, hasher })) {
        const found = item.type === 'damage' ? await judged(source, codec, options, item) : item;
        yield found;
        if (found.type === 'damage' && found.isTorn) return;
      }
      if (run.stop === undefined) continue;
      if (run.stop.type === 'unknown') {
        yield run.stop;
        return;
      }
      const found =
        (await mendedRecord(source, codec, { offset, to, take })) ??
        (await judged(source, codec, options, {
          ...{ type: 'damage', offset, isTorn: false, header: undefined },
          end: await nextSound(source, codec, offset, to),
        }));
      yield found;
      if (found.type === 'damage' && found.isTorn) return;
      offset = found.end;
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

interface PlacedHeader<K extends string> {
  readonly header: RecordHeader<K>;
  readonly offset: number;
  readonly taking: Taking;
}

/** The records that stand whole in a run of bytes, and what ends it. */
interface Run<K extends string> {
  readonly start: number;
  readonly records: readonly PlacedHeader<K>[];
  /** Offset of what comes next. */
  readonly end: number;
  /** Bytes needed to go on there. */
  readonly least: number;
  readonly takesLast: boolean;
  /** What stands there instead of a record. */
  readonly stop: { readonly type: 'bad' } | Unknown | undefined;
}

type Unknown = Extract<ScannedRecord<string>, { type: 'unknown' }>;
type Damage<K extends string> = Extract<ScannedRecord<K>, { type: 'damage' }>;

interface RunBounds<K extends string> {
  readonly offset: number;
  readonly to: number;
  readonly codec: RecordCodec<K>;
  readonly take: (kind: K, offset: number) => Taking;
}

function recordsIn<K extends string>(
  bytes: Buffer,
  { offset, to, codec, take }: RunBounds<K>,
): Run<K> {
  const records: PlacedHeader<K>[] = [];
  let at = 0;
  let takesLast = false;
  const ended = (least: number, stop?: Run<K>['stop']): Run<K> => {
    return { start: offset, records, end: offset + at, least, takesLast, stop };
  };
  for (let here = offset; here < to; here = offset + at) {
    if (to - here < RECORD_HEADER_BYTES) return ended(0, { type: 'bad' });
    if (at + RECORD_HEADER_BYTES > bytes.length) return ended(RECORD_HEADER_BYTES);
    const verdict = codec.decode(bytes, at);
    if (verdict.type === 'bad') return ended(0, verdict);
    if (verdict.type === 'unknown')
      return ended(0, { type: 'unknown', offset: here, why: verdict.why });
    const { header } = verdict;
    const whole = RECORD_HEADER_BYTES + header.length;
    if (here + whole > to) return ended(0, { type: 'bad' });
    const taking = take(header.kind, here);
    takesLast = taking !== 'skip';
    if (takesLast && at + whole > bytes.length) return ended(whole);
    records.push({ header, offset: here, taking });
    at += whole;
  }
  return ended(0, bytes.length === 0 ? { type: 'bad' } : undefined);
}

async function* provedRecords<K extends string>(
  bytes: Buffer,
  { start, records }: Run<K>,
  { codec, hasher }: { readonly codec: RecordCodec<K>; readonly hasher: Hasher },
): AsyncGenerator<Exclude<ScannedRecord<K>, { type: 'unknown' }>, void, void> {
  const payloadIn = (run: Uint8Array, { header, offset }: PlacedHeader<K>): Uint8Array => {
    const at = offset - start + RECORD_HEADER_BYTES;
    return run.subarray(at, at + header.length);
  };
  const spans: Span[] = [];
  const plans = records.map((record): ProofPlan | undefined => {
    const { header, taking, offset } = record;
    if (taking === 'skip') return undefined;
    const plan = planOf(codec.format.kinds[header.kind], payloadIn(bytes, record));
    const at = offset - start + RECORD_HEADER_BYTES;
    for (const span of plan?.spans ?? [])
      spans.push({ offset: at + span.offset, length: span.length });
    return plan;
  });
  const hashed: Hashed =
    spans.length === 0 ? { bytes, digests: new Uint8Array(0) } : await hasher.hash(bytes, spans);
  try {
    let next = 0;
    for (const [index, record] of records.entries()) {
      const { header, offset, taking } = record;
      const end = offset + RECORD_HEADER_BYTES + header.length;
      const payload = payloadIn(hashed.bytes, record);
      if (taking !== 'skip') {
        const plan = plans[index];
        const count = plan?.spans.length ?? 0;
        const isSound = plan?.holds(payload, header.digest, digestsAt(hashed, next, count));
        next += count;
        if (isSound !== true) {
          yield { type: 'damage', offset, end, isTorn: false, header };
          continue;
        }
      }
      const given = taking === 'give' ? Uint8Array.prototype.slice.call(payload) : undefined;
      yield { type: 'record', header, offset, end, payload: given, isMended: false };
    }
  } finally {
    releaseWhole(hashed.bytes);
  }
}

/** The record behind a header of which one byte has rotted: its payload proves which. */
async function mendedRecord<K extends string>(
  source: RecordSource,
  codec: RecordCodec<K>,
  { offset, to, take }: Omit<RunBounds<K>, 'codec'>,
): Promise<Extract<ScannedRecord<K>, { type: 'record' }> | undefined> {
  const payloadAt = offset + RECORD_HEADER_BYTES;
  if (payloadAt > to) return undefined;
  for (const header of codec.near(await source.read(offset, RECORD_HEADER_BYTES))) {
    const end = payloadAt + header.length;
    if (end > to) continue;
    const bytes = await source.read(payloadAt, header.length);
    if (!codec.proves(header, bytes)) continue;
    const payload = take(header.kind, offset) === 'give' ? bytes : undefined;
    return { type: 'record', header, offset, end, payload, isMended: true };
  }
  return undefined;
}

async function judged<K extends string>(
  source: RecordSource,
  codec: RecordCodec<K>,
  { durableTo }: ScanOptions<K>,
  damage: Damage<K>,
): Promise<Damage<K>> {
  const isTorn =
    durableTo !== undefined &&
    damage.offset >= durableTo &&
    (await mayBeTorn(source, codec, damage.offset));
  return isTorn ? { ...damage, end: source.size, isTorn } : damage;
}

/** See the torn-tail rule above. Searches byte by byte, as lengths can no longer be trusted. */
async function mayBeTorn<K extends string>(
  source: RecordSource,
  codec: RecordCodec<K>,
  offset: number,
): Promise<boolean> {
  for await (const { verdict } of headersBehind(source, codec, offset, source.size))
    if (
      codec.format.keepsUnsynced === true ||
      verdict.type === 'unknown' ||
      verdict.header.syncedTo > offset
    )
      return false;
  return true;
}

/** Where the next sound header stands behind a bad place; `to` when there is none. */
async function nextSound<K extends string>(
  source: RecordSource,
  codec: RecordCodec<K>,
  offset: number,
  to: number,
): Promise<number> {
  for await (const { at } of headersBehind(source, codec, offset, to)) return at;
  return to;
}

/** Every header with a sound checksum behind `offset`, wherever it stands. */
async function* headersBehind<K extends string>(
  source: RecordSource,
  codec: RecordCodec<K>,
  offset: number,
  to: number,
): AsyncGenerator<{
  readonly at: number;
  readonly verdict: Exclude<HeaderVerdict<K>, { type: 'bad' }>;
}> {
  for (let start = offset + 1; start < to; start += SEARCHING_BYTES) {
    const bytes = await source.read(
      start,
      Math.min(SEARCHING_BYTES + RECORD_HEADER_BYTES - 1, to - start),
    );
    for (
      let at = nextMagic(bytes, 0);
      at >= 0 && at < SEARCHING_BYTES;
      at = nextMagic(bytes, at + 1)
    ) {
      const verdict = codec.decode(bytes, at);
      if (verdict.type !== 'bad') yield { at: start + at, verdict };
    }
  }
}
