import {
  type ChainPoint,
  type ChunkId,
  type EntryDraft,
  encodeEntryDraft,
  encodeSigned,
  MAX_COMMIT_ENTRIES,
  MAX_SEALED_CHUNK_BYTES,
  type ReceiptBody,
  type Signed,
} from '@aliquot/proto';
import { aeadSeal, equalBytes } from '@aliquot/shared/crypto/primitives';
import { withFileErrors } from '@aliquot/shared/durable/errors';
import { applyRecord, decodeCommitPlace, decodeItemPlace, decodeUnsigned } from './apply.ts';
import { decodeCached } from './cache-codec.ts';
import { type CaptureHost, QueueCapture } from './capture.ts';
import { COMMIT_ROOM_BYTES, cutCommit, readSigned, roomFor } from './commit-cut.ts';
import { QueueError } from './errors.ts';
import { familyRange, numberInKey, numberKey, prefixRange, rawKey } from './index-keys.ts';
import { openQueueFiles, type QueueFiles, type QueueOptions, queuePaths } from './open-queue.ts';
import {
  decodeKnown,
  decodeProblem,
  encodeCounter,
  encodeKnown,
  encodeLostRecord,
  encodePathRecord,
  encodeProblem,
  encodeReceiptRecord,
  encodeVersionHead,
  MAX_LOST_PER_RECORD,
} from './payloads.ts';
import type {
  CachedChunk,
  Capture,
  Chain,
  CommitSigner,
  FileProblem,
  FileReference,
  KnownFile,
  KnownStat,
  LastReceipt,
  LostVersion,
  PendingCounts,
  Problem,
  Queue,
  QueuedCommit,
  QueuedItem,
  QueueEvent,
  QueueUsage,
  ReferenceTotals,
  Room,
} from './queue.ts';
import { digestOf, type RecordKind } from './record.ts';
import { dropKeptSegments, firstHeldSegment } from './retention.ts';
import { Serial } from './serial.ts';

/** Staged index changes, or appended bytes, after which the queue syncs by itself: bounds memory and what a crash re-does. */
const MAX_STAGED = 8192;
const MAX_UNSYNCED_BYTES = 32 * 1024 * 1024;
const DEFAULT_KEPT_BYTES = 256 * 1024 * 1024;

/** Versions under one key. */
interface Batch {
  readonly number: number;
  readonly key: Uint8Array;
  /** How many it has sealed. */
  used: number;
  /** What is left of a commit's room. */
  room: number;
}

/** The `Queue` over segments, chain log and LevelDB index. */
export class DurableQueue implements Queue {
  readonly #options: QueueOptions;
  readonly #files: QueueFiles;
  readonly #serial = new Serial();
  readonly #captures = new Set<QueueCapture>();
  readonly #listeners = new Set<(event: QueueEvent) => void>();
  readonly #host: CaptureHost;
  readonly #damage: readonly string[];
  #batch: Batch | undefined;
  #unsyncedBytes = 0;
  #unsyncedVersions = 0;
  #oldestMs: number | undefined;
  #poison: unknown;
  #closed = false;

  private constructor(options: QueueOptions, files: QueueFiles, damage: readonly string[]) {
    this.#options = options;
    this.#files = files;
    this.#damage = damage;
    this.#host = {
      putItem: (capture, item) => this.#change(() => this.#putItem(capture, item)),
      putVersion: (capture, draft, known) => this.#change(() => this.#putVersion(capture, draft, known)),
      ended: (capture) => this.#captures.delete(capture),
    };
  }

  /** Opens or makes the queue of a data folder; see `openQueueFiles` for recovery. */
  static async open(options: QueueOptions): Promise<DurableQueue> {
    const files = await openQueueFiles(options);
    try {
      const queue = new DurableQueue(options, files, await damagedFiles(options));
      await queue.#eraseSentKeys();
      await dropKeptSegments(files, queue.#heldFrom(await firstHeldSegment(files.index)), options.keptBytes ?? DEFAULT_KEPT_BYTES);
      await queue.#findOldest();
      return queue;
    } catch (error) {
      await closeAll(files);
      throw error;
    }
  }

  /** True when the index had to be made again from segments and chain log. */
  get rebuilt(): boolean {
    return this.#files.rebuilt;
  }

  capture(): Capture {
    const capture = new QueueCapture(this.#host);
    this.#captures.add(capture);
    return capture;
  }

  forget(path: Uint8Array): Promise<void> {
    return this.#change(() => this.#append('forget', encodePathRecord(path)));
  }

  refresh(known: KnownFile): Promise<void> {
    return this.#change(() => this.#append('refresh', encodeKnown(known.entry, known)));
  }

  setProblem(path: Uint8Array, problem: Problem | undefined): Promise<void> {
    return this.#change(() => this.#append('problem', encodeProblem(path, problem)));
  }

  sync(): Promise<void> {
    return this.#change(() => this.#flush());
  }

  async known(path: Uint8Array): Promise<KnownFile | undefined> {
    return (await this.knownMany([path]))[0];
  }

  async knownMany(paths: readonly Uint8Array[]): Promise<readonly (KnownFile | undefined)[]> {
    const values = await this.#files.index.getManyWritten(paths.map((path) => rawKey('k', path)));
    return values.map((value) => (value === undefined ? undefined : this.#knownFrom(value)));
  }

  async *knownUnder(prefix: Uint8Array): AsyncGenerator<KnownFile, void, void> {
    for await (const [, value] of this.#files.index.iterate(prefixRange(rawKey('k', prefix)))) yield this.#knownFrom(value);
  }

  async *problems(): AsyncGenerator<FileProblem, void, void> {
    for (const path of this.#damage) {
      const message = 'damaged bytes of the queue were set aside here; run aliquot-agent fsck, then remove the file';
      yield { path: Buffer.from(path), code: 'queue-damage', message, sinceMs: 0 };
    }
    for await (const [, value] of this.#files.index.iterate(familyRange('p'))) {
      const { path, problem } = decodeProblem(value);
      if (problem !== undefined) yield { path, ...problem };
    }
  }

  async cacheGetMany(indexes: readonly Uint8Array[]): Promise<readonly (CachedChunk | undefined)[]> {
    const values = await this.#files.index.getManyWritten(indexes.map((index) => rawKey('x', index)));
    return values.map((value) => (value === undefined ? undefined : decodeCached(value)));
  }

  async hasItem(id: ChunkId): Promise<boolean> {
    return (await this.#files.index.get(rawKey('i', id))) !== undefined;
  }

  pending(): PendingCounts {
    const { pendingEntries, pendingBytes } = this.#files.index.state;
    return { entries: pendingEntries, bytes: pendingBytes, oldestMs: pendingEntries === 0 ? undefined : this.#oldestMs };
  }

  subscribe(listener: (event: QueueEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  nextCommit(signer: CommitSigner): Promise<QueuedCommit | undefined> {
    return this.#change(async () => {
      const { state } = this.#files.index;
      if ((state.chainHead?.sequence ?? 0) > state.receiptedSequence) return readSigned(this.#files, state.receiptedSequence + 1);
      await this.#flush();
      // Versions that arrive from here on get another key, so that this commit's can be erased at once.
      if (this.#batch !== undefined && this.#batch.used > 0) this.#batch = undefined;
      const cut = await cutCommit(this.#files, this.chain(), signer);
      if (cut.unreadable.length > 0) await this.#recordLostEntries(cut.unreadable);
      if (cut.record === undefined) return undefined;
      await this.#appendChain('signed', cut.record);
      await this.#eraseSentKeys();
      return readSigned(this.#files, state.receiptedSequence + 1);
    });
  }

  signedCommit(sequence: number): Promise<QueuedCommit | undefined> {
    return this.#change(() => readSigned(this.#files, sequence));
  }

  async readItem(id: ChunkId): Promise<QueuedItem | undefined> {
    const value = await this.#files.index.get(rawKey('i', id));
    if (value === undefined) return undefined;
    const place = decodeItemPlace(value);
    try {
      const { header, payload } = await this.#files.segments.read(place);
      return equalBytes(header.digest, id) ? { id, kind: place.kind, sealed: payload } : undefined;
    } catch (error) {
      // Damaged or just dropped: the caller asks the source again, and lists what it cannot get.
      if (error instanceof QueueError && error.code === 'QUEUE_DAMAGED') return undefined;
      throw error;
    }
  }

  receipted(receipt: Signed, body: ReceiptBody): Promise<void> {
    return this.#change(async () => {
      const { index } = this.#files;
      const value = await index.get(numberKey('c', body.sequence));
      const commit = value === undefined ? undefined : decodeCommitPlace(value);
      if (commit === undefined || !equalBytes(commit.hash, body.commitHash) || body.sequence > index.state.receiptedSequence + 1) {
        throw new QueueError('QUEUE_FOREIGN_RECEIPT', `the receipt for commit ${body.sequence} does not belong to this agent's chain`);
      }
      const fresh = body.sequence > index.state.receiptedSequence;
      const { sequence, receivedAtMs, copies } = body;
      await this.#appendChain('receipt', encodeReceiptRecord({ sequence, receivedAtMs, copies, receipt: encodeSigned(receipt) }));
      if (!fresh) return;
      await this.#findOldest();
      this.#tell({ type: 'receipted', sequence: body.sequence, entries: commit.entries });
      await dropKeptSegments(this.#files, this.#heldFrom(await firstHeldSegment(index)), this.#options.keptBytes ?? DEFAULT_KEPT_BYTES);
    });
  }

  unreceipt(sequence: number): Promise<void> {
    return this.#change(async () => {
      if (sequence >= this.#files.index.state.receiptedSequence) return;
      await this.#appendChain('unreceipted', encodeCounter(sequence));
      await this.#findOldest();
      this.#tell({ type: 'queued' });
    });
  }

  chainHead(): ChainPoint | undefined {
    const head = this.#files.index.state.chainHead;
    return head === undefined
      ? undefined
      : {
          chainId: this.#options.chainId,
          sequence: head.sequence,
          hash: Buffer.from(head.hash, 'hex') as Uint8Array as ChainPoint['hash'],
        };
  }

  async room(): Promise<Room> {
    return { bytes: Number.MAX_SAFE_INTEGER, why: undefined };
  }

  async usage(): Promise<QueueUsage> {
    return { usedBytes: 0, keptBytes: 0, freeBytes: 0, budget: undefined, classes: {} };
  }

  async putReference(): Promise<void> {}

  async dropReference(): Promise<void> {}

  async loseReference(): Promise<void> {}

  async *references(): AsyncGenerator<FileReference, void, void> {}

  referenceTotals(): ReferenceTotals {
    return { files: 0, bytes: 0 };
  }

  async signAll(): Promise<number> {
    return 0;
  }

  async *unreceipted(): AsyncGenerator<QueuedCommit, void, void> {}

  chain(): Chain {
    return { chainId: this.#options.chainId, forkedFrom: undefined };
  }

  async forkChain(): Promise<void> {}

  gcEpoch(): number {
    return 0;
  }

  async learnGcEpoch(): Promise<void> {}

  async gcAnswer(): Promise<number | undefined> {
    return undefined;
  }

  receiptedSequence(): number {
    return this.#files.index.state.receiptedSequence;
  }

  lastReceipt(): LastReceipt | undefined {
    return this.#files.index.state.lastReceipt;
  }

  async recordLost(sequence: number, slots: readonly number[]): Promise<void> {
    await this.#change(async () => this.#recordLostEntries(await this.#entriesOf(sequence, slots)));
    this.#tell({ type: 'lost' });
  }

  async *lost(): AsyncGenerator<LostVersion, void, void> {
    for await (const [key, path] of this.#files.index.iterate(familyRange('l'))) {
      yield { entry: numberInKey(key), path: path.length === 0 ? undefined : path, why: 'version' };
    }
  }

  acknowledgeLost(): Promise<void> {
    return this.#change(() => this.#appendChain('lostSeen', encodeCounter(this.#files.index.state.nextEntry)));
  }

  async pathsOf(sequence: number, slots: readonly number[]): Promise<readonly Uint8Array[]> {
    const named = await this.#namesOf(await this.#change(() => this.#entriesOf(sequence, slots)));
    return [...named.values()];
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      if (this.#poison === undefined) await this.sync();
    } finally {
      this.#closed = true;
      await this.#serial.run(() => closeAll(this.#files));
    }
  }

  // ---- inside the serial section ----

  async #putItem(capture: QueueCapture, item: QueuedItem): Promise<void> {
    const { index, segments } = this.#files;
    if (item.sealed.length > MAX_SEALED_CHUNK_BYTES)
      throw new QueueError('QUEUE_REFUSED', `an item of ${item.sealed.length} bytes is too large`);
    const value = await index.get(rawKey('i', item.id));
    const place = value === undefined ? undefined : decodeItemPlace(value);
    // An item that lies only in a segment nobody holds may go any moment, and nobody knows that the collector has it.
    if (place !== undefined && place.file >= this.#heldFrom(await firstHeldSegment(index))) {
      capture.hold(place.file);
      return;
    }
    if (!equalBytes(digestOf(item.sealed), item.id))
      throw new QueueError('QUEUE_REFUSED', 'the id of an item is not the hash of its bytes');
    // Held before it is written: the append may rotate, and then lies behind.
    capture.hold(segments.activeNumber);
    await this.#append(item.kind, item.sealed, item.id);
    capture.itemBytes += item.sealed.length;
  }

  async #putVersion(capture: QueueCapture, draft: EntryDraft, known: KnownStat | undefined): Promise<void> {
    const { index, segments } = this.#files;
    const path = draft.list.path;
    if ((known === undefined) !== (draft.kind === 'gone') || (known !== undefined && !equalBytes(known.path, path))) {
      throw new QueueError('QUEUE_REFUSED', 'a version and what is known of its file do not fit');
    }
    const encoded = encodeEntryDraft(draft);
    const batch = await this.#currentBatch(roomFor(encoded.length));
    const nonce = Buffer.alloc(12);
    // The key is new in every process and for every 4096 versions; the counter never repeats under it.
    nonce.writeBigUInt64BE(BigInt(batch.used), 4);
    batch.used += 1;
    batch.room -= roomFor(encoded.length);
    const head = {
      entry: index.state.nextEntry,
      holdSegment: Math.min(capture.holdSegment ?? segments.activeNumber, segments.activeNumber),
      itemBytes: capture.itemBytes,
      capturedAtMs: draft.capturedAtMs,
      batch: batch.number,
      nonce,
      path,
      known,
    };
    const clear = encodeVersionHead(head);
    const sealed = aeadSeal(batch.key, nonce, encoded, clear);
    await this.#append('version', Buffer.concat([clear, sealed]));
    for (const { index: cacheIndex, value } of capture.cached()) index.put(rawKey('x', cacheIndex), value);
    this.#unsyncedVersions += 1;
    this.#oldestMs = Math.min(this.#oldestMs ?? draft.capturedAtMs, draft.capturedAtMs);
  }

  async #append(kind: RecordKind, payload: Uint8Array, digest: Uint8Array = digestOf(payload)): Promise<void> {
    const at = await this.#files.segments.append(kind, payload, digest);
    await this.#poisonOn(() => applyRecord(this.#files.index, at, { kind, length: payload.length, digest }, payload));
    this.#unsyncedBytes += payload.length;
    if (this.#files.index.staged >= MAX_STAGED || this.#unsyncedBytes >= MAX_UNSYNCED_BYTES) await this.#flush();
  }

  /** I-A1: segments first, then the index that names what is in them. */
  async #flush(): Promise<void> {
    const { segments, index } = this.#files;
    if (index.staged === 0) return;
    try {
      await segments.sync();
    } catch (error) {
      // For want of space it may be repeated; after a failed flush it must not.
      if (segments.poisoned) this.#poison = error;
      throw error;
    }
    await this.#poisonOn(async () => {
      index.state.segments = segments.end();
      await index.write();
    });
    const versions = this.#unsyncedVersions;
    this.#unsyncedBytes = 0;
    this.#unsyncedVersions = 0;
    if (versions > 0) this.#tell({ type: 'queued' });
  }

  /** A chain record: durable before it counts (I-A2, I-A4), and flushed in the index too, because keys are erased after it. */
  async #appendChain(kind: RecordKind, payload: Uint8Array): Promise<void> {
    const { chain, index } = this.#files;
    await this.#flush();
    const digest = digestOf(payload);
    const at = await chain.append(kind, payload, digest);
    await this.#poisonOn(async () => {
      await chain.sync();
      const { clearCache } = await applyRecord(index, at, { kind, length: payload.length, digest }, payload);
      index.state.chain = chain.end();
      await index.write({ sync: true });
      if (clearCache) await index.clear(familyRange('x'));
    });
  }

  /** A batch holds no more than one commit does: its key goes when that commit is signed (I-A3). */
  async #currentBatch(room: number): Promise<Batch> {
    if (this.#batch !== undefined && this.#batch.used < MAX_COMMIT_ENTRIES && this.#batch.room >= room) return this.#batch;
    const number = Math.max(this.#files.index.state.lastBatch, this.#files.keys.highest) + 1;
    this.#batch = { number, key: await this.#files.keys.create(number), used: 0, room: COMMIT_ROOM_BYTES };
    return this.#batch;
  }

  /** I-A3: every key below the first one that an unsigned version still needs. */
  async #eraseSentKeys(): Promise<void> {
    const { index, keys } = this.#files;
    let limit = this.#batch?.number ?? keys.highest + 1;
    for await (const [, value] of index.iterate(familyRange('q'), { limit: 1 })) limit = Math.min(limit, decodeUnsigned(value).batch);
    await keys.eraseBelow(limit);
  }

  async #recordLostEntries(entries: readonly number[]): Promise<void> {
    const names = await this.#namesOf(entries);
    for (let start = 0; start < entries.length; start += MAX_LOST_PER_RECORD) {
      const part = entries.slice(start, start + MAX_LOST_PER_RECORD);
      const record = { entries: part.map((entry) => ({ entry, path: names.get(entry) ?? new Uint8Array() })) };
      await this.#appendChain('lost', encodeLostRecord(record));
    }
  }

  async #entriesOf(sequence: number, slots: readonly number[]): Promise<readonly number[]> {
    const commit = await readSigned(this.#files, sequence);
    return slots.map((slot) => commit?.entryNumbers[slot]).filter((entry) => entry !== undefined);
  }

  /** Paths of known files whose newest version is one of these. A rare question, so a pass over all of them may answer it. */
  async #namesOf(entries: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    const wanted = new Set(entries);
    const found = new Map<number, Uint8Array>();
    if (wanted.size === 0) return found;
    for await (const [, value] of this.#files.index.iterate(familyRange('k'))) {
      const { entry, stat } = decodeKnown(value);
      if (wanted.has(entry)) found.set(entry, stat.path);
    }
    return found;
  }

  #heldFrom(firstHeld: number | undefined): number {
    let from = Math.min(firstHeld ?? Number.MAX_SAFE_INTEGER, this.#files.segments.activeNumber);
    for (const capture of this.#captures) from = Math.min(from, capture.holdSegment ?? from);
    return from;
  }

  async #findOldest(): Promise<void> {
    const { index } = this.#files;
    this.#oldestMs = undefined;
    const signed = await index.get(numberKey('c', index.state.receiptedSequence + 1));
    if (signed !== undefined) {
      this.#oldestMs = decodeCommitPlace(signed).oldestMs;
      return;
    }
    for await (const [, value] of index.iterate(familyRange('q'), { limit: 1 })) this.#oldestMs = decodeUnsigned(value).capturedAtMs;
  }

  #knownFrom(value: Uint8Array): KnownFile {
    const { entry, stat } = decodeKnown(value);
    return { ...stat, entry, state: entry <= this.#files.index.state.receiptedEntry ? 'safe' : 'queued' };
  }

  #change<T>(step: () => Promise<T>): Promise<T> {
    return this.#serial.run(async () => {
      if (this.#closed) throw new QueueError('QUEUE_CLOSED', 'the queue is closed');
      if (this.#poison !== undefined) {
        const says = 'the queue takes nothing more after a failed write; mend the disk and start the agent again';
        throw new QueueError('QUEUE_POISONED', says, { cause: this.#poison });
      }
      return step();
    });
  }

  /** For steps after which memory and disk may differ: only opening again can tell. */
  async #poisonOn<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      this.#poison = error;
      throw error;
    }
  }

  #tell(event: QueueEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

async function closeAll(files: QueueFiles): Promise<void> {
  await files.segments.close();
  await files.chain.close();
  await files.index.close();
}

async function damagedFiles(options: QueueOptions): Promise<string[]> {
  const { damaged } = queuePaths(options.dataDir);
  const found: string[] = [];
  try {
    await withFileErrors('list', damaged, async () => {
      for await (const entry of options.port.list(damaged)) found.push(`${damaged}/${entry.name.toString()}`);
    });
  } catch {
    // No such folder: nothing was ever damaged.
  }
  return found.sort();
}
