/**
 * WIRE.md, "Frame": a length, a protobuf header, and a body that is never copied through protobuf.
 */
import { FormatError } from '../errors.ts';
import {
  MAX_COMMIT_BYTES,
  MAX_DIAGNOSIS_BYTES,
  MAX_FRAME_BYTES,
  MAX_FRAME_HEADER_BYTES,
  MAX_RELEASE_DATA_BYTES,
  MAX_SIGNED_BODY_BYTES,
} from '../limits.ts';
import type { ClientFrame, ServerFrame, StoredItem } from '../session-types.ts';

const LENGTH_BYTES = 4;
const NO_BODY = new Uint8Array(0);

/** A frame taken apart: both parts are views over it. */
export interface FrameParts {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
}

/**
 * `u32 big-endian header length ‖ header ‖ body`. @throws FormatError `FORMAT_LIMIT` above the
 * limits of frame or header.
 */
export function encodeFrame(header: Uint8Array, body: Uint8Array = NO_BODY): Uint8Array {
  const head = encodeFrameHead(header, body.length);
  const frame = new Uint8Array(head.length + body.length);
  frame.set(head);
  frame.set(body, head.length);
  return frame;
}

/**
 * What stands before a frame's body: for callers that seal head and body without joining them
 * first.
 * @throws FormatError as `encodeFrame`.
 */
export function encodeFrameHead(header: Uint8Array, bodyBytes: number): Uint8Array {
  checkLengths(header.length, LENGTH_BYTES + header.length + bodyBytes);
  const head = new Uint8Array(LENGTH_BYTES + header.length);
  new DataView(head.buffer).setUint32(0, header.length);
  head.set(header, LENGTH_BYTES);
  return head;
}

/** Takes a frame apart without copying. @throws FormatError when the lengths do not fit. */
export function splitFrame(frame: Uint8Array): FrameParts {
  if (frame.length < LENGTH_BYTES) throw new FormatError('FORMAT_MALFORMED', 'frame is cut off');
  const length = new DataView(frame.buffer, frame.byteOffset, frame.length).getUint32(0);
  checkLengths(length, frame.length);
  if (length > frame.length - LENGTH_BYTES)
    throw new FormatError('FORMAT_MALFORMED', 'frame is cut off');
  // A plain view, so that a Buffer from the socket does not put Buffers into typed values.
  const plain = new Uint8Array(frame.buffer, frame.byteOffset, frame.length);
  return {
    header: plain.subarray(LENGTH_BYTES, LENGTH_BYTES + length),
    body: plain.subarray(LENGTH_BYTES + length),
  };
}

function checkLengths(header: number, frame: number): void {
  if (frame > MAX_FRAME_BYTES)
    throw new FormatError(
      'FORMAT_LIMIT',
      `frame has ${frame} bytes, more than the ${MAX_FRAME_BYTES} allowed`,
    );
  if (header > MAX_FRAME_HEADER_BYTES) {
    throw new FormatError(
      'FORMAT_LIMIT',
      `frame has a header of ${header} bytes, more than the ${MAX_FRAME_HEADER_BYTES} allowed`,
    );
  }
  if (header === 0) throw new FormatError('FORMAT_MALFORMED', 'frame has no header');
}

/**
 * Refuses a body that the agent's frame may not have, or of another size than the header says.
 * @throws FormatError
 */
export function checkClientBody(frame: ClientFrame, body: Uint8Array): void {
  switch (frame.type) {
    case 'chunks':
      exactly(frame.type, body, totalSize(frame.items));
      break;
    case 'commit':
      between(frame.type, body, MAX_COMMIT_BYTES);
      break;
    case 'heartbeat':
      between(frame.type, body, MAX_SIGNED_BODY_BYTES);
      break;
    case 'diagnosis':
      if (frame.code === '') between(frame.type, body, MAX_DIAGNOSIS_BYTES);
      else exactly(frame.type, body, 0);
      break;
    default:
      exactly(frame.type, body, 0);
      break;
  }
}

/**
 * Refuses a body that the collector's frame may not have, or of another size than the header says.
 * @throws FormatError
 */
export function checkServerBody(frame: ServerFrame, body: Uint8Array): void {
  switch (frame.type) {
    case 'chunkData':
      exactly(frame.type, body, totalSize(frame.items));
      break;
    case 'commitData':
      between(frame.type, body, MAX_COMMIT_BYTES);
      break;
    case 'releaseData':
      if (body.length > 0) between(frame.type, body, Math.min(frame.size, MAX_RELEASE_DATA_BYTES));
      break;
    default:
      exactly(frame.type, body, 0);
      break;
  }
}

/**
 * The items' bytes, in order, as views over the body. Call it after `checkClientBody` or
 * `checkServerBody`.
 */
export function* splitItems(
  items: readonly StoredItem[],
  body: Uint8Array,
): Generator<StoredItem & { readonly bytes: Uint8Array }> {
  let at = 0;
  for (const item of items) {
    yield { ...item, bytes: body.subarray(at, at + item.size) };
    at += item.size;
  }
}

function totalSize(items: readonly StoredItem[]): number {
  return items.reduce((sum, { size }) => sum + size, 0);
}

function exactly(type: string, body: Uint8Array, size: number): void {
  if (body.length !== size)
    throw new FormatError(
      'FORMAT_MALFORMED',
      `${type} frame has a body of ${body.length} bytes instead of ${size}`,
    );
}

function between(type: string, body: Uint8Array, max: number): void {
  if (body.length === 0) throw new FormatError('FORMAT_MALFORMED', `${type} frame has no body`);
  if (body.length > max)
    throw new FormatError(
      'FORMAT_LIMIT',
      `${type} frame has a body of ${body.length} bytes, more than the ${max} allowed`,
    );
}
