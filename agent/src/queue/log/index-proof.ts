import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { Position } from '@aliquot/shared/records/format';
import type { RecordReader } from '@aliquot/shared/records/reader';
import { QueueError } from './errors.ts';
import { type ChainKind, type RecordKind, type SegmentKind, tagOf } from './formats.ts';
import {
  decodeCommitPlace,
  decodeItemPlace,
  decodeUnsigned,
  familyFrom,
  familyRange,
  numberInKey,
  numberKey,
  unsignedEntries,
} from './index-rows.ts';
import type { AppliedRecord } from './index-state.ts';
import type { IndexStore } from './index-store.ts';
import { decodeVersion } from './payloads.ts';
import { unsignedWith } from './unsigned.ts';

/*
 * Whether an index may be believed. What follows from it cannot be taken back: segments are
 * dropped, and versions are held to be sent.
 */

/** Items that are looked at, when the newest records say nothing. */
const SAMPLE = 256;

/**
 * Whether the index is of these logs: an index that was copied from another folder, or is older
 * than their last new beginning, is not.
 */
export async function isOfLogs(
  index: IndexStore,
  segments: RecordReader<SegmentKind>,
  chain: RecordReader<ChainKind>,
): Promise<boolean> {
  const { lastSegment, lastChain } = index.state;
  const verdicts = [await compare(segments, lastSegment), await compare(chain, lastChain)];
  if (verdicts.includes('same')) return true;
  // The one record that would prove it may be what has rotted, or stood in a segment that is gone.
  const isThere = placesIn(segments);
  let looked = 0;
  for await (const [key, value] of index.iterate(familyRange('i'), { limit: SAMPLE })) {
    const at = decodeItemPlace(value);
    if (!isThere(at)) continue;
    const header = await segments.readHeader(at);
    if (header !== undefined && equalBytes(header.digest, key.subarray(1))) return true;
    looked += 1;
  }
  return looked === 0 && verdicts.every((verdict) => verdict === 'unknown');
}

async function compare<K extends RecordKind>(
  log: RecordReader<K>,
  applied: AppliedRecord | undefined,
): Promise<'same' | 'other' | 'unknown'> {
  if (applied === undefined) return 'unknown';
  const size = log.files().find(({ number }) => number === applied.file)?.size ?? 0;
  if (size < applied.offset + RECORD_HEADER_BYTES) return 'unknown';
  const header = await log.readHeader(applied);
  return header !== undefined && tagOf(header) === applied.digest ? 'same' : 'other';
}

/** Whether the record whose first version this is stands there. */
export async function holds(
  segments: RecordReader<SegmentKind>,
  at: Position,
  entry: number,
): Promise<boolean> {
  try {
    const { header, payload } = await segments.read(at);
    return header.kind === 'version' && decodeVersion(payload).head.entry === entry;
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
    return false;
  }
}

export interface Survey {
  /**
   * Every version and commit that waits for its receipt is there, with its hold, as the counters
   * say.
   */
  readonly whole: boolean;
  /** Unsigned versions whose records no segment holds. */
  readonly unreachable: readonly number[];
}

/**
 * Counts what waits for its receipt: LevelDB loses writes from among others silently when bytes of
 * its log have rotted.
 */
export async function survey(
  index: IndexStore,
  segments: RecordReader<SegmentKind>,
): Promise<Survey> {
  const { receiptedSequence, inheritedSequence, chainHead, pendingEntries } = index.state;
  const isThere = placesIn(segments);
  const unreachable: number[] = [];
  let lowestHold = Number.MAX_SAFE_INTEGER;
  let entries = 0;
  let holding = 0;
  for await (const [key, value] of index.unsigned()) {
    const versions = decodeUnsigned(value);
    const { at, holdSegment } = versions;
    const waiting = unsignedEntries(numberInKey(key), versions);
    lowestHold = Math.min(lowestHold, holdSegment);
    entries += waiting.length;
    holding += 1;
    if (!isThere(at)) unreachable.push(...waiting);
  }
  for (
    let sequence = Math.max(receiptedSequence, inheritedSequence) + 1;
    sequence <= (chainHead?.sequence ?? 0);
    sequence += 1
  ) {
    const value = await index.getWritten(numberKey('c', sequence));
    if (value === undefined) return { whole: false, unreachable };
    const commit = decodeCommitPlace(value);
    lowestHold = Math.min(lowestHold, commit.holdSegment);
    entries += commit.entries;
    holding += 1;
  }
  let held = 0;
  if (holding > 0) for await (const _ of index.iterate(familyFrom('h', lowestHold))) held += 1;
  return { whole: entries === pendingEntries && held === holding, unreachable };
}

/** Whether a record may stand at a place: its file is there, and reaches so far. */
export function placesIn(segments: RecordReader<SegmentKind>): (at: Position) => boolean {
  const sizes = new Map(segments.files().map(({ number, size }) => [number, size]));
  return ({ file, offset }) => offset + RECORD_HEADER_BYTES <= (sizes.get(file) ?? 0);
}

/**
 * The logs prove that this version waits: an index that does not know it is wrong, and is made
 * again (throws `QUEUE_INDEX`, or the index's own word for it).
 */
export async function mustKnow(index: IndexStore, entry: number): Promise<void> {
  const { signedEntry, receiptedEntry } = index.state;
  if (receiptedEntry < entry && entry <= signedEntry) return;
  if ((await unsignedWith(index, entry)) === undefined)
    await index.condemn(`version ${entry} waits, and is not in it`);
}

/** Whether a segment is missing between others: they are dropped oldest first. */
export function hasGap(segments: RecordReader<SegmentKind>): boolean {
  const numbers = segments.files().map(({ number }) => number);
  return numbers.some((number, at) => at > 0 && number !== (numbers[at - 1] ?? 0) + 1);
}
