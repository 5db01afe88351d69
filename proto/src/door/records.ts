/** FORMAT.md, "StoredCommit", "StoredEvent", "StoredUploads", "StoredReferences" and "StateRecord". */
import {
  MAX_CHUNK_PLAIN_BYTES,
  MAX_COMMIT_BYTES,
  MAX_COMMIT_ENTRIES,
  MAX_EVENT_BYTES,
  MAX_LOG_LEAF_BYTES,
  MAX_RECORD_BYTES,
  MAX_REFERENCE_IDS,
  MAX_UPLOAD_IDS,
} from '../limits.ts';
import type {
  StateRecord,
  StoredCommit,
  StoredEvent,
  StoredReferences,
  StoredUploads,
} from '../record-types.ts';
import { codec } from './codec.ts';
import { signed } from './common.ts';
import { checked, object, refusal } from './field.ts';
import { v1 } from './generated.ts';
import { bytes, chunkIds, indexes, lineageId, numbers, timeMs, uint, view } from './scalar.ts';

const leaf = bytes(1, MAX_LOG_LEAF_BYTES);

/** An accepted commit in the journal. `commit` is a view over the input. */
export const { encode: encodeStoredCommit, decode: decodeStoredCommit } = codec<StoredCommit>(
  'StoredCommit',
  v1.StoredCommit,
  object<StoredCommit>(
    'StoredCommit',
    { commit: view(1, MAX_COMMIT_BYTES), leaf, receipt: signed },
    { impliedVersion: true },
  ),
  { maxBytes: MAX_RECORD_BYTES },
);

/** An audit event in the journal. */
export const { encode: encodeStoredEvent, decode: decodeStoredEvent } = codec<StoredEvent>(
  'StoredEvent',
  v1.StoredEvent,
  object<StoredEvent>(
    'StoredEvent',
    { event: bytes(1, MAX_EVENT_BYTES), leaf },
    { impliedVersion: true },
  ),
  { maxBytes: MAX_EVENT_BYTES + 2 * MAX_LOG_LEAF_BYTES },
);

/** Upload ownership in the journal. */
export const { encode: encodeStoredUploads, decode: decodeStoredUploads } = codec<StoredUploads>(
  'StoredUploads',
  v1.StoredUploads,
  object<StoredUploads>(
    'StoredUploads',
    { lineageId, ids: chunkIds(1, MAX_UPLOAD_IDS) },
    { impliedVersion: true },
  ),
  { maxBytes: MAX_RECORD_BYTES },
);

/** A packed list of sizes below 2^24: four bytes each at most. */
const PLAIN_SIZES_FIELD = 5;
const PLAIN_SIZE_BYTES = 4;

const plainSizes = numbers(uint(1, MAX_CHUNK_PLAIN_BYTES), 0, MAX_REFERENCE_IDS);

/** Pages that were proved, in the history. */
export const { encode: encodeStoredReferences, decode: decodeStoredReferences } =
  codec<StoredReferences>(
    'StoredReferences',
    v1.StoredReferences,
    checked(
      object<StoredReferences>(
        'StoredReferences',
        {
          lineageId,
          pages: chunkIds(1, MAX_REFERENCE_IDS),
          chunks: chunkIds(0, MAX_REFERENCE_IDS),
          plainSizes,
        },
        { impliedVersion: true },
      ),
      (record, label) => {
        if (record.chunks.length !== record.plainSizes.length)
          throw refusal('FORMAT_MALFORMED', label, 'must have one size for each chunk');
      },
    ),
    {
      maxBytes: MAX_RECORD_BYTES,
      fieldBytes: { [PLAIN_SIZES_FIELD]: MAX_REFERENCE_IDS * PLAIN_SIZE_BYTES },
    },
  );

/** Bytes of a packed list: an index below 4,096 takes two at most, a time seven or eight. */
const LIVE_FIELD = 6;
const VERSION_TIMES_FIELD = 7;

/** A commit handed to an operator with all that verifies it. `commit` is a view over the input. */
export const { encode: encodeStateRecord, decode: decodeStateRecord } = codec<StateRecord>(
  'StateRecord',
  v1.StateRecord,
  checked(
    object<StateRecord>(
      'StateRecord',
      {
        enrolment: signed,
        binding: signed,
        commit: view(1, MAX_COMMIT_BYTES),
        receipt: signed,
        live: indexes(MAX_COMMIT_ENTRIES),
        versionTimesMs: numbers(timeMs, 0, MAX_COMMIT_ENTRIES),
      },
      { impliedVersion: true },
    ),
    (record, label) => {
      if (record.live.length !== record.versionTimesMs.length)
        throw refusal('FORMAT_MALFORMED', label, 'must have one time for each slot');
    },
  ),
  {
    maxBytes: MAX_RECORD_BYTES,
    fieldBytes: {
      [LIVE_FIELD]: MAX_COMMIT_ENTRIES * 2,
      [VERSION_TIMES_FIELD]: MAX_COMMIT_ENTRIES * 8,
    },
  },
);
