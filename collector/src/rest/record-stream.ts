import { AliquotError } from '@aliquot/proto';

/**
 * How the collector streams many records in one HTTP answer: `u8 type ‖ u32 big-endian length ‖ payload`, again and again.
 * The stream says itself when it is complete, so that a connection that breaks in the middle is never taken for a short
 * answer, and an error that happens after the first byte still reaches the operator.
 */
const RECORD = 1;
const END = 2;
const FAILURE = 3;
const HEADER_BYTES = 5;

/**
 * A record carries one stored commit (at most 4 MiB, with certificates) or one sealed item (at most 4 MiB and a little).
 *
 * Test only: the test announces one byte more.
 */
export const MAX_RECORD_BYTES = 6 * 1024 * 1024;

export type StreamErrorCode =
  /** The answer ended before its end mark: the connection or the collector went away. */
  | 'STREAM_CUT'
  /** The answer is not a record stream, or holds a record above the limit. */
  | 'STREAM_MALFORMED'
  /** The collector reported an error in the middle of its answer. */
  | 'STREAM_FAILED';

/** A streamed answer that did not arrive whole. */
export class StreamError extends AliquotError<StreamErrorCode> {}

function frame(type: number, payload: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  framed.writeUInt8(type, 0);
  framed.writeUInt32BE(payload.length, 1);
  framed.set(payload, HEADER_BYTES);
  return framed;
}

/**
 * Frames `records` for the wire, end mark included. An error of the source becomes a failure record (through `describe`, which
 * keeps anything internal out of the text), and the stream ends without its end mark.
 */
export async function* frameRecords(
  records: AsyncIterable<Uint8Array>,
  describe: (error: unknown) => { code: string; message: string },
): AsyncGenerator<Buffer> {
  try {
    for await (const record of records) yield frame(RECORD, record);
  } catch (error) {
    yield frame(FAILURE, Buffer.from(JSON.stringify(describe(error))));
    return;
  }
  yield frame(END, new Uint8Array(0));
}

/** Takes a framed answer apart. Throws `StreamError` when it is cut, malformed, or carries a failure. */
export async function* readRecords(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  for await (const piece of source) {
    pending.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
    pendingBytes += piece.length;
    if (pendingBytes < needed(pending, pendingBytes)) continue;
    let buffer: Buffer = pending.length === 1 && pending[0] !== undefined ? pending[0] : Buffer.concat(pending, pendingBytes);
    while (buffer.length >= HEADER_BYTES) {
      const type = buffer.readUInt8(0);
      const length = lengthOf(buffer);
      if (buffer.length < HEADER_BYTES + length) break;
      const payload = buffer.subarray(HEADER_BYTES, HEADER_BYTES + length);
      buffer = buffer.subarray(HEADER_BYTES + length);
      if (type === END) return;
      if (type === FAILURE) throw failureFrom(payload);
      if (type !== RECORD) throw new StreamError('STREAM_MALFORMED', 'the collector sent a record of an unknown type');
      yield payload;
    }
    pending = [buffer];
    pendingBytes = buffer.length;
  }
  throw new StreamError('STREAM_CUT', "the collector's answer broke off; run the command again", { retryable: true });
}

/** Bytes that make the next record whole: joins a large record once, not with every network packet. */
function needed(pending: readonly Buffer[], pendingBytes: number): number {
  const first = pending[0];
  if (first === undefined || first.length < HEADER_BYTES) return pendingBytes < HEADER_BYTES ? HEADER_BYTES : 0;
  return HEADER_BYTES + lengthOf(first);
}

function lengthOf(header: Buffer): number {
  const length = header.readUInt32BE(1);
  if (length > MAX_RECORD_BYTES) throw new StreamError('STREAM_MALFORMED', 'the collector sent a record above the size limit');
  return length;
}

function failureFrom(payload: Buffer): StreamError {
  try {
    const parsed: unknown = JSON.parse(payload.toString('utf8'));
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed && 'code' in parsed) {
      return new StreamError('STREAM_FAILED', `the collector reports: ${String(parsed.message)} (${String(parsed.code)})`);
    }
  } catch {
    // Falls through: what cannot be parsed is malformed.
  }
  return new StreamError('STREAM_MALFORMED', 'the collector sent a failure record that cannot be read');
}
