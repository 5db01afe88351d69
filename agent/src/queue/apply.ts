import { LayoutReader, LayoutWriter } from './codec.ts';
import { familyRange, numberInKey, numberKey, rawKey } from './index-keys.ts';
import type { IndexStore } from './index-store.ts';
import {
  decodeCounter,
  decodeKnown,
  decodeLostRecord,
  decodePathRecord,
  decodeProblem,
  decodeReceiptRecord,
  decodeSignedRecord,
  decodeVersion,
  encodeKnown,
} from './payloads.ts';
import type { RecordHeader } from './record.ts';
import type { Position } from './record-log.ts';

/*
 * What each record does to the index. Both the live path and every replay go through `applyRecord`, so the index cannot
 * be anything else than a function of segments and chain log (I-A5).
 */

/** An item's place: where its record begins. */
export interface ItemPlace extends Position {
  readonly kind: 'chunk' | 'page';
}

export interface UnsignedEntry {
  readonly at: Position;
  readonly batch: number;
  readonly holdSegment: number;
  readonly itemBytes: number;
  readonly capturedAtMs: number;
}

export interface CommitPlace {
  readonly at: Position;
  readonly hash: Uint8Array;
  readonly entries: number;
  readonly lastEntry: number;
  readonly itemBytes: number;
  readonly oldestMs: number;
  /** Where its hold stands in family `h`. */
  readonly holdSegment: number;
  readonly firstEntry: number;
}

/**
 * Stages what one record means. A `signed` record reads the written index, so everything before it must be written;
 * `clearCache` tells the caller that the cache may name chunks that nobody holds any more.
 * Errors: `QUEUE_DAMAGED` for a payload whose checksum holds but whose layout does not.
 */
export async function applyRecord(
  index: IndexStore,
  at: Position,
  header: RecordHeader,
  payload: Uint8Array,
): Promise<{ readonly clearCache: boolean }> {
  const { state } = index;
  switch (header.kind) {
    case 'chunk':
    case 'page':
      index.put(rawKey('i', header.digest), encodeItemPlace({ ...at, kind: header.kind }));
      break;
    case 'version': {
      const { head } = decodeVersion(payload);
      const { holdSegment, batch, itemBytes, capturedAtMs } = head;
      index.put(numberKey('q', head.entry), encodeUnsigned({ at, batch, holdSegment, itemBytes, capturedAtMs }));
      index.put(numberKey('h', holdSegment, head.entry), new Uint8Array());
      if (head.known === undefined) index.del(rawKey('k', head.path));
      else index.put(rawKey('k', head.path), encodeKnown(head.entry, head.known));
      index.del(rawKey('p', head.path));
      state.nextEntry = Math.max(state.nextEntry, head.entry + 1);
      state.lastBatch = Math.max(state.lastBatch, batch);
      state.pendingEntries += 1;
      state.pendingBytes += itemBytes;
      break;
    }
    case 'refresh': {
      const known = decodeKnown(payload);
      index.put(rawKey('k', known.stat.path), payload.slice());
      break;
    }
    case 'forget': {
      const path = decodePathRecord(payload);
      index.del(rawKey('k', path));
      index.del(rawKey('p', path));
      break;
    }
    case 'problem': {
      const { path, problem } = decodeProblem(payload);
      if (problem === undefined) index.del(rawKey('p', path));
      else index.put(rawKey('p', path), payload.slice());
      break;
    }
    case 'signed':
      await applySigned(index, at, payload);
      break;
    case 'receipt':
      await applyReceipt(index, payload);
      break;
    case 'unreceipted':
      await applyUnreceipted(index, decodeCounter(payload));
      break;
    case 'lost':
      await applyLost(index, payload);
      return { clearCache: true };
    case 'lostSeen': {
      const through = decodeCounter(payload);
      for await (const [key] of index.iterate(familyRange('l'))) if (numberInKey(key) <= through) index.del(key);
      break;
    }
  }
  return { clearCache: false };
}

async function applySigned(index: IndexStore, at: Position, payload: Uint8Array): Promise<void> {
  const { state } = index;
  const record = decodeSignedRecord(payload);
  const firstEntry = record.entries[0] ?? 0;
  const lastEntry = record.entries[record.entries.length - 1] ?? 0;
  for await (const [key, value] of index.iterate({ gte: numberKey('q', firstEntry), lt: numberKey('q', lastEntry + 1) })) {
    const entry = decodeUnsigned(value);
    state.pendingEntries -= 1;
    state.pendingBytes -= entry.itemBytes;
    index.del(key);
    index.del(numberKey('h', entry.holdSegment, numberInKey(key)));
  }
  // Counted from the commit again: in a rebuild some of the segments, and with them their versions, may be gone.
  const entries = record.entries.length;
  const { itemBytes } = record;
  state.pendingEntries += entries;
  state.pendingBytes += itemBytes;
  const place = {
    at,
    hash: record.hash,
    entries,
    lastEntry,
    itemBytes,
    oldestMs: record.oldestMs,
    holdSegment: record.holdSegment,
    firstEntry,
  };
  index.put(numberKey('c', record.sequence), encodeCommitPlace(place));
  index.put(numberKey('h', record.holdSegment, firstEntry), new Uint8Array());
  state.signedEntry = Math.max(state.signedEntry, lastEntry);
  state.nextEntry = Math.max(state.nextEntry, lastEntry + 1);
  if (record.sequence > (state.chainHead?.sequence ?? 0)) {
    state.chainHead = { sequence: record.sequence, hash: Buffer.from(record.hash).toString('hex') };
  }
}

async function applyReceipt(index: IndexStore, payload: Uint8Array): Promise<void> {
  const { state } = index;
  const { sequence, receivedAtMs, copies } = decodeReceiptRecord(payload);
  const value = await index.get(numberKey('c', sequence));
  // A receipt for a commit that was sent again after a rollback changes nothing here; the log keeps it as evidence.
  if (value === undefined || sequence <= state.receiptedSequence) return;
  const commit = decodeCommitPlace(value);
  index.del(numberKey('h', commit.holdSegment, commit.firstEntry));
  state.receiptedSequence = sequence;
  state.receiptedEntry = Math.max(state.receiptedEntry, commit.lastEntry);
  state.pendingEntries = Math.max(0, state.pendingEntries - commit.entries);
  state.pendingBytes = Math.max(0, state.pendingBytes - commit.itemBytes);
  state.lastReceipt = { sequence, receivedAtMs, copies };
}

/** The collector lost commits after `sequence`: they are pending again, and so are their files. */
async function applyUnreceipted(index: IndexStore, sequence: number): Promise<void> {
  const { state } = index;
  for (let lost = sequence + 1; lost <= state.receiptedSequence; lost += 1) {
    const value = await index.get(numberKey('c', lost));
    if (value === undefined) continue;
    const commit = decodeCommitPlace(value);
    index.put(numberKey('h', commit.holdSegment, commit.firstEntry), new Uint8Array());
    state.pendingEntries += commit.entries;
    state.pendingBytes += commit.itemBytes;
  }
  const kept = await index.get(numberKey('c', sequence));
  state.receiptedSequence = Math.min(state.receiptedSequence, sequence);
  state.receiptedEntry = kept === undefined ? 0 : decodeCommitPlace(kept).lastEntry;
}

async function applyLost(index: IndexStore, payload: Uint8Array): Promise<void> {
  const { state } = index;
  for (const { entry, path } of decodeLostRecord(payload).entries) {
    index.put(numberKey('l', entry), path);
    const known = path.length === 0 ? undefined : await index.get(rawKey('k', path));
    if (known !== undefined && decodeKnown(known).entry === entry) index.del(rawKey('k', path));
    const unsigned = await index.get(numberKey('q', entry));
    if (unsigned === undefined) continue;
    const { holdSegment, itemBytes } = decodeUnsigned(unsigned);
    index.del(numberKey('q', entry));
    index.del(numberKey('h', holdSegment, entry));
    state.pendingEntries = Math.max(0, state.pendingEntries - 1);
    state.pendingBytes = Math.max(0, state.pendingBytes - itemBytes);
  }
}

function encodeItemPlace(place: ItemPlace): Uint8Array {
  return new LayoutWriter()
    .u8(place.kind === 'chunk' ? 1 : 2)
    .u53(place.file)
    .u53(place.offset)
    .done();
}

export function decodeItemPlace(bytes: Uint8Array): ItemPlace {
  const reader = new LayoutReader(bytes, 'index of items');
  const kind = reader.u8() === 1 ? 'chunk' : 'page';
  return { kind, file: reader.u53(), offset: reader.u53() };
}

function encodeUnsigned(entry: UnsignedEntry): Uint8Array {
  const writer = new LayoutWriter().u53(entry.at.file).u53(entry.at.offset).u32(entry.batch);
  return writer.u53(entry.holdSegment).u53(entry.itemBytes).u53(entry.capturedAtMs).done();
}

export function decodeUnsigned(bytes: Uint8Array): UnsignedEntry {
  const reader = new LayoutReader(bytes, 'index of versions');
  const at = { file: reader.u53(), offset: reader.u53() };
  return { at, batch: reader.u32(), holdSegment: reader.u53(), itemBytes: reader.u53(), capturedAtMs: reader.u53() };
}

function encodeCommitPlace(place: CommitPlace): Uint8Array {
  const writer = new LayoutWriter().u53(place.at.file).u53(place.at.offset).raw(place.hash).u32(place.entries).u53(place.lastEntry);
  return writer.u53(place.itemBytes).u53(place.oldestMs).u53(place.holdSegment).u53(place.firstEntry).done();
}

export function decodeCommitPlace(bytes: Uint8Array): CommitPlace {
  const reader = new LayoutReader(bytes, 'index of commits');
  const at = { file: reader.u53(), offset: reader.u53() };
  const hash = reader.raw(32);
  const entries = reader.u32();
  const lastEntry = reader.u53();
  const itemBytes = reader.u53();
  const oldestMs = reader.u53();
  return { at, hash, entries, lastEntry, itemBytes, oldestMs, holdSegment: reader.u53(), firstEntry: reader.u53() };
}
