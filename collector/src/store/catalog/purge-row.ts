import {
  asPurgeId,
  decodePurgeOrderBody,
  encodePurgeOrderBody,
  ID_BYTES,
  type PurgeId,
  type PurgeOrderBody,
} from '@aliquot/proto';
import type { HistoryPlace } from '../history/history-log.ts';
import { RowReader, RowWriter } from './row.ts';

/** A purge in the catalog. */
export interface PurgeRow {
  readonly body: PurgeOrderBody;
  readonly ordered: PurgeWord;
  /**
   * `unswept`: the epoch that its lineage's agents were told and that was not swept then; 0: none.
   * What was purged after that was told counts as there until it is.
   */
  readonly approved:
    | (PurgeWord & {
        readonly unswept: number;
        /** The newest epoch that its lineage's agents had been told: the next one takes the content. */
        readonly announced: number;
        /** When a sweep had taken the content; 0 while it waits. */
        readonly sweptAtMs: number;
      })
    | undefined;
  /** `by`: empty for the authority. */
  readonly cancelled: (PurgeWord & { readonly reason: string }) | undefined;
}

/** Something that an operator said of a purge: where and when, and who it was. */
export interface PurgeWord {
  readonly leaf: number;
  readonly timeMs: number;
  readonly by: string;
}

export function encodePurge({ body, ordered, approved, cancelled }: PurgeRow): Buffer {
  const row = word(new RowWriter().blob(encodePurgeOrderBody(body)), ordered);
  row.u8(approved === undefined ? 0 : 1);
  if (approved !== undefined) encodeApproved(row, approved);
  row.u8(cancelled === undefined ? 0 : 1);
  if (cancelled !== undefined) word(row, cancelled).text(cancelled.reason);
  return row.finish();
}

/** Errors: `STORE_CATALOG`, `FORMAT_…`. */
export function decodePurge(bytes: Uint8Array): PurgeRow {
  const row = new RowReader(bytes);
  const set = { body: decodePurgeOrderBody(row.blob()), ordered: readWord(row) };
  const approved = row.u8() === 0 ? undefined : readApproved(row);
  const cancelled = row.u8() === 0 ? undefined : { ...readWord(row), reason: row.text() };
  return { ...set, approved, cancelled };
}

function encodeApproved(row: RowWriter, approved: NonNullable<PurgeRow['approved']>): void {
  const { unswept, announced, sweptAtMs } = approved;
  word(row, approved).u64(unswept).u64(announced).u64(sweptAtMs);
}

function readApproved(row: RowReader): NonNullable<PurgeRow['approved']> {
  const said = readWord(row);
  return { ...said, unswept: row.u64(), announced: row.u64(), sweptAtMs: row.u64() };
}

function word(row: RowWriter, { leaf, timeMs, by }: PurgeWord): RowWriter {
  return row.u64(leaf).u64(timeMs).text(by);
}

function readWord(row: RowReader): PurgeWord {
  return { leaf: row.u64(), timeMs: row.u64(), by: row.text() };
}

/** A commit that a purge has sealed anew. */
export interface PurgedCommit {
  readonly purgeId: PurgeId;
  /** Of its `StoredPurged`. */
  readonly place: HistoryPlace;
  /** The leaf of the approval; 0 before there is one. */
  readonly approvedLeaf: number;
  /** What went: a bit for each slot. */
  readonly slots: Uint8Array;
}

export function encodePurgedCommit({ purgeId, place, approvedLeaf, slots }: PurgedCommit): Buffer {
  const row = new RowWriter().fixed(purgeId).u32(place.file).u32(place.offset).u32(place.length);
  return row.u64(approvedLeaf).blob(slots).finish();
}

/** Error: `STORE_CATALOG`. */
export function decodePurgedCommit(bytes: Uint8Array): PurgedCommit {
  const row = new RowReader(bytes);
  const purgeId = asPurgeId(row.fixed(ID_BYTES));
  const place = { file: row.u32(), offset: row.u32(), length: row.u32() };
  return { purgeId, place, approvedLeaf: row.u64(), slots: row.blob() };
}

/** A record of a purge that no approval behind it has made mean anything. */
export interface BegunPurge extends Omit<PurgedCommit, 'approvedLeaf'> {
  readonly leafIndex: number;
  /** A crash has left it: another beginning stands behind it. */
  readonly isLeft: boolean;
}

export function encodePurging(begun: readonly BegunPurge[]): Buffer {
  const row = new RowWriter().u32(begun.length);
  for (const { leafIndex, isLeft, ...commit } of begun)
    row
      .u64(leafIndex)
      .u8(isLeft ? 1 : 0)
      .blob(encodePurgedCommit({ ...commit, approvedLeaf: 0 }));
  return row.finish();
}

/** Error: `STORE_CATALOG`. */
export function decodePurging(bytes: Uint8Array): BegunPurge[] {
  const row = new RowReader(bytes);
  const begun: BegunPurge[] = [];
  for (let left = row.u32(); left > 0; left -= 1) {
    const [leafIndex, isLeft] = [row.u64(), row.u8() !== 0];
    const { purgeId, place, slots } = decodePurgedCommit(row.blob());
    begun.push({ leafIndex, isLeft, purgeId, place, slots });
  }
  return begun;
}

/** In the place of the number of a run, for what a purge drops: no run comes to it. */
const PURGE_RUNS = 2 ** 40;

/** Under which number a purge drops, by the leaf of its approval. */
export function purgeRun(approvedLeaf: number): number {
  return PURGE_RUNS + approvedLeaf;
}

/** The leaf of the approval; undefined where it is the number of a run. */
export function approvalOfRun(run: number): number | undefined {
  return run < PURGE_RUNS ? undefined : run - PURGE_RUNS;
}
