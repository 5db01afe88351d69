import {
  decodeSignedCommit,
  FormatError,
  type SignedCommit,
  type StoredKind,
} from '@aliquot/proto';
import type { Position } from '@aliquot/shared/records/format';
import {
  decodeDroppedReferences,
  decodeFork,
  decodeLostReference,
  decodeReferences,
  encodeLostMark,
} from './chain-payloads.ts';
import { QueueError } from './errors.ts';
import { logOf, type QueueRecord, tagOf } from './formats.ts';
import {
  decodeCommitPlace,
  decodeUnsigned,
  encodeCommitPlace,
  encodeItemPlace,
  encodeUnsigned,
  familyRange,
  type LoggedCommit,
  numberInKey,
  numberKey,
  rawKey,
  type UnsignedVersions,
} from './index-rows.ts';
import { addClassBytes } from './index-state.ts';
import type { IndexStore } from './index-store.ts';
import type { KnownChange } from './known-rows.ts';
import { decodeLostRecord } from './lost-payloads.ts';
import {
  type ClassBytes,
  decodeCounter,
  decodeKnown,
  decodeProblem,
  decodeReceiptRecord,
  decodeSignedRecord,
  decodeVersion,
  type VersionHead,
  type VersionRow,
} from './payloads.ts';
import { applyReference, dropReference, replaceReference } from './reference-rows.ts';
import { decodeRemains, entriesIn, numberRuns, type RemainsRecord } from './remains.ts';
import { forgetResult, markResults, oweResult } from './result-rows.ts';
import { unsignedFrom, unsignedWith } from './unsigned.ts';

/*
 * What each record does to the index. Both the live path and every replay go through `applyRecord`,
 * so the index cannot be anything else than a function of segments and chain log (I-A5).
 */

/** What a record asks of its caller beyond what was staged. */
export interface Applied {
  /**
   * The cache may name chunks that nobody holds any more: clear it before the record counts as
   * applied.
   */
  readonly clearCache?: boolean;
  /**
   * Versions made these references needless: the chain log has to say so too, because it outlives
   * the versions' segment.
   */
  readonly unreferenced?: readonly Uint8Array[];
}

const nothingApplied: Applied = {};
/** Files that are forgotten at once: bounds memory. */
const MOST_FORGOTTEN = 2000;

/**
 * Stages what one record means; `version` is what a version record says, when it is at hand. A
 * chain record reads the written index, so everything before it must be written. Errors:
 * `QUEUE_DAMAGED` for a payload whose checksum holds but whose layout does not.
 */
export async function applyRecord(
  index: IndexStore,
  at: Position,
  header: QueueRecord,
  payload: Uint8Array,
  version?: VersionHead,
): Promise<Applied> {
  const { state } = index;
  const { kind } = header;
  if (kind === 'chunk' || kind === 'page' || kind === 'slab') {
    applyItem(index, at, { ...header, kind });
    return nothingApplied;
  }
  state[logOf(kind) === 'chain' ? 'lastChain' : 'lastSegment'] = { ...at, digest: tagOf(header) };
  switch (kind) {
    case 'version':
      return applyVersions(index, at, version ?? decodeVersion(payload).head);
    case 'refresh': {
      const known = decodeKnown(payload);
      index.known.stage([{ path: known.stat.path, known }]);
      return nothingApplied;
    }
    case 'problem': {
      const { path, problem } = decodeProblem(payload);
      if (problem === undefined) index.problems.del(path);
      else index.problems.put(path, payload.slice());
      return nothingApplied;
    }
    case 'signed':
      await applySigned(index, at, header.length, signedIn(payload));
      return nothingApplied;
    case 'remains': {
      const remains = decodeRemains(payload);
      // Its commit is there: this is a word for the day when it is not.
      if ((await index.get(numberKey('c', remains.sequence))) !== undefined) return nothingApplied;
      await applySigned(index, at, header.length, { ...remains, isLost: true });
      return nothingApplied;
    }
    case 'receipt':
      await applyReceipt(index, payload);
      return nothingApplied;
    case 'unreceipted':
      await applyUnreceipted(index, decodeCounter(payload));
      // What came with these versions may be nowhere any more.
      return { clearCache: true };
    case 'lost':
      await applyLost(index, payload);
      return { clearCache: true };
    case 'lostSeen': {
      const through = decodeCounter(payload);
      for await (const [key] of index.iterate(familyRange('l')))
        if (numberInKey(key) <= through) index.del(key);
      return nothingApplied;
    }
    case 'forked': {
      const { chainId, from, inherited } = decodeFork(payload);
      if (inherited) state.inheritedSequence = from.sequence;
      state.fork = {
        chainId: hex(chainId),
        from: { chainId: hex(from.chainId), sequence: from.sequence, hash: hex(from.hash) },
      };
      return nothingApplied;
    }
    case 'gcEpoch': {
      const epoch = decodeCounter(payload);
      if (epoch <= state.gcEpoch) return nothingApplied;
      state.gcEpoch = epoch;
      return { clearCache: true };
    }
    case 'references': {
      for (const reference of decodeReferences(payload)) await applyReference(index, reference);
      return nothingApplied;
    }
    case 'referencesDropped': {
      for (const path of decodeDroppedReferences(payload)) await dropReference(index, path);
      return nothingApplied;
    }
    case 'referenceLost': {
      const lost = decodeLostReference(payload);
      await dropReference(index, lost.path);
      index.put(numberKey('l', lost.entry), encodeLostMark(lost));
      state.nextEntry = Math.max(state.nextEntry, lost.entry + 1);
      return nothingApplied;
    }
  }
}

/** Stages where an item is. */
export function applyItem(
  index: IndexStore,
  at: Position,
  header: QueueRecord & { readonly kind: StoredKind },
): void {
  const { digest, kind } = header;
  index.state.lastSegment = { ...at, digest: tagOf(header) };
  index.put(rawKey('i', digest), encodeItemPlace({ ...at, kind }));
}

async function applyVersions(index: IndexStore, at: Position, head: VersionHead): Promise<Applied> {
  const { state } = index;
  const { entry, holdSegment, batch, itemBytes, capturedAtMs, class: name, rows } = head;
  const count = rows.length;
  index.put(
    numberKey('q', entry),
    encodeUnsigned({
      at,
      count,
      lost: [],
      batch,
      holdSegment,
      itemBytes,
      capturedAtMs,
      class: name,
    }),
  );
  index.put(numberKey('h', holdSegment, entry), new Uint8Array());
  const changes: KnownChange[] = [];
  for (let place = 0; place < count; place += 1) {
    const { path, known, result } = rows[place] as VersionRow;
    if (result === undefined)
      changes.push({ path, known: known && { entry: entry + place, stat: known } });
  }
  index.known.stage(changes);
  markResults(index, head);
  state.nextEntry = Math.max(state.nextEntry, entry + count);
  state.lastBatch = Math.max(state.lastBatch, batch);
  state.pendingEntries += count;
  pend(index, itemBytes, [{ name, bytes: itemBytes }], 1);
  const unreferenced: Uint8Array[] = [];
  for (const { path, result } of rows) {
    // What there is at a result's folder is no less there for its row.
    if (result !== undefined) continue;
    index.problems.del(path);
    // Nearly always there is none at all, and then nobody waits for the disk.
    if (state.referenceFiles > 0 && (await replaceReference(index, path))) unreferenced.push(path);
  }
  return unreferenced.length > 0 ? { unreferenced } : nothingApplied;
}

/** A signed commit, or what is left of it. */
type Signed = RemainsRecord & Pick<LoggedCommit, 'isLost'>;

function signedIn(payload: Uint8Array): Signed {
  const { entries, commit, ...record } = decodeSignedRecord(payload);
  const { header, signature } = readable(commit);
  // Copies: the rest of the commit need not stay in memory.
  const remains = { header: header.slice(), signature: signature.slice() };
  return { ...record, ...remains, numbers: numberRuns(entries), isLost: false };
}

function readable(commit: Uint8Array): SignedCommit {
  try {
    return decodeSignedCommit(commit);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new QueueError('QUEUE_DAMAGED', `a signed commit cannot be read: ${cause.message}`, {
      cause,
    });
  }
}

async function applySigned(
  index: IndexStore,
  at: Position,
  recordBytes: number,
  record: Signed,
): Promise<void> {
  const { state } = index;
  const { sequence, ...fields } = record;
  const entries = entriesIn(record.numbers);
  const firstEntry = entries[0] ?? 0;
  const lastEntry = entries.at(-1) ?? 0;
  // The first versions of its first record may be lost.
  for await (const [key, value] of index.iterate({
    gte: unsignedFrom(firstEntry),
    lt: numberKey('q', lastEntry + 1),
  })) {
    const versions = decodeUnsigned(value);
    if (numberInKey(key) + versions.count <= firstEntry) continue;
    state.pendingEntries -= versions.count - versions.lost.length;
    forgetUnsigned(index, numberInKey(key), versions);
  }
  // Counted from the commit again: in a rebuild some of the segments, and with them their versions,
  // may be gone.
  const place: LoggedCommit = {
    ...{ ...fields, at, recordBytes },
    ...{ entries: entries.length, firstEntry, lastEntry },
  };
  index.put(numberKey('c', sequence), encodeCommitPlace(place));
  // What is left of a commit may stand behind its receipt (`restoreChain`): then nothing waits.
  if (sequence > state.receiptedSequence) await applyPending(index, place);
  state.signedEntry = Math.max(state.signedEntry, lastEntry);
  state.nextEntry = Math.max(state.nextEntry, lastEntry + 1);
  if (sequence > (state.chainHead?.sequence ?? 0)) {
    const chainId = state.fork === undefined ? {} : { chainId: state.fork.chainId };
    state.chainHead = { sequence, hash: hex(record.hash), ...chainId };
  }
}

/** A commit without a receipt: its versions count as pending, and hold their segments. */
async function applyPending(index: IndexStore, commit: LoggedCommit): Promise<void> {
  index.put(numberKey('h', commit.holdSegment, commit.firstEntry), new Uint8Array());
  index.state.pendingEntries += commit.entries;
  index.state.signedBytes += commit.recordBytes;
  pend(index, commit.itemBytes, commit.classes, 1);
}

async function applyReceipt(index: IndexStore, payload: Uint8Array): Promise<void> {
  const { state } = index;
  const { sequence, receivedAtMs, copies } = decodeReceiptRecord(payload);
  const value = await index.get(numberKey('c', sequence));
  // A receipt for a commit that was sent again after a rollback changes nothing here; the log keeps
  // it as evidence.
  if (value === undefined || sequence <= state.receiptedSequence) return;
  const commit = decodeCommitPlace(value);
  index.del(numberKey('h', commit.holdSegment, commit.firstEntry));
  state.receiptedSequence = sequence;
  state.receiptedEntry = Math.max(state.receiptedEntry, commit.lastEntry);
  state.pendingEntries = Math.max(0, state.pendingEntries - commit.entries);
  state.signedBytes = Math.max(0, state.signedBytes - commit.recordBytes);
  pend(index, commit.itemBytes, commit.classes, -1);
  state.lastReceipt = { sequence, receivedAtMs, copies };
}

/**
 * The collector lost commits after `asked`: they are pending again, and so are their files. What
 * the agent before this one signed nobody here can send again: its files are forgotten, so that the
 * next scan captures them again.
 */
async function applyUnreceipted(index: IndexStore, asked: number): Promise<void> {
  const { state } = index;
  for await (const path of inheritedKnown(index, asked)) {
    index.known.stage([{ path, known: undefined }]);
    if (index.staged >= MOST_FORGOTTEN) await index.write();
  }
  const sequence = Math.max(asked, state.inheritedSequence);
  if (sequence >= state.receiptedSequence) return;
  for (let lost = sequence + 1; lost <= state.receiptedSequence; lost += 1) {
    const value = await index.get(numberKey('c', lost));
    if (value !== undefined) await applyPending(index, decodeCommitPlace(value));
  }
  state.receiptedSequence = sequence;
  state.receiptedEntry = await lastEntryOf(index, sequence);
}

/**
 * Paths of known files whose newest version stands in a commit after `asked` that the agent before
 * this one signed. A rare question, so a pass over all known files may answer it.
 */
export async function* inheritedKnown(
  index: IndexStore,
  asked: number,
): AsyncGenerator<Uint8Array, void, void> {
  const { inheritedSequence } = index.state;
  if (asked >= inheritedSequence) return;
  const first = (await lastEntryOf(index, asked)) + 1;
  const last = await lastEntryOf(index, inheritedSequence);
  for await (const batch of index.known.batches(new Uint8Array()))
    for (const { entry, stat } of batch) if (first <= entry && entry <= last) yield stat.path;
}

/** The last version of a signed commit; 0 when there is none of this sequence. */
async function lastEntryOf(index: IndexStore, sequence: number): Promise<number> {
  const value = await index.get(numberKey('c', sequence));
  return value === undefined ? 0 : decodeCommitPlace(value).lastEntry;
}

async function applyLost(index: IndexStore, payload: Uint8Array): Promise<void> {
  const { state } = index;
  for (const { entry, path } of decodeLostRecord(payload).entries) {
    index.put(numberKey('l', entry), path);
    // No later version has its number: a replay would take that one for lost.
    state.nextEntry = Math.max(state.nextEntry, entry + 1);
    const known = path.length === 0 ? undefined : await index.known.get(path);
    if (known !== undefined && known.entry === entry) {
      index.known.stage([{ path, known: undefined }]);
      oweResult(index, path, known.stat.resultPathLength);
    }
    await forgetResult(index, entry, path);
    const unsigned = await unsignedWith(index, entry);
    if (unsigned === undefined) continue;
    const { first, versions } = unsigned;
    state.pendingEntries = Math.max(0, state.pendingEntries - 1);
    const lost = [...versions.lost, entry - first].sort((a, b) => a - b);
    // Its bytes are counted as long as one of its record waits.
    if (lost.length === versions.count) forgetUnsigned(index, first, versions);
    else index.put(numberKey('q', first), encodeUnsigned({ ...versions, lost }));
  }
}

/** A record whose versions wait no more: signed, or lost. */
function forgetUnsigned(index: IndexStore, first: number, versions: UnsignedVersions): void {
  const { holdSegment, itemBytes, class: name } = versions;
  index.del(numberKey('q', first));
  index.del(numberKey('h', holdSegment, first));
  pend(index, itemBytes, [{ name, bytes: itemBytes }], -1);
}

/** Counts bytes without a receipt, in all and by class. */
function pend(
  index: IndexStore,
  bytes: number,
  classes: readonly ClassBytes[],
  sign: 1 | -1,
): void {
  const { state } = index;
  state.pendingBytes = Math.max(0, state.pendingBytes + sign * bytes);
  for (const { name, bytes: part } of classes) addClassBytes(state, name, sign * part);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
