import { sha256 } from '@aliquot/shared/crypto/primitives';
import type { IndexOptions } from '@aliquot/shared/derived/level-index';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { salvagedRows } from '@aliquot/shared/derived/salvage';
import type { RecordLog } from '@aliquot/shared/records/record-log';
import { QueueError } from './errors.ts';
import type { ChainKind, SegmentKind } from './formats.ts';
import { decodeUnsigned, familyRange, numberInKey, unsignedEntries } from './index-rows.ts';
import { decodeColumns, unpackKnown } from './known-block.ts';
import { decodeLostRecord, lostRecords } from './lost-payloads.ts';
import { NumberSet } from './number-set.ts';
import { decodeSignedRecord, decodeVersion, entriesOfHead, type KnownRecord } from './payloads.ts';
import { decodeRemains, entriesIn } from './remains.ts';

/**
 * Tells of what only a damaged index knows, before it is removed: versions that wait to be signed
 * and that no segment holds any more are named as lost in the chain log. Its rows prove nothing, so
 * a version counts as lost only when neither log knows it.
 *
 * How many these are.
 */
export async function nameBeyond(
  disk: DiskPort,
  options: IndexOptions,
  logs: { readonly segments: RecordLog<SegmentKind>; readonly chain: RecordLog<ChainKind> },
): Promise<number> {
  const told = new NumberSet();
  const signed = await addSettled(logs.chain, told);
  await addHeld(logs.segments, told);
  const lost = new Set<number>();
  const names = new Map<number, Uint8Array>();
  for await (const [key, value] of salvagedRows(disk, options, familyRange('q')))
    for (const entry of salvagedEntries(numberInKey(key), value))
      if (!told.has(entry)) lost.add(entry);
  // Many versions share a row of what waits. Where that one has rotted, what is known of each file
  // tells of it; numbers are signed in their order, so behind the last one only.
  for (const family of ['K', 'k'] as const)
    for await (const [, value] of salvagedRows(disk, options, familyRange(family)))
      for (const { entry, stat } of knownIn(value)) {
        if (told.has(entry) || (entry <= signed && !lost.has(entry))) continue;
        lost.add(entry);
        names.set(entry, stat.path);
      }
  if (lost.size === 0) return 0;
  const { chain } = logs;
  await chain.resume(() => undefined);
  for (const payload of lostRecords(
    [...lost].sort((a, b) => a - b),
    names,
  ))
    await chain.append('lost', payload, sha256(payload));
  await chain.sync();
  return lost.size;
}

/** The known files of a row; none when it is of another release. */
function knownIn(value: Uint8Array): readonly KnownRecord[] {
  try {
    return value.length === 0 ? [] : unpackKnown(value).map(decodeColumns);
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
    return [];
  }
}

/** What a row says that waits; of one of another release, its own number. */
function salvagedEntries(first: number, value: Uint8Array): readonly number[] {
  try {
    return unsignedEntries(first, decodeUnsigned(value));
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
    return [first];
  }
}

/** Adds the numbers of the versions that segments hold. */
async function addHeld(segments: RecordLog<SegmentKind>, numbers: NumberSet): Promise<void> {
  const take = (kind: SegmentKind) => (kind === 'version' ? 'give' : 'skip');
  for (const { number } of segments.files()) {
    for await (const item of segments.scanFile(number, { take })) {
      if (item.type !== 'record' || item.payload === undefined) continue;
      try {
        for (const entry of entriesOfHead(decodeVersion(item.payload).head)) numbers.add(entry);
      } catch (error) {
        if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
      }
    }
  }
}

/**
 * Adds the numbers that the chain log has signed, or has named as lost before. The answer is the
 * last that was signed.
 */
async function addSettled(chain: RecordLog<ChainKind>, numbers: NumberSet): Promise<number> {
  const kinds: ReadonlySet<ChainKind> = new Set(['signed', 'remains', 'lost']);
  const take = (kind: ChainKind) => (kinds.has(kind) ? 'give' : 'skip');
  let last = 0;
  for (const { number } of chain.files()) {
    for await (const item of chain.scanFile(number, { take })) {
      if (item.type !== 'record' || item.payload === undefined) continue;
      const { kind } = item.header;
      if (kind === 'signed' || kind === 'remains') {
        const { payload } = item;
        const entries =
          kind === 'signed'
            ? decodeSignedRecord(payload).entries
            : entriesIn(decodeRemains(payload).numbers);
        for (const entry of entries) {
          numbers.add(entry);
          last = Math.max(last, entry);
        }
      } else for (const { entry } of decodeLostRecord(item.payload).entries) numbers.add(entry);
    }
  }
  return last;
}
