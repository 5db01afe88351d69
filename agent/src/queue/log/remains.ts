import { MAX_COMMIT_HEADER_BYTES, SIGNATURE_BYTES } from '@aliquot/proto';
import type { CommitRemains } from '@aliquot/shared/commit/loss';
import type { Position } from '@aliquot/shared/records/format';
import { LayoutReader, LayoutWriter } from './codec.ts';
import { QueueError } from './errors.ts';
import type { QueueRecord } from './formats.ts';
import { encodeMembers, memberRuns } from './member-runs.ts';
import { type ClassBytes, classesIn, MAX_SLOTS, writeClasses } from './payloads.ts';

/*
 * What is left of a signed commit when its record has rotted: FORMAT.md, "Queue segment".
 */

/** What a signed commit's record says of it, without its blocks. */
export interface RemainsRecord extends CommitRemains {
  readonly sequence: number;
  readonly hash: Uint8Array;
  readonly itemBytes: number;
  readonly oldestMs: number;
  readonly holdSegment: number;
  /** The numbers of its versions in slot order, as runs (`encodeMembers`). */
  readonly numbers: Uint8Array;
  readonly classes: readonly ClassBytes[];
}

/** What was left of the newest commit, as it stands in the chain log. */
export interface QueuedRemains {
  readonly at: Position;
  readonly header: QueueRecord;
  readonly payload: Uint8Array;
}

/** Above what 4,096 numbers take. */
const MAX_RUN_BYTES = 64 * 1024;

export function encodeRemains(record: RemainsRecord): Uint8Array {
  const writer = new LayoutWriter()
    .u8(1)
    .u53(record.sequence)
    .raw(record.hash)
    .u53(record.itemBytes)
    .u53(record.oldestMs)
    .u53(record.holdSegment)
    .sized(record.numbers);
  return writeClasses(writer, record.classes).sized(record.header).raw(record.signature).done();
}

export function decodeRemains(payload: Uint8Array): RemainsRecord {
  const reader = new LayoutReader(payload, 'remains of a commit');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const sequence = reader.u53();
  const hash = reader.raw(32);
  const itemBytes = reader.u53();
  const oldestMs = reader.u53();
  const holdSegment = reader.u53();
  const numbers = reader.sized(MAX_RUN_BYTES);
  const classes = classesIn(reader);
  const header = reader.sized(MAX_COMMIT_HEADER_BYTES);
  const signature = reader.raw(SIGNATURE_BYTES);
  reader.end();
  if (entriesIn(numbers).length === 0) throw reader.damaged('it names no version');
  const sums = { itemBytes, oldestMs, holdSegment };
  return { sequence, hash, ...sums, numbers, classes, header, signature };
}

/** The numbers of a commit's versions as runs. */
export function numberRuns(entries: readonly number[]): Uint8Array {
  return encodeMembers(Float64Array.from(entries)) ?? new Uint8Array();
}

/** The numbers again, in slot order. Error: `QUEUE_DAMAGED` for what is none of a commit. */
export function entriesIn(numbers: Uint8Array): number[] {
  const entries: number[] = [];
  for (const { from, to } of memberRuns(numbers)) {
    if (entries.length + to - from + 1 > MAX_SLOTS)
      throw new QueueError('QUEUE_DAMAGED', 'a commit names more versions than one has');
    for (let entry = from; entry <= to; entry += 1) entries.push(entry);
  }
  return entries;
}
