import { constants } from 'node:zlib';
import { unwritten } from '../crypto/bytes.ts';
import { chooseFilter } from './choose-filter.ts';
import { SealError } from './errors.ts';
import {
  applyFilter,
  type Filter,
  filterHeader,
  filterNumbers,
  parseFilter,
  undoFilter,
} from './filters.ts';
import { planeCount, planeStarts } from './samples.ts';
import { Scratch } from './scratch.ts';
import { longestFrame, ZstdCompressor, zstdDecoder } from './zstd.ts';
import { frameMagic, zstdFrameLength } from './zstd-frame.ts';

/**
 * The codec byte in front of every encoded chunk: bits 0–3 compressor, bits 4–6 numeric filter, bit
 * 7 padding. The filter's header follows it, then the body. Padding has its place from the first
 * day; this release does not write it, and refuses it.
 */
const STORED = 0;
const ZSTD = 1;
const ZSTD_PLANES = 2;
const COMPRESSOR_BITS = 0x0f;
const FILTER_SHIFT = 4;
const FILTER_BITS = 0x07;
const PADDING_BIT = 0x80;

/**
 * Level 1, by measurement on 90 MB of instrument files (zstd 1.5.7): 0.489 of the size at about 300
 * MB/s, against 0.470 at about 145 MB/s for level 3. The agent shares its machine with an
 * instrument, so half the work for 4 % wins.
 */
const LEVEL = 1;
const plainCompressor = new ZstdCompressor({ [constants.ZSTD_c_compressionLevel]: LEVEL });
/**
 * Behind `samples`, what is left is noise without repetitions. Looking only for long ones finds as
 * much (0.409 of a noisy trace either way) in two thirds of the time.
 */
const noiseCompressor = new ZstdCompressor({
  [constants.ZSTD_c_compressionLevel]: LEVEL,
  [constants.ZSTD_c_minMatch]: 7,
});

/**
 * Smaller chunks have all planes in one frame: its head and tables would weigh more than they
 * spare.
 */
const PLANES_FROM_BYTES = 16 * 1024;

/** What vaults are made with, and the only one that this release knows. */
export const ENCODER_VERSION = 1;

/** A codec byte, the longest filter header, and what up to four frames take instead of one. */
const ROOM_FOR_HEADERS = 2304;

const filteredBytes = new Scratch();
const encodedBytes = new Scratch();
const pieceBytes = new Scratch();

/**
 * Encodes one chunk's plaintext: codec byte, filter header, then the bytes compressed, or as they
 * are when that is not longer.
 *
 * Pure: one version gives the same bytes for the same content on every platform, and so one chunk
 * id (frozen vectors in `shared/vectors/codec-1.json` notice a zstd that decides otherwise;
 * different bytes would cost deduplication, never safety, because the key follows from the encoded
 * bytes).
 *
 * @returns Memory of its own, of exactly that size.
 * @throws SealError `SEAL_VERSION_UNKNOWN`.
 */
export function encode(plain: Uint8Array, encoderVersion: number): Uint8Array {
  return encodeForNow(plain, encoderVersion).slice();
}

/** As `encode`, but in memory that the next call of this file uses again. */
export function encodeForNow(plain: Uint8Array, encoderVersion: number): Uint8Array {
  checkVersion(encoderVersion);
  return pack(plain, chooseFilter(plain, compressedSize));
}

function checkVersion(encoderVersion: number): void {
  if (encoderVersion !== ENCODER_VERSION)
    throw new SealError(
      'SEAL_VERSION_UNKNOWN',
      `encoder version ${encoderVersion} is not known to this release; update Aliquot`,
    );
}

/**
 * Encodes a piece of a slab to `out` from `at` on: as `encode`, without the four bytes that every
 * zstd frame begins with, which small files cannot spare.
 *
 * @param at From 4 on: what stands in the four bytes in front is lost. Behind it must be room for
 * `longestPiece` bytes.
 * @returns Where the encoded piece ends.
 * @throws SealError `SEAL_VERSION_UNKNOWN`.
 */
export function encodePiece(
  plain: Uint8Array,
  encoderVersion: number,
  out: Uint8Array,
  at: number,
): number {
  checkVersion(encoderVersion);
  const end = packInto(plain, chooseFilter(plain, compressedSize), out, at, frameMagic.length);
  return end - at <= plain.length ? end : storeInto(plain, out, at);
}

/**
 * Room that encoding a piece of so many bytes takes, of which it gives back what it does not need.
 */
export function longestPiece(length: number): number {
  return ROOM_FOR_HEADERS + longestFrame(length);
}

/** The plaintext of an encoded piece; see `decode`. `memory` gives what it is written to. */
export function decodePiece(
  encoded: Uint8Array,
  maxPlain: number,
  memory: (length: number) => Uint8Array = unwritten,
): Uint8Array {
  const codec = encoded[0] ?? 0;
  if ((codec & COMPRESSOR_BITS) === STORED) return decode(encoded, maxPlain);
  const { headerBytes } = parseFilter((codec >>> FILTER_SHIFT) & FILTER_BITS, encoded.subarray(1));
  const bodyAt = 1 + headerBytes;
  const whole = pieceBytes.of(encoded.length + frameMagic.length);
  whole.set(encoded.subarray(0, bodyAt));
  whole.set(frameMagic, bodyAt);
  whole.set(encoded.subarray(bodyAt), bodyAt + frameMagic.length);
  return decode(whole, maxPlain, memory);
}

/**
 * The plaintext of an encoded chunk.
 *
 * @param maxPlain Bytes that the caller is prepared to hold; a frame that would unfold to more is
 * refused while unfolding.
 * @param memory Gives what it is written to, unless it is a part of `encoded`.
 * @throws SealError `SEAL_CODEC_UNKNOWN`, `SEAL_CODEC_CORRUPT`, `SEAL_CODEC_TOO_LARGE`.
 */
export function decode(
  encoded: Uint8Array,
  maxPlain: number,
  memory: (length: number) => Uint8Array = unwritten,
): Uint8Array {
  const codec = encoded[0];
  if (codec === undefined)
    throw new SealError('SEAL_CODEC_CORRUPT', 'the chunk is empty: not even a codec byte');
  if ((codec & PADDING_BIT) !== 0) throw unknownCodec('padding');
  const compressor = codec & COMPRESSOR_BITS;
  if (compressor > ZSTD_PLANES) throw unknownCodec(`compressor ${compressor}`);
  const { filter, headerBytes } = parseFilter(
    (codec >>> FILTER_SHIFT) & FILTER_BITS,
    encoded.subarray(1),
  );
  const body = encoded.subarray(1 + headerBytes);
  if (compressor === STORED) {
    if (filter.kind !== 'none')
      throw new SealError('SEAL_CODEC_CORRUPT', 'stored content has a filter, which nobody writes');
    if (body.length > maxPlain) throw tooLarge(maxPlain);
    return body;
  }
  if (compressor === ZSTD_PLANES && filter.kind !== 'samples')
    throw new SealError('SEAL_CODEC_CORRUPT', 'content without planes has a frame for each');
  const frames = framesOf(
    body,
    compressor === ZSTD_PLANES && filter.kind === 'samples' ? planeCount(filter) : 1,
  );
  if (filter.kind === 'none') return unfold(frames, memory(maxPlain + 1), maxPlain);
  const filtered = unfold(frames, filteredBytes.of(maxPlain + 1), maxPlain);
  const plain = memory(filtered.length);
  undoFilter(filter, filtered, plain);
  return plain;
}

/** The frames that the body consists of, `count` of them. */
function framesOf(body: Uint8Array, count: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let at = 0;
  for (let left = count; left > 0; left -= 1) {
    const rest = body.subarray(at);
    const length = zstdFrameLength(rest);
    if (length === undefined) break;
    frames.push(rest.subarray(0, length));
    at += length;
  }
  if (frames.length !== count || at !== body.length) {
    throw new SealError(
      'SEAL_CODEC_CORRUPT',
      'the compressed content does not consist of whole frames: cut off, or bytes follow it',
    );
  }
  return frames;
}

/** Returns where it ends. */
function storeInto(plain: Uint8Array, out: Uint8Array, at: number): number {
  out[at] = STORED;
  out.set(plain, at + 1);
  return at + 1 + plain.length;
}

/** Filtered and compressed; stored when that is not shorter. */
function pack(plain: Uint8Array, filter: Filter): Uint8Array {
  const encoded = encodedBytes.of(ROOM_FOR_HEADERS + longestFrame(plain.length));
  const end = plain.length === 0 ? 1 : packInto(plain, filter, encoded, 0, 0);
  return encoded.subarray(0, end <= plain.length ? end : storeInto(plain, encoded, 0));
}

/**
 * Codec byte, filter header, frames. With `leaveOut`, so many bytes of the first frame lie below
 * what is written over them then.
 */
function packInto(
  plain: Uint8Array,
  filter: Filter,
  out: Uint8Array,
  at: number,
  leaveOut: number,
): number {
  const header = filterHeader(filter);
  const planes = planesOf(filtered(plain, filter), filter);
  const compressor = compressorFor(filter);
  let end = at + 1 + header.length - leaveOut;
  for (const plane of planes) end += compressor.compress(plane, out, end);
  out[at] = (planes.length > 1 ? ZSTD_PLANES : ZSTD) | (filterNumbers[filter.kind] << FILTER_SHIFT);
  out.set(header, at + 1);
  return end;
}

/** What is compressed by itself. */
function planesOf(filtered: Uint8Array, filter: Filter): Uint8Array[] {
  if (filter.kind !== 'samples' || filtered.length < PLANES_FROM_BYTES) return [filtered];
  const starts = [0, ...planeStarts(filtered.length, filter)];
  return starts.map((start, plane) => filtered.subarray(start, starts[plane + 1]));
}

function filtered(plain: Uint8Array, filter: Filter): Uint8Array {
  if (filter.kind === 'none') return plain;
  const out = filteredBytes.of(plain.length);
  applyFilter(filter, plain, out);
  return out;
}

function compressorFor(filter: Filter): ZstdCompressor {
  return filter.kind === 'samples' ? noiseCompressor : plainCompressor;
}

/** What a sample takes behind a filter. */
function compressedSize(sample: Uint8Array, filter: Filter): number {
  return compressorFor(filter).compress(
    filtered(sample, filter),
    encodedBytes.of(longestFrame(sample.length)),
    0,
  );
}

function unfold(frames: readonly Uint8Array[], out: Uint8Array, maxPlain: number): Uint8Array {
  let end = 0;
  for (const frame of frames) {
    const length = zstdDecoder.unfold(frame, end === 0 ? out : out.subarray(end));
    if (length === 'too-large') throw tooLarge(maxPlain);
    if (length === 'damaged')
      throw new SealError('SEAL_CODEC_CORRUPT', 'the compressed content is damaged');
    end += length;
  }
  return out.subarray(0, end);
}

function unknownCodec(what: string): SealError {
  return new SealError(
    'SEAL_CODEC_UNKNOWN',
    `the content uses ${what}, which this release does not know; update Aliquot`,
  );
}

function tooLarge(maxPlain: number): SealError {
  return new SealError(
    'SEAL_CODEC_TOO_LARGE',
    `the content unfolds to more than the ${maxPlain} bytes that its reference allows`,
  );
}
