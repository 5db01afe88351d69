import {
  AliquotError,
  asChunkId,
  type ChunkId,
  type ErrorCodes,
  type StoredKind,
} from '@aliquot/proto';
import { jsonOf } from '@aliquot/shared/json';
import { MAX_ANSWER_RECORD_BYTES } from '../limits.ts';

/**
 * How the collector streams many records in one HTTP answer: `u8 type ‖ u32 big-endian length ‖
 * payload`, again and again. The stream says itself when it is complete, so that a connection that
 * breaks in the middle is never taken for a short answer, and an error that happens after the first
 * byte still reaches the operator.
 */
const RECORD = 1;
const END = 2;
const FAILURE = 3;
const HEADER_BYTES = 5;

const codes = {
  /** The answer ended before its end mark: the connection or the collector went away. */
  STREAM_CUT: 'retryable',
  /** The answer is not a record stream, or holds a record above the limit. */
  STREAM_MALFORMED: 'final',
  /** The collector reported an error in the middle of its answer. */
  STREAM_FAILED: 'final',
} satisfies ErrorCodes;

export type StreamErrorCode = keyof typeof codes;

/** A streamed answer that did not arrive whole. */
export class StreamError extends AliquotError<StreamErrorCode> {
  static override readonly codes = codes;
}

function frame(type: number, payload: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  framed.writeUInt8(type, 0);
  framed.writeUInt32BE(payload.length, 1);
  framed.set(payload, HEADER_BYTES);
  return framed;
}

/** What stands in front of a record. */
export const RECORD_HEAD_BYTES = HEADER_BYTES;

/**
 * Writes the head of a record of `length` bytes into `bytes`: for callers that build records in
 * place.
 */
export function writeRecordHead(bytes: Buffer, at: number, length: number): void {
  bytes.writeUInt8(RECORD, at);
  bytes.writeUInt32BE(length, at + 1);
}

/** Records that have their heads already, one behind the other. */
export class FramedRecords {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

/**
 * Frames `records` for the wire, end mark included. An error of the source becomes a failure record
 * (through `describe`, which keeps anything internal out of the text), and the stream ends without
 * its end mark.
 */
export async function* frameRecords(
  records: AsyncIterable<Uint8Array | FramedRecords>,
  describe: (error: unknown) => { code: string; message: string },
): AsyncGenerator<Buffer> {
  try {
    for await (const record of records)
      yield record instanceof FramedRecords ? record.bytes : frame(RECORD, record);
  } catch (error) {
    yield frame(FAILURE, Buffer.from(JSON.stringify(describe(error))));
    return;
  }
  yield frame(END, new Uint8Array(0));
}

/**
 * Takes a framed answer apart, piece by piece. A record that came in one piece is a view of it; one
 * that came in several is copied once, into bytes of its own, or into memory that is used again.
 * Throws `StreamError` when the answer is malformed, or carries a failure.
 */
export class RecordSplitter {
  readonly #head = Buffer.allocUnsafe(HEADER_BYTES);
  readonly #isReused: boolean;
  #headed = 0;
  #memory: Buffer | undefined;
  #filled = 0;
  #hasEnded = false;

  /** @param isReused A record needs to last only until the next is asked for. */
  constructor(isReused: boolean) {
    this.#isReused = isReused;
  }

  /** Whether the end mark has come: all records were there. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The records that end in a piece. */
  *push({ buffer, byteOffset, byteLength }: Uint8Array): Generator<Buffer, void, void> {
    const piece = Buffer.from(buffer, byteOffset, byteLength);
    let at = 0;
    while (!this.#hasEnded) {
      if (this.#headed < HEADER_BYTES) {
        if (at === piece.length) return;
        const took = piece.copy(this.#head, this.#headed, at);
        this.#headed += took;
        at += took;
        if (this.#headed < HEADER_BYTES) return;
      }
      const length = lengthOf(this.#head);
      let record: Buffer;
      if (this.#filled === 0 && piece.length - at >= length) {
        record = piece.subarray(at, at + length);
        at += length;
      } else {
        const memory = this.#memoryFor(length);
        const took = piece.copy(memory, this.#filled, at, at + length - this.#filled);
        this.#filled += took;
        at += took;
        if (this.#filled < length) return;
        record = memory.subarray(0, length);
      }
      [this.#headed, this.#filled] = [0, 0];
      if (!this.#isReused) this.#memory = undefined;
      const type = this.#head.readUInt8(0);
      if (type === FAILURE) throw failureFrom(record);
      if (type === END) this.#hasEnded = true;
      else if (type === RECORD) yield record;
      else throw new StreamError('STREAM_MALFORMED', 'the collector sent an unknown record');
    }
  }

  /** Room for a record; what came of it before is in there. */
  #memoryFor(length: number): Buffer {
    if (this.#memory === undefined || this.#memory.length < length)
      this.#memory = Buffer.allocUnsafeSlow(length);
    return this.#memory;
  }
}

/** The records of an answer, each in bytes of its own. Throws `StreamError` also when it is cut. */
export async function* readRecords(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const splitter = new RecordSplitter(false);
  for await (const piece of source) {
    yield* splitter.push(piece);
    if (splitter.hasEnded) return;
  }
  throw cut();
}

/** An answer that has no end. */
export function cut(): StreamError {
  return new StreamError('STREAM_CUT', "the collector's answer broke off; run the command again");
}

function lengthOf(header: Buffer): number {
  const length = header.readUInt32BE(1);
  if (length > MAX_ANSWER_RECORD_BYTES)
    throw new StreamError('STREAM_MALFORMED', 'the collector sent a record above the size limit');
  return length;
}

function failureFrom(payload: Buffer): StreamError {
  const parsed = jsonOf(payload);
  if (typeof parsed === 'object' && parsed !== null && 'message' in parsed && 'code' in parsed)
    return new StreamError(
      'STREAM_FAILED',
      `the collector reports: ${String(parsed.message)} (${String(parsed.code)})`,
    );
  return new StreamError(
    'STREAM_MALFORMED',
    'the collector sent a failure record that cannot be read',
  );
}

/**
 * One stored item in an answer: `u8 what ‖ 32 bytes id ‖ stored bytes`. What: 1 chunk, 2 page, 3
 * missing, 4 damaged (these two without bytes), 5 slab, which may have holes.
 */
export const WHAT_CHUNK = 1;
export const WHAT_PAGE = 2;
export const WHAT_MISSING = 3;
export const WHAT_DAMAGED = 4;
export const WHAT_SLAB = 5;
const ID_BYTES = 32;
/** What stands in front of an item's bytes in its record. */
export const ITEM_PREFIX_BYTES = 1 + ID_BYTES;

/** What an operator's command receives for an id. The bytes are not proved yet. */
export type ReceivedItem =
  | {
      readonly type: 'item';
      readonly id: ChunkId;
      readonly kind: StoredKind;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'missing' | 'damaged'; readonly id: ChunkId };

/** Throws StreamError for bytes that are no such record. */
export function decodeItem(record: Uint8Array): ReceivedItem {
  const what = record[0];
  if (record.length < ITEM_PREFIX_BYTES) throw malformed();
  const id = asChunkId(record.slice(1, ITEM_PREFIX_BYTES));
  const bytes = record.subarray(ITEM_PREFIX_BYTES);
  if (what === WHAT_CHUNK) return { type: 'item', id, kind: 'chunk', bytes };
  if (what === WHAT_PAGE) return { type: 'item', id, kind: 'page', bytes };
  if (what === WHAT_SLAB) return { type: 'item', id, kind: 'slab', bytes };
  if (what === WHAT_MISSING || what === WHAT_DAMAGED)
    return { type: what === WHAT_MISSING ? 'missing' : 'damaged', id };
  throw malformed();
}

function malformed(): StreamError {
  return new StreamError('STREAM_MALFORMED', 'the collector sent an item that cannot be read');
}
