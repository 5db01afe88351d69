import { AliquotError } from '@aliquot/proto';

export type SealErrorCode =
  /** The codec byte names a compressor, filter or padding that this release does not know. */
  | 'SEAL_CODEC_UNKNOWN'
  /** The compressed bytes are not one whole zstd frame. */
  | 'SEAL_CODEC_CORRUPT'
  /** The content would unfold to more than its reference allows. */
  | 'SEAL_CODEC_TOO_LARGE'
  /** The vault's parameters name a chunker or encoder version that this release does not have. */
  | 'SEAL_VERSION_UNKNOWN'
  /** Chunk sizes that no chunker can work with. */
  | 'SEAL_PARAMETERS'
  /** The bytes are not the ones that the id stands for: damaged or swapped. */
  | 'SEAL_ID_MISMATCH'
  /** The key does not open these bytes: another vault's, another kind's, or a wrong key. */
  | 'SEAL_AUTHENTICATION'
  /** What came out has another size than the reference says. */
  | 'SEAL_SIZE_MISMATCH'
  /** A page stands at another depth than the content that names it says. */
  | 'SEAL_PAGE_DEPTH'
  /** A content list and its list of keys have different lengths. */
  | 'SEAL_KEY_COUNT'
  /** There is no dedup secret for the epoch that is to seal. */
  | 'SEAL_EPOCH_UNKNOWN';

/** Content that could not be cut, sealed, or opened again. */
export class SealError extends AliquotError<SealErrorCode> {}
