import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { SealError } from './errors.ts';
import { zstdFrameLength } from './zstd-frame.ts';

/**
 * The codec byte in front of every encoded chunk: bits 0–3 compressor, bits 4–6 numeric filter, bit 7 padding.
 * Filters and padding have their place from the first day; this release writes neither and refuses both.
 */
const STORED = 0;
const ZSTD = 1;
const COMPRESSOR_BITS = 0x0f;
const FILTER_SHIFT = 4;
const FILTER_BITS = 0x07;
const PADDING_BIT = 0x80;

/**
 * Level 1, by measurement on 90 MB of instrument files (zstd 1.5.7): 0.489 of the size at about 300 MB/s, against 0.470
 * at about 145 MB/s for level 3. The agent shares its machine with an instrument, so half the work for 4 % wins.
 */
const ENCODER_1_LEVEL = 1;
/** Chunks above this are first judged by a sample. Smaller ones cost less to compress than to judge. */
const SAMPLE_FROM_BYTES = 64 * 1024;
const SAMPLE_PIECES = 8;
const SAMPLE_PIECE_BYTES = 4 * 1024;
/** A sample that keeps more than this part of its size announces a chunk that will not shrink. */
const SAMPLE_KEEPS_AT_MOST = 0.98;
/** The largest window that a reader sets memory aside for: 8 MiB, twice the largest chunk. */
const MAX_WINDOW_LOG = 23;

/**
 * Encodes one chunk's plaintext: codec byte, then the bytes compressed, or as they are when that is not longer.
 *
 * Pure: one version gives the same bytes for the same content on every platform, and so one chunk id (frozen vectors in
 * `shared/vectors/codec.json` notice a zstd that decides otherwise; different bytes would cost deduplication, never
 * safety, because the key follows from the encoded bytes).
 *
 * @throws SealError `SEAL_VERSION_UNKNOWN`.
 */
export function encode(plain: Uint8Array, encoderVersion: number): Uint8Array {
  if (encoderVersion !== 1) {
    throw new SealError('SEAL_VERSION_UNKNOWN', `encoder version ${encoderVersion} is not known to this release; update Aliquot`);
  }
  if (plain.length > 0 && sampleShrinks(plain)) {
    const packed = compress(plain);
    if (packed.length < plain.length) return withCodecByte(ZSTD, packed);
  }
  return withCodecByte(STORED, plain);
}

/**
 * The plaintext of an encoded chunk.
 *
 * @param maxPlain Bytes that the caller is prepared to hold; a frame that would unfold to more is refused while unfolding.
 * @throws SealError `SEAL_CODEC_UNKNOWN`, `SEAL_CODEC_CORRUPT`, `SEAL_CODEC_TOO_LARGE`.
 */
export function decode(encoded: Uint8Array, maxPlain: number): Uint8Array {
  const codec = encoded[0];
  if (codec === undefined) throw new SealError('SEAL_CODEC_CORRUPT', 'the chunk is empty: not even a codec byte');
  if ((codec & PADDING_BIT) !== 0) throw unknownCodec('padding');
  const filter = (codec >>> FILTER_SHIFT) & FILTER_BITS;
  if (filter !== 0) throw unknownCodec(`filter ${filter}`);
  const body = encoded.subarray(1);
  switch (codec & COMPRESSOR_BITS) {
    case STORED:
      if (body.length > maxPlain) throw tooLarge(maxPlain);
      return body;
    case ZSTD:
      return decompress(body, maxPlain);
    default:
      throw unknownCodec(`compressor ${codec & COMPRESSOR_BITS}`);
  }
}

function withCodecByte(codec: number, body: Uint8Array): Uint8Array {
  const encoded = new Uint8Array(body.length + 1);
  encoded[0] = codec;
  encoded.set(body, 1);
  return encoded;
}

function compress(plain: Uint8Array): Uint8Array {
  return zstdCompressSync(plain, {
    // Room for the worst case, so that zstd works in one step from buffer to buffer.
    chunkSize: Math.max(1024, plain.length + (plain.length >>> 7) + 512),
    params: { [constants.ZSTD_c_compressionLevel]: ENCODER_1_LEVEL },
  });
}

/** Whether a few pieces from all over the chunk promise that compressing the whole is worth the time. */
function sampleShrinks(plain: Uint8Array): boolean {
  if (plain.length < SAMPLE_FROM_BYTES) return true;
  const sample = new Uint8Array(SAMPLE_PIECES * SAMPLE_PIECE_BYTES);
  const step = Math.floor((plain.length - SAMPLE_PIECE_BYTES) / (SAMPLE_PIECES - 1));
  for (let piece = 0; piece < SAMPLE_PIECES; piece += 1) {
    sample.set(plain.subarray(piece * step, piece * step + SAMPLE_PIECE_BYTES), piece * SAMPLE_PIECE_BYTES);
  }
  return compress(sample).length <= sample.length * SAMPLE_KEEPS_AT_MOST;
}

function decompress(body: Uint8Array, maxPlain: number): Uint8Array {
  if (zstdFrameLength(body) !== body.length) {
    throw new SealError('SEAL_CODEC_CORRUPT', 'the compressed content is not one whole frame: cut off, or bytes follow it');
  }
  const plain = unfold(body, maxPlain);
  if (plain.length > maxPlain) throw tooLarge(maxPlain);
  return plain;
}

function unfold(body: Uint8Array, maxPlain: number): Uint8Array {
  try {
    return zstdDecompressSync(body, {
      // One output buffer of the expected size; the byte to spare lets zstd see at once that it is done.
      chunkSize: Math.max(1024, maxPlain + 1),
      maxOutputLength: Math.max(1, maxPlain),
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxPlain);
    throw new SealError('SEAL_CODEC_CORRUPT', 'the compressed content is damaged', { cause: error });
  }
}

function unknownCodec(what: string): SealError {
  return new SealError('SEAL_CODEC_UNKNOWN', `the content uses ${what}, which this release does not know; update Aliquot`);
}

function tooLarge(maxPlain: number): SealError {
  return new SealError('SEAL_CODEC_TOO_LARGE', `the content unfolds to more than the ${maxPlain} bytes that its reference allows`);
}
