/**
 * FORMAT.md, "CarriedFile": a queue on its way to the collector, and the receipts on their way
 * back, by hand. What travels in it are the frames of WIRE.md, so that there is one way to say a
 * thing; around them stand a head, lengths and a trailer.
 */
import { FormatError } from '../errors.ts';
import { HASH_BYTES, MAX_FRAME_BYTES, SIGNATURE_BYTES } from '../limits.ts';
import type { CarriedFile, CarriedKind, CarriedTrailer } from '../record-types.ts';

const MAGIC = Uint8Array.from([0x41, 0x4c, 0x51, 0x43, 0x41, 0x52, 0x59]);
const VERSION = 1;
const kindNumbers: Readonly<Record<CarriedKind, number>> = { queue: 1, receipts: 2 };

/** Magic, version and kind. */
export const CARRIED_HEAD_BYTES = 9;
/** What stands before each frame, and, as zero, behind the last one. */
export const CARRIED_LENGTH_BYTES = 4;
/** Digest and signature: the file's last bytes. */
export const CARRIED_TRAILER_BYTES = HASH_BYTES + SIGNATURE_BYTES;

/** The first bytes of a carried file. */
export function encodeCarriedHead(kind: CarriedKind): Uint8Array {
  return Uint8Array.of(...MAGIC, VERSION, kindNumbers[kind]);
}

/** What a file's first bytes say. @throws FormatError */
export function kindOfCarried(bytes: Uint8Array): CarriedKind {
  if (bytes.length < CARRIED_HEAD_BYTES)
    throw new FormatError('FORMAT_MALFORMED', 'carried file is cut off in its head');
  if (MAGIC.some((byte, at) => bytes[at] !== byte))
    throw new FormatError('FORMAT_MALFORMED', 'carried file does not begin like one');
  const [version, number] = bytes.subarray(MAGIC.length);
  const kind = (Object.keys(kindNumbers) as CarriedKind[]).find(
    (name) => kindNumbers[name] === number,
  );
  if (version !== VERSION || kind === undefined)
    throw new FormatError(
      'FORMAT_UNKNOWN_VERSION',
      `carried file is of version ${version} and kind ${number}; this release knows version 1, kinds 1 and 2`,
    );
  return kind;
}

/**
 * The length before a frame, or 0 for the end of all frames. @throws FormatError `FORMAT_LIMIT` for
 * a longer frame than any.
 */
export function lengthOfCarried(bytes: Uint8Array): number {
  if (bytes.length < CARRIED_LENGTH_BYTES)
    throw new FormatError('FORMAT_MALFORMED', 'carried file is cut off before a frame');
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0);
  if (length > MAX_FRAME_BYTES)
    throw new FormatError(
      'FORMAT_LIMIT',
      `carried file has a frame of ${length} bytes, more than the ${MAX_FRAME_BYTES} allowed`,
    );
  return length;
}

/** The length of a frame as it stands before it; 0 ends the frames. @throws FormatError */
export function encodeCarriedLength(length: number): Uint8Array {
  const bytes = new Uint8Array(CARRIED_LENGTH_BYTES);
  new DataView(bytes.buffer).setUint32(0, length);
  lengthOfCarried(bytes);
  return bytes;
}

/** @throws FormatError */
export function encodeCarriedTrailer({ digest, signature }: CarriedTrailer): Uint8Array {
  if (digest.length !== HASH_BYTES || signature.length !== SIGNATURE_BYTES)
    throw new FormatError(
      'FORMAT_MALFORMED',
      'carried file needs a digest of 32 and a signature of 64 bytes',
    );
  const bytes = new Uint8Array(CARRIED_TRAILER_BYTES);
  bytes.set(digest);
  bytes.set(signature, HASH_BYTES);
  return bytes;
}

/** @throws FormatError when it is not exactly as long as a trailer. */
export function trailerOfCarried(bytes: Uint8Array): CarriedTrailer {
  if (bytes.length !== CARRIED_TRAILER_BYTES)
    throw new FormatError(
      'FORMAT_MALFORMED',
      `carried file ends in ${bytes.length} bytes, not in the ${CARRIED_TRAILER_BYTES} of a trailer`,
    );
  return {
    digest: new Uint8Array(bytes.subarray(0, HASH_BYTES)),
    signature: new Uint8Array(bytes.subarray(HASH_BYTES)),
  };
}

/**
 * A whole small file at once. Test only: programs stream; this is the format's definition for
 * vectors and fuzzers. @throws FormatError
 */
export function encodeCarriedFile({ kind, frames, trailer }: CarriedFile): Uint8Array {
  const parts = [
    encodeCarriedHead(kind),
    ...frames.flatMap((frame) => [encodeCarriedLength(nonEmpty(frame)), frame]),
    encodeCarriedLength(0),
    encodeCarriedTrailer(trailer),
  ];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * A whole small file at once; its frames are views over it. Test only: programs stream.
 * @throws FormatError
 */
export function splitCarriedFile(bytes: Uint8Array): CarriedFile {
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const kind = kindOfCarried(plain);
  const { frames, end } = splitFrames(plain.subarray(CARRIED_HEAD_BYTES));
  if (end === undefined) throw new FormatError('FORMAT_MALFORMED', 'carried file has no end');
  return { kind, frames, trailer: trailerOfCarried(plain.subarray(CARRIED_HEAD_BYTES + end)) };
}

/**
 * A run of frames with their lengths and no end: how a part of a carried queue is handed to the
 * collector. Views over the input.
 *
 * @throws FormatError
 */
export function splitCarriedFrames(bytes: Uint8Array): readonly Uint8Array[] {
  const { frames, end } = splitFrames(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
  if (end !== undefined)
    throw new FormatError('FORMAT_MALFORMED', 'a part of a carried queue holds an end');
  return frames;
}

/** The frames up to the end mark, or up to the end of the bytes; `end` lies behind the mark. */
function splitFrames(bytes: Uint8Array): {
  readonly frames: readonly Uint8Array[];
  readonly end: number | undefined;
} {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = lengthOfCarried(bytes.subarray(at));
    at += CARRIED_LENGTH_BYTES;
    if (length === 0) return { frames, end: at };
    if (length > bytes.length - at)
      throw new FormatError('FORMAT_MALFORMED', 'carried file is cut off in a frame');
    frames.push(bytes.subarray(at, at + length));
    at += length;
  }
  return { frames, end: undefined };
}

function nonEmpty(frame: Uint8Array): number {
  if (frame.length === 0)
    throw new FormatError('FORMAT_MALFORMED', 'carried file has an empty frame');
  return frame.length;
}
