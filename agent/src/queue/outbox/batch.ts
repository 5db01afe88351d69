import { MAX_COMMIT_BYTES } from '@aliquot/proto';
import { NO_PREDECESSOR } from '@aliquot/shared/commit/commit';
import { mapKey, wipe } from '@aliquot/shared/crypto/bytes';
import { aeadSeal, equalBytes } from '@aliquot/shared/crypto/primitives';
import { pathIdentity } from '@aliquot/shared/keys/path-case';
import {
  decodeUnsigned,
  numberInKey,
  type UnsignedVersions,
  unsignedEntries,
} from '../log/index-rows.ts';
import type { QueueFiles } from '../log/open-queue.ts';
import {
  type ClassBytes,
  encodeSignedRecord,
  encodeVersionHead,
  joinDrafts,
  type VersionHead,
} from '../log/payloads.ts';
import { openDrafts } from '../log/stored.ts';
import type { DurableChain } from './chain.ts';
import type { CommitRequest, CommitSigner } from './outbox.ts';
import type { Recent } from './recent.ts';
import { type ResultMembers, resultMembers } from './results.ts';
import { type BatchedEntries, SentProof } from './sent-proof.ts';

/** Versions under one batch key, and so of one commit: they are in memory when it is signed. */
export const BATCH_ENTRIES = 4096;
/** What an entry may be larger than its draft: of a block that it has for itself, its share. */
const ENTRY_OVERHEAD_BYTES = 512;
/** For header, wraps and signature. */
const COMMIT_OVERHEAD_BYTES = 16 * 1024;

/** Bytes that one commit has for its entries. */
const COMMIT_SPACE_BYTES = MAX_COMMIT_BYTES - COMMIT_OVERHEAD_BYTES;

/** What an entry may take of that, from its draft's length. */
function entryBytes(draftBytes: number): number {
  return draftBytes + ENTRY_OVERHEAD_BYTES;
}

/** Versions under one key. */
interface Batch {
  readonly number: number;
  readonly key: Uint8Array;
  /** How many it has sealed. */
  used: number;
  /** What is left of a commit's space. */
  space: number;
  /** Folder results that have a row in it, by `resultName`: a commit has one of each. */
  readonly results: Set<string>;
}

/**
 * Seals drafts while they wait. A batch holds no more than one commit does, so that its key can go
 * as soon as that commit is signed (I-A3).
 */
export class BatchSealer {
  #batch: Batch | undefined;
  readonly #proof = new SentProof();

  /** The payload of a version record: its head in clear, then the drafts under a batch key. */
  async seal(
    files: QueueFiles,
    fields: Omit<VersionHead, 'batch' | 'nonce'>,
    drafts: readonly Uint8Array[],
  ): Promise<{ readonly head: VersionHead; readonly payload: Uint8Array }> {
    const space = drafts.reduce((sum, { length }) => sum + entryBytes(length), 0);
    const results = fields.rows.filter(({ result }) => result !== undefined);
    const roots = results.map(({ path }) => resultName(path));
    const batch = await this.#current(files, space, drafts.length, roots);
    for (const root of roots) batch.results.add(root);
    const nonce = Buffer.alloc(12);
    // The key is new in every process and for every 4096 versions; the counter never repeats under
    // it.
    nonce.writeBigUInt64BE(BigInt(batch.used), 4);
    batch.used += drafts.length;
    this.#proof.sealed(batch.number, drafts.length);
    batch.space -= space;
    const head = { ...fields, batch: batch.number, nonce };
    const clear = encodeVersionHead(head);
    const plain = joinDrafts(drafts);
    const sealed = aeadSeal(batch.key, nonce, plain, clear);
    wipe(plain);
    return { head, payload: Buffer.concat([clear, sealed]) };
  }

  /**
   * Versions from here on get another key, so that the key of those before can be erased as soon as
   * they are signed.
   */
  finish(): void {
    if (this.#batch !== undefined && this.#batch.used > 0) this.#batch = undefined;
  }

  /** Starts with a new key, whatever this one sealed: after the files were opened again. */
  forget(): void {
    this.#batch = undefined;
    this.#proof.forget();
  }

  /** These versions stand in a durable record of the chain log: signed, or lost. */
  settled(versions: readonly BatchedEntries[]): void {
    this.#proof.settled(versions);
  }

  /**
   * I-A3: erases every key below the first one that an unsigned version still needs. The index says
   * which those are, and the logs have to prove it: the keys are the only copies.
   */
  async eraseSent(files: QueueFiles): Promise<void> {
    let limit = this.#batch?.number ?? files.keys.highest + 1;
    for await (const [, value] of files.index.unsigned({ limit: 1 }))
      limit = Math.min(limit, decodeUnsigned(value).batch);
    for (const number of files.keys.numbers)
      if (number < limit && (await this.#proof.isSettled(files, number)))
        await files.keys.erase(number);
  }

  async #current(
    files: QueueFiles,
    space: number,
    count: number,
    results: readonly string[],
  ): Promise<Batch> {
    const batch = this.#batch;
    if (
      batch !== undefined &&
      batch.used + count <= BATCH_ENTRIES &&
      batch.space >= space &&
      !results.some((root) => batch.results.has(root))
    )
      return batch;
    const number = Math.max(files.index.state.lastBatch, files.keys.highest) + 1;
    this.#batch = {
      number,
      key: await files.keys.create(number),
      used: 0,
      space: COMMIT_SPACE_BYTES,
      results: new Set(),
    };
    return this.#batch;
  }
}

export interface CutCommit {
  /** The payload of the `signed` record; undefined when nothing is queued. */
  readonly record: Uint8Array | undefined;
  /** Versions whose record or key is damaged: they can never be sent. */
  readonly unreadable: readonly BatchedEntries[];
  /** Those that the commit covers. */
  readonly taken: readonly BatchedEntries[];
}

/** What of one record a commit will cover: the whole of it but what is lost. */
interface TakenRecord extends UnsignedVersions, BatchedEntries {
  /** The number of its first version. */
  readonly first: number;
  readonly rows: CommitRequest['rows'];
}

/** What of one record is left, as it is signed, and what its entries may take. */
interface LeftVersions {
  readonly rows: CommitRequest['rows'];
  readonly bytes: number;
}

/**
 * Takes the oldest unsigned versions, as many as one commit holds, and has them signed. Changes
 * nothing: the caller makes the record durable before anybody sees the commit (I-A4). Everything
 * must be flushed before.
 *
 * Batches are taken whole: a batch that is cut in two would keep its key, and with it would keep
 * open what is committed already, for as long as its rest waits (I-A3).
 */
export async function cutCommit(
  files: QueueFiles,
  chain: DurableChain,
  signer: CommitSigner,
  recent: Recent,
): Promise<CutCommit> {
  const { index } = files;
  const taken: TakenRecord[] = [];
  const unreadable: BatchedEntries[] = [];
  const results = new Set<string>();
  let space = COMMIT_SPACE_BYTES;
  let count = 0;
  let unread = 0;
  let waiting: number | undefined;
  for await (const [key, value] of index.unsigned()) {
    const row = decodeUnsigned(value);
    const { batch } = row;
    const first = numberInKey(key);
    const entries = unsignedEntries(first, row);
    if (count + entries.length > BATCH_ENTRIES) waiting = batch;
    if (waiting !== undefined || unread >= BATCH_ENTRIES) break;
    const left = await leftOf(files, recent, signer, { ...row, first, entries });
    if (left === undefined) {
      unreadable.push({ entries, batch });
      unread += entries.length;
      continue;
    }
    space -= left.bytes;
    // The rows of the first record are noted, too.
    const isSecond = isSecondRow(results, left.rows);
    if (taken.length > 0 && (space < 0 || isSecond)) {
      waiting = batch;
      break;
    }
    count += entries.length;
    taken.push({ ...row, first, entries, rows: left.rows });
  }
  const begun = taken.findIndex(({ batch }) => batch === waiting);
  // At 0 the batch alone is more than a commit holds. This queue makes no such batch, but takes
  // what it finds.
  const whole = begun > 0 ? taken.slice(0, begun) : taken;
  const entries = whole.flatMap((record) => record.entries);
  const itemBytes = whole.reduce((sum, record) => sum + record.itemBytes, 0);
  const oldestMs = whole.reduce(
    (least, { capturedAtMs }) => Math.min(least, capturedAtMs),
    Number.MAX_SAFE_INTEGER,
  );
  const holdSegment = whole.reduce(
    (least, record) => Math.min(least, record.holdSegment),
    Number.MAX_SAFE_INTEGER,
  );
  if (entries.length === 0) return { record: undefined, unreadable, taken: [] };
  const rows = whole.flatMap((record) => record.rows);
  const members = new Map<number, ResultMembers>();
  let slot = 0;
  for (const row of rows) {
    if ('kind' in row && row.kind === 'result')
      members.set(slot, await resultMembers(files, row, signer.resultIdOf(row.root), entries));
    slot += 'kind' in row ? 1 : row.count;
  }
  const { chainId, forkedFrom } = chain.present();
  const head = chain.head();
  const sequence = (head?.sequence ?? 0) + 1;
  const predecessor = head?.hash ?? NO_PREDECESSOR;
  // The first of its chain says where that began; a chain of the enrolment begins at nothing.
  const first = head === undefined || !equalBytes(head.chainId, chainId);
  // The signer wipes the keys of blocks: whatever comes of it, they serve no other commit.
  for (const record of whole) recent.forget(record.first);
  const { bytes, hash } = signer.sign({
    chainId,
    sequence,
    predecessor,
    forkedFrom: first ? forkedFrom : undefined,
    rows,
    results: members,
  });
  const record = encodeSignedRecord({
    sequence,
    hash,
    itemBytes,
    oldestMs,
    holdSegment,
    entries,
    classes: classesOf(whole),
    commit: bytes,
  });
  return { record, unreadable, taken: whole };
}

/** What of a record waits to be signed; undefined when record or key is damaged. */
async function leftOf(
  files: QueueFiles,
  recent: Recent,
  signer: CommitSigner,
  { first, at, count, entries }: UnsignedVersions & { first: number; entries: readonly number[] },
): Promise<LeftVersions | undefined> {
  const kept = recent.versions(first);
  // Blocks are of the signer that sealed them, and hold what was lost since, too.
  if (kept !== undefined && 'blocks' in kept && kept.signer === signer && entries.length === count)
    return { rows: kept.blocks, bytes: kept.bytes + count * ENTRY_OVERHEAD_BYTES };
  const opened = kept !== undefined && 'drafts' in kept ? kept.drafts : await openDrafts(files, at);
  if (opened === undefined) return undefined;
  const left =
    entries.length === count
      ? opened
      : opened.filter((_, place) => entries.includes(first + place));
  return {
    rows: left.map(({ draft }) => draft),
    bytes: left.reduce((sum, { bytes }) => sum + entryBytes(bytes), 0),
  };
}

/**
 * Whether one of these is a row of a result of which the commit has one already; notes the rows.
 */
function isSecondRow(results: Set<string>, rows: CommitRequest['rows']): boolean {
  for (const row of rows) {
    if (!('kind' in row) || row.kind !== 'result') continue;
    const root = resultName(row.root);
    if (results.has(root)) return true;
    results.add(root);
  }
  return false;
}

/** One for all spellings of a root that are one result: as its id is made. */
function resultName(root: Uint8Array): string {
  return mapKey(pathIdentity(root));
}

function classesOf(versions: readonly UnsignedVersions[]): ClassBytes[] {
  const sums = new Map<string, number>();
  for (const { class: name, itemBytes } of versions)
    if (itemBytes > 0) sums.set(name, (sums.get(name) ?? 0) + itemBytes);
  return [...sums]
    .map(([name, bytes]) => ({ name, bytes }))
    .sort((left, right) => (left.name < right.name ? -1 : 1));
}
