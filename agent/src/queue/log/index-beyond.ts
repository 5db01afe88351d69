import { sha256 } from '@aliquot/shared/crypto/primitives';
import type { IndexOptions } from '@aliquot/shared/derived/level-index';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { salvagedRows } from '@aliquot/shared/derived/salvage';
import type { RecordLog } from '@aliquot/shared/records/record-log';
import { QueueError } from './errors.ts';
import type { ChainKind, SegmentKind } from './formats.ts';
import { decodeUnsigned, familyRange, numberInKey, unsignedEntries } from './index-rows.ts';
import { decodeColumns, unpackKnown } from './known-block.ts';
import {
  decodeLostRecord,
  decodeSignedRecord,
  decodeVersion,
  entriesOfHead,
  type KnownRecord,
  lostRecords,
} from './payloads.ts';

/**
 * Tells of what only a damaged index knows, before it is removed: versions that wait to be signed
 * and that no segment holds any more are named as lost in the chain log. Its rows prove nothing, so
 * a version counts as lost only when neither log knows it.
 *
 * How many these are. Error: `QUEUE_DAMAGED` when there is one to name and the chain log is damaged, too.
 */
export async function nameBeyond(
  disk: DiskPort,
  options: IndexOptions,
  logs: { readonly segments: RecordLog<SegmentKind>; readonly chain: RecordLog<ChainKind> },
): Promise<number> {
  const lost = await withoutSettled(logs.chain, await withoutRecord(disk, options, logs.segments));
  if (lost.size === 0) return 0;
  const names = new Map<number, Uint8Array>();
  for (const family of ['K', 'k'] as const)
    for await (const [, value] of salvagedRows(disk, options, familyRange(family)))
      for (const { entry, stat } of knownIn(value))
        if (lost.has(entry)) names.set(entry, stat.path);
  const { chain } = logs;
  await chain.resume((item) => {
    if (item.type !== 'damage') return;
    const at = `${chain.path(item.file)} is damaged at byte ${item.offset}`;
    throw chain.format.error('damaged', `the chain log ${at}`);
  });
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

/** Versions that the index has waiting, and of which the segments have no sound record. */
async function withoutRecord(
  disk: DiskPort,
  options: IndexOptions,
  segments: RecordLog<SegmentKind>,
): Promise<Set<number>> {
  const missing = new Set<number>();
  // Both are in the order of the numbers, so neither is held in memory.
  const held = entriesIn(segments);
  let next = await held.next();
  try {
    for await (const [key, value] of salvagedRows(disk, options, familyRange('q'))) {
      for (const entry of salvagedEntries(numberInKey(key), value)) {
        while (next.done !== true && next.value < entry) next = await held.next();
        if (next.done === true || next.value !== entry) missing.add(entry);
      }
    }
  } finally {
    await held.return();
  }
  return missing;
}

/** What a row says that waits; of one that has rotted, its own number. */
function salvagedEntries(first: number, value: Uint8Array): readonly number[] {
  try {
    return unsignedEntries(first, decodeUnsigned(value));
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
    return [first];
  }
}

/** The numbers of the versions that segments hold. */
async function* entriesIn(segments: RecordLog<SegmentKind>): AsyncGenerator<number, void, void> {
  const take = (kind: SegmentKind) => (kind === 'version' ? 'give' : 'skip');
  for (const { number } of segments.files()) {
    for await (const item of segments.scanFile(number, { take })) {
      if (item.type !== 'record' || item.payload === undefined) continue;
      try {
        yield* entriesOfHead(decodeVersion(item.payload).head);
      } catch (error) {
        if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
      }
    }
  }
}

/** Without those that the chain log has signed, or has named as lost before. */
async function withoutSettled(
  chain: RecordLog<ChainKind>,
  entries: Set<number>,
): Promise<Set<number>> {
  if (entries.size === 0) return entries;
  const take = (kind: ChainKind) => (kind === 'signed' || kind === 'lost' ? 'give' : 'skip');
  for (const { number } of chain.files()) {
    for await (const item of chain.scanFile(number, { take })) {
      if (item.type !== 'record' || item.payload === undefined) continue;
      if (item.header.kind === 'signed')
        for (const entry of decodeSignedRecord(item.payload).entries) entries.delete(entry);
      else for (const { entry } of decodeLostRecord(item.payload).entries) entries.delete(entry);
    }
  }
  return entries;
}
