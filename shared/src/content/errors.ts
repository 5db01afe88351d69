import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** The codec byte names a compressor, filter or padding that this release does not know. */
  SEAL_CODEC_UNKNOWN: 'final',
  /** The compressed bytes are not one whole zstd frame. */
  SEAL_CODEC_CORRUPT: 'final',
  /** The content would unfold to more than its reference allows. */
  SEAL_CODEC_TOO_LARGE: 'final',
  /** The vault's parameters name a chunker or encoder version that this release does not have. */
  SEAL_VERSION_UNKNOWN: 'final',
  /** Chunk sizes that no chunker can work with. */
  SEAL_PARAMETERS: 'final',
  /** The bytes are not the ones that the id stands for: damaged or swapped. */
  SEAL_ID_MISMATCH: 'final',
  /** The key does not open these bytes: another vault's, another kind's, or a wrong key. */
  SEAL_AUTHENTICATION: 'final',
  /** What came out has another size than the reference says. */
  SEAL_SIZE_MISMATCH: 'final',
  /** A page stands at another depth than the content that names it says. */
  SEAL_PAGE_DEPTH: 'final',
  /** A content list and its list of keys have different lengths. */
  SEAL_KEY_COUNT: 'final',
  /** The slab is here without this piece. */
  SEAL_PIECE_MISSING: 'final',
  /** There is no dedup secret for the epoch that is to seal. */
  SEAL_EPOCH_UNKNOWN: 'final',
} satisfies ErrorCodes;

export type SealErrorCode = keyof typeof codes;

/** Content that could not be cut, sealed, or opened again. */
export class SealError extends AliquotError<SealErrorCode> {
  static override readonly codes = codes;
}
