/**
 * FORMAT.md, "StoredCommit", "StoredEvent", "StoredUploads", "StoredReferences", "StoredExpired",
 * "StoredDropped", "StoredSwept", "StateRecord" and "HistoryCommit".
 */
import {
  HASH_BYTES,
  MAX_AGENT_NAME_CHARS,
  MAX_BLOCK_BYTES,
  MAX_CHUNK_PLAIN_BYTES,
  MAX_COMMIT_BLOCKS,
  MAX_COMMIT_BYTES,
  MAX_COMMIT_ENTRIES,
  MAX_COMMIT_HEADER_BYTES,
  MAX_DROPPED_LEAVES,
  MAX_EVENT_BYTES,
  MAX_EXPIRED_LEAVES,
  MAX_LOG_LEAF_BYTES,
  MAX_RECORD_BYTES,
  MAX_REFERENCE_IDS,
  MAX_SUMMARY_BYTES,
  MAX_SWEPT_IDS,
  MAX_UPLOAD_IDS,
} from '../limits.ts';
import type {
  BlockFacts,
  HistoryCommit,
  LeafSlots,
  StateRecord,
  StoredCommit,
  StoredDropped,
  StoredEvent,
  StoredExpired,
  StoredPurged,
  StoredReferences,
  StoredSwept,
  StoredUploads,
} from '../record-types.ts';
import { codec } from './codec.ts';
import { signed } from './common.ts';
import { checked, type Field, list, object, optional, refusal } from './field.ts';
import { v1 } from './generated.ts';
import {
  AGENT_NAME,
  bytes,
  chunkIds,
  counter,
  flag,
  hash,
  indexes,
  lineageId,
  marks,
  numbers,
  positive,
  purgeId,
  signature,
  text,
  timeMs,
  uint,
  uint32,
  view,
} from './scalar.ts';

const leaf = bytes(1, MAX_LOG_LEAF_BYTES);

const blockFacts: Field<BlockFacts> = object<BlockFacts>('BlockFacts', {
  block: uint(0, MAX_COMMIT_BLOCKS - 1),
  rows: view(1, MAX_BLOCK_BYTES),
});

/** An accepted commit in the journal. `commit` and facts are views over the input. */
export const { encode: encodeStoredCommit, decode: decodeStoredCommit } = codec<StoredCommit>(
  'StoredCommit',
  v1.StoredCommit,
  checked(
    object<StoredCommit>(
      'StoredCommit',
      {
        commit: view(1, MAX_COMMIT_BYTES),
        leaf,
        receipt: signed,
        facts: optional(list(blockFacts, 0, MAX_COMMIT_BLOCKS)),
      },
      { impliedVersion: true },
    ),
    ({ facts = [] }, label) => {
      for (const [at, { block }] of facts.entries())
        if (block <= (facts[at - 1]?.block ?? -1))
          throw refusal('FORMAT_MALFORMED', label, 'is not in rising order');
    },
  ),
  { maxBytes: MAX_RECORD_BYTES, maxFields: MAX_COMMIT_BLOCKS + 4 },
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

/** Some slots of one leaf. */
const leafSlots = checked(
  object<LeafSlots>('LeafSlots', {
    leafIndex: counter,
    slots: bytes(1, MAX_COMMIT_ENTRIES / 8),
  }),
  ({ slots }, label) => {
    if (slots.at(-1) === 0) throw refusal('FORMAT_MALFORMED', label, 'ends with an empty byte');
  },
);

/** Versions that were taken out of the catalog, in the history. */
export const { encode: encodeStoredDropped, decode: decodeStoredDropped } = codec<StoredDropped>(
  'StoredDropped',
  v1.StoredDropped,
  checked(
    object<StoredDropped>(
      'StoredDropped',
      { run: positive, branchId: lineageId, leaves: list(leafSlots, 1, MAX_DROPPED_LEAVES) },
      { impliedVersion: true },
    ),
    ({ leaves }, label) => {
      for (const [at, { leafIndex }] of leaves.entries())
        if (leafIndex <= (leaves[at - 1]?.leafIndex ?? -1))
          throw refusal('FORMAT_MALFORMED', label, 'is not in rising order');
    },
  ),
  { maxBytes: MAX_RECORD_BYTES, maxFields: MAX_DROPPED_LEAVES + 3 },
);

/** A commit of which versions were purged, in the history. */
export const { encode: encodeStoredPurged, decode: decodeStoredPurged } = codec<StoredPurged>(
  'StoredPurged',
  v1.StoredPurged,
  checked(
    object<StoredPurged>(
      'StoredPurged',
      {
        purgeId,
        part: uint32,
        leafIndex: counter,
        slots: bytes(0, MAX_COMMIT_ENTRIES / 8),
        commit: view(1, MAX_COMMIT_BYTES),
      },
      { impliedVersion: true },
    ),
    ({ slots }, label) => {
      if (slots.at(-1) === 0) throw refusal('FORMAT_MALFORMED', label, 'ends with an empty byte');
    },
  ),
  { maxBytes: MAX_RECORD_BYTES },
);

/** Items that left a lineage's set, in the history. */
export const { encode: encodeStoredSwept, decode: decodeStoredSwept } = codec<StoredSwept>(
  'StoredSwept',
  v1.StoredSwept,
  checked(
    object<StoredSwept>(
      'StoredSwept',
      {
        lineageId,
        gcEpoch: positive,
        ids: chunkIds(0, MAX_SWEPT_IDS),
        unwalked: chunkIds(0, MAX_SWEPT_IDS),
        isEnd: flag,
        timeMs,
      },
      { impliedVersion: true },
    ),
    ({ ids, unwalked, isEnd }, label) => {
      if (ids.length === 0 && unwalked.length === 0 && !isEnd)
        throw refusal('FORMAT_MALFORMED', label, 'says nothing');
    },
  ),
  { maxBytes: MAX_RECORD_BYTES },
);

/** What a run of retention expired, in the history. */
export const { encode: encodeStoredExpired, decode: decodeStoredExpired } = codec<StoredExpired>(
  'StoredExpired',
  v1.StoredExpired,
  checked(
    object<StoredExpired>(
      'StoredExpired',
      {
        run: positive,
        part: uint32,
        branchId: lineageId,
        agent: text(1, MAX_AGENT_NAME_CHARS, AGENT_NAME, 'the name of an agent'),
        leaves: list(leafSlots, 1, MAX_EXPIRED_LEAVES),
      },
      { impliedVersion: true },
    ),
    ({ leaves }, label) => {
      if (leaves.some(({ leafIndex }, at) => leafIndex <= (leaves[at - 1]?.leafIndex ?? -1)))
        throw refusal('FORMAT_MALFORMED', label, 'is not in rising order');
    },
  ),
  { maxBytes: MAX_RECORD_BYTES, maxFields: MAX_EXPIRED_LEAVES + 8 },
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

/** A commit of a history without its rows. */
export const { encode: encodeHistoryCommit, decode: decodeHistoryCommit } = codec<HistoryCommit>(
  'HistoryCommit',
  v1.HistoryCommit,
  checked(
    object<HistoryCommit>(
      'HistoryCommit',
      {
        header: bytes(HASH_BYTES, MAX_COMMIT_HEADER_BYTES),
        signature,
        leafIndex: counter,
        receivedAtMs: timeMs,
        branchId: lineageId,
        summary: marks,
        lost: marks,
        lossHash: optional(hash),
        dropped: marks,
      },
      { impliedVersion: true },
    ),
    ({ summary, lost, lossHash }, label) => {
      if (lossHash === undefined && (summary.length === 0 || lost.length > 0))
        throw refusal('FORMAT_MALFORMED', label, 'must have a loss where something is missing');
    },
  ),
  { maxBytes: 3 * MAX_SUMMARY_BYTES + 2 * MAX_COMMIT_HEADER_BYTES },
);
