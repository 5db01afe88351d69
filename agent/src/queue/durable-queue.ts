import {
  AliquotError,
  type ChainId,
  type ChainPoint,
  type ChunkId,
  encodeSigned,
  type FileId,
  type ReceiptBody,
  type Signed,
} from '@aliquot/proto';
import { endWith } from '@aliquot/shared/cli/unexpected';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { BudgetMeter, usedBytes } from './intake/budget.ts';
import { Holds } from './intake/holds.ts';
import { Intake } from './intake/intake.ts';
import { Recent } from './intake/recent.ts';
import { dropKeptSegments, keptBytesBelow, lowestHold } from './intake/retention.ts';
import { decodeCached } from './ledger/cache-codec.ts';
import { growthIn, growthSlot } from './ledger/growth-slot.ts';
import { Losses } from './ledger/losses.ts';
import { MAX_STAGED_REFERENCES, referencesIn, StagedReferences } from './ledger/references.ts';
import {
  damagedFiles,
  entriesOf,
  knownBatchesIn,
  knownManyIn,
  oldestMsIn,
  problemsIn,
} from './ledger/views.ts';
import { encodeFork } from './log/chain-payloads.ts';
import { QueueCore } from './log/core.ts';
import { QueueError } from './log/errors.ts';
import type { ChainKind } from './log/formats.ts';
import { numberKey, rawKey } from './log/index-keys.ts';
import { namesOf } from './log/lost.ts';
import {
  closeQueueFiles,
  freeBytesFor,
  openQueueFiles,
  type QueueFiles,
  type QueueOptions,
} from './log/open-queue.ts';
import {
  DEFAULT_CLASS,
  encodeCounter,
  encodeKnown,
  encodePathRecord,
  encodeProblem,
  encodeReceiptRecord,
} from './log/payloads.ts';
import { decodeCommitPlace, decodeItemPlace } from './log/places.ts';
import { BatchSealer } from './outbox/batch.ts';
import { chainOf, forkOf, headOf } from './outbox/chain.ts';
import { readSigned } from './outbox/commit-cut.ts';
import { GcGate } from './outbox/gc-gate.ts';
import { captureAgain, inheritanceOf } from './outbox/inheritance.ts';
import { type OwnVersion, ownVersionsIn } from './outbox/own-versions.ts';
import { Signing } from './outbox/signing.ts';
import type * as Q from './queue.ts';

const DEFAULT_KEPT_BYTES = 256 * 1024 * 1024;

/** The `Queue` over segments, chain log and LevelDB index. */
export class DurableQueue implements Q.Queue {
  readonly #options: QueueOptions;
  readonly #core: QueueCore;
  readonly #holds = new Holds();
  readonly #batch = new BatchSealer();
  readonly #meter: BudgetMeter;
  readonly #references = new StagedReferences();
  readonly #listeners = new Set<(event: Q.QueueEvent) => void>();
  readonly #intake: Intake;
  readonly #gate = new GcGate();
  readonly #signing: Signing;
  readonly #losses: Losses;
  readonly #recent = new Recent(() => this.#tell({ type: 'fresh' }));
  readonly #damage: readonly string[];
  readonly #rebuilt: boolean;
  #oldestMs: number | undefined;

  private constructor(options: QueueOptions, files: QueueFiles, damage: readonly string[]) {
    this.#options = options;
    this.#damage = damage;
    this.#rebuilt = files.rebuilt;
    this.#meter = new BudgetMeter(options);
    this.#core = new QueueCore(options, files, {
      chainWith: () => this.#references.records(),
      flushed: ({ versions }) => {
        this.#references.written();
        if (versions > 0) this.#tell({ type: 'queued' });
      },
      reopened: () => this.#begin(),
    });
    this.#losses = new Losses({
      ...{ core: this.#core, untold: files.lost },
      appendChain: (kind, payload) => this.#appendChain(kind, payload),
      told: () => this.#tell({ type: 'lost' }),
    });
    this.#signing = new Signing({
      ...{
        core: this.#core,
        batch: this.#batch,
        recent: this.#recent,
        clock: options.clock,
        chainId: options.chainId,
      },
      appendChain: (kind, payload) => this.#appendChain(kind, payload),
      recordLost: (entries, names) => this.#losses.record(entries, names),
    });
    this.#intake = new Intake({
      ...{
        core: this.#core,
        holds: this.#holds,
        batch: this.#batch,
        meter: this.#meter,
        references: this.#references,
        gate: this.#gate,
      },
      recent: this.#recent,
      onVersion: (entry, capturedAtMs) => {
        this.#signing.put(entry);
        this.#oldestMs = Math.min(this.#oldestMs ?? capturedAtMs, capturedAtMs);
      },
      // What fails here is told again with the next receipt.
      onStaleEnded: () => void this.#core.change(() => this.#tellGcReady()).catch(endWith),
    });
  }

  /** Opens or makes the queue of a data folder; see `openQueueFiles` for recovery. */
  static async open(options: QueueOptions): Promise<DurableQueue> {
    const files = await openQueueFiles(options);
    try {
      const queue = new DurableQueue(
        options,
        files,
        await damagedFiles(options.port, options.dataDir),
      );
      await queue.#core.change(() => queue.#begin());
      return queue;
    } catch (error) {
      await closeQueueFiles(files);
      throw error;
    }
  }

  /** The index had to be made again. */
  get rebuilt(): boolean {
    return this.#rebuilt;
  }

  capture(className: string = DEFAULT_CLASS): Q.Capture {
    return this.#intake.open(className);
  }

  forget(path: Uint8Array): Promise<void> {
    return this.#core.change(() => this.#core.append('forget', encodePathRecord(path)));
  }

  refresh(known: Q.KnownFile): Promise<void> {
    return this.#core.change(() => this.#core.append('refresh', encodeKnown(known.entry, known)));
  }

  setProblem(path: Uint8Array, problem: Q.ProblemRecord | undefined): Promise<void> {
    return this.#core.change(() => this.#core.append('problem', encodeProblem(path, problem)));
  }

  sync(): Promise<void> {
    return this.#core.change(() => this.#core.flush());
  }

  async known(path: Uint8Array): Promise<Q.KnownFile | undefined> {
    return (await this.knownMany([path]))[0];
  }

  async knownMany(paths: readonly Uint8Array[]): Promise<readonly (Q.KnownFile | undefined)[]> {
    return knownManyIn(this.#index, paths);
  }

  async *knownUnder(prefix: Uint8Array): AsyncGenerator<Q.KnownFile, void, void> {
    for await (const batch of knownBatchesIn(this.#index, prefix)) yield* batch;
  }

  knownBatches(prefix: Uint8Array): AsyncIterable<readonly Q.KnownFile[]> {
    return knownBatchesIn(this.#index, prefix);
  }

  async *problems(): AsyncGenerator<Q.FileProblem, void, void> {
    yield* problemsIn(this.#index, this.#damage);
  }

  async cacheGetMany(
    indexes: readonly Uint8Array[],
  ): Promise<readonly (Q.CachedChunk | undefined)[]> {
    const values = await this.#index.getManyWritten(indexes.map((index) => rawKey('x', index)));
    return values.map((value) => (value === undefined ? undefined : decodeCached(value)));
  }

  async growthOf(path: Uint8Array): Promise<Uint8Array | undefined> {
    const { key, name } = growthSlot(path);
    return growthIn(await this.#index.get(key), name);
  }

  async hasItem(id: ChunkId): Promise<boolean> {
    return (await this.#index.get(rawKey('i', id))) !== undefined;
  }

  async hasItems(ids: readonly ChunkId[]): Promise<readonly boolean[]> {
    return (await this.#index.getMany(ids.map((id) => rawKey('i', id)))).map(
      (value) => value !== undefined,
    );
  }

  pending(): Q.PendingCounts {
    const { pendingEntries, pendingBytes } = this.#index.state;
    return {
      entries: pendingEntries,
      bytes: pendingBytes,
      oldestMs: pendingEntries === 0 ? undefined : this.#oldestMs,
    };
  }

  subscribe(listener: (event: Q.QueueEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async room(className: string = DEFAULT_CLASS): Promise<Q.RoomLeft> {
    const room = await this.#meter.room(this.#intake.metered(), className);
    if (await this.#meter.relieved(this.#intake.metered())) this.#tell({ type: 'room' });
    return room;
  }

  drains(isDraining: boolean): void {
    if (this.#meter.draining === isDraining) return;
    this.#meter.draining = isDraining;
    if (!isDraining) return;
    const tell = async (): Promise<void> => {
      if (this.#meter.refusedBefore() || this.#index.state.referenceFiles > 0)
        this.#tell({ type: 'room' });
    };
    // In its turn, for while it starts again after a full disk nothing can be asked; whoever waits
    // asks again by himself.
    this.#core.change(tell).catch((error: unknown) => {
      if (!(error instanceof AliquotError)) throw error;
    });
  }

  async usage(): Promise<Q.QueueUsage> {
    const { files } = this.#core;
    const from = this.#holds.from();
    const freeBytes = await freeBytesFor(this.#options);
    const classes = files.index.state.classBytes;
    return {
      usedBytes: usedBytes(files, from),
      keptBytes: keptBytesBelow(files, from),
      freeBytes,
      budget: this.#meter.budget,
      classes,
    };
  }

  async ownVersions(fileIds: readonly FileId[]): Promise<readonly OwnVersion[]> {
    await this.sync();
    return ownVersionsIn(this.#core.files, fileIds);
  }

  putReference(reference: Q.FileReference): Promise<void> {
    return this.#stage(() => this.#references.put(reference));
  }

  dropReference(path: Uint8Array): Promise<void> {
    return this.#stage(() => this.#references.drop(path));
  }

  loseReference(path: Uint8Array, why: Q.LostReason): Promise<void> {
    return this.#losses.recordReference(path, why);
  }

  async *references(): AsyncGenerator<Q.FileReference, void, void> {
    yield* referencesIn(this.#index);
  }

  reference(path: Uint8Array): Promise<Q.FileReference | undefined> {
    return this.#core.change(() => this.#references.find(this.#index, path));
  }

  referenceTotals(): Q.ReferenceTotals {
    const { referenceFiles, referenceBytes } = this.#index.state;
    return { files: referenceFiles, bytes: referenceBytes };
  }

  async nextCommit(signer: Q.CommitSigner): Promise<Q.QueuedCommit | undefined> {
    const isSigned = (): boolean =>
      (this.#index.state.chainHead?.sequence ?? 0) > this.#index.state.receiptedSequence;
    if (!(await this.#core.change(async () => isSigned()))) await this.#signing.prove();
    return this.#core.change(async () => {
      if (!isSigned() && !(await this.#signing.sign(signer))) return undefined;
      return readSigned(this.#core.files, this.#index.state.receiptedSequence + 1);
    });
  }

  async signAll(signer: Q.CommitSigner): Promise<number> {
    const through = await this.#core.change(async () => this.#index.state.nextEntry - 1);
    const more = async (): Promise<boolean> => {
      await this.#signing.prove();
      return this.#core.change(
        async () => this.#index.state.signedEntry < through && (await this.#signing.sign(signer)),
      );
    };
    for (let count = 0; ; count += 1) if (!(await more())) return count;
  }

  async *unreceipted(): AsyncGenerator<Q.QueuedCommit, void, void> {
    const last = this.chainHead()?.sequence ?? 0;
    for (let sequence = this.receiptedSequence() + 1; sequence <= last; sequence += 1) {
      const commit = await this.signedCommit(sequence);
      if (commit !== undefined) yield commit;
    }
  }

  signedCommit(sequence: number): Promise<Q.QueuedCommit | undefined> {
    return this.#core.change(() => readSigned(this.#core.files, sequence));
  }

  async readItem(id: ChunkId): Promise<Q.QueuedItem | undefined> {
    return (
      this.#recent.takeItem(id) ?? this.#readItemAt(id, await this.#index.get(rawKey('i', id)))
    );
  }

  async *readItems(ids: readonly ChunkId[]): AsyncGenerator<Q.QueuedItem | undefined, void, void> {
    const values = await this.#index.getMany(ids.map((id) => rawKey('i', id)));
    for (const [at, id] of ids.entries())
      yield this.#recent.takeItem(id) ?? (await this.#readItemAt(id, values[at]));
  }

  takeFresh(bytes: number): readonly Q.QueuedItem[] {
    return this.#recent.takeItems(bytes);
  }

  async #readItemAt(id: ChunkId, value: Uint8Array | undefined): Promise<Q.QueuedItem | undefined> {
    if (value === undefined) return undefined;
    const place = decodeItemPlace(value);
    try {
      const { header, payload } = await this.#core.files.segments.read(place);
      return equalBytes(header.digest, id) ? { id, kind: place.kind, sealed: payload } : undefined;
    } catch (error) {
      // Damaged or just dropped: the caller asks the source again, and lists what it cannot get.
      if (error instanceof QueueError && error.code === 'QUEUE_DAMAGED') return undefined;
      throw error;
    }
  }

  receipted(receipt: Signed, body: ReceiptBody): Promise<void> {
    return this.#core.change(async () => {
      const value = await this.#index.get(numberKey('c', body.sequence));
      const commit = value === undefined ? undefined : decodeCommitPlace(value);
      const { receiptedSequence } = this.#index.state;
      if (
        commit === undefined ||
        !equalBytes(commit.hash, body.commitHash) ||
        body.sequence > receiptedSequence + 1
      ) {
        throw new QueueError(
          'QUEUE_FOREIGN_RECEIPT',
          `the receipt for commit ${body.sequence} does not belong to this agent's chain`,
        );
      }
      const { sequence, receivedAtMs, copies } = body;
      await this.#appendChain(
        'receipt',
        encodeReceiptRecord({ sequence, receivedAtMs, copies, receipt: encodeSigned(receipt) }),
      );
      if (sequence <= receiptedSequence) return;
      this.#oldestMs = await oldestMsIn(this.#index);
      await this.#dropKept();
      this.#tell({ type: 'receipted', sequence, entries: commit.entries });
      if (this.#meter.refusedBefore() || this.#index.state.referenceFiles > 0)
        this.#tell({ type: 'room' });
      await this.#tellGcReady();
    });
  }

  unreceipt(asked: number): Promise<void> {
    return this.#core.change(async () => {
      const sequence = Math.max(asked, this.#index.state.inheritedSequence);
      if (asked < sequence) await captureAgain(this.#core, asked);
      if (sequence >= this.#index.state.receiptedSequence) return;
      await this.#appendChain('unreceipted', encodeCounter(sequence));
      await this.#findHolds();
      this.#gate.reset();
      this.#oldestMs = await oldestMsIn(this.#index);
      this.#tell({ type: 'queued' });
    });
  }

  chainHead(): ChainPoint | undefined {
    return headOf(this.#index.state, this.#options.chainId);
  }

  chain(): Q.Chain {
    return chainOf(this.#index.state, this.#options.chainId);
  }

  forkChain(fork: Q.ChainFork): Promise<void> {
    return this.#core.change(async () => {
      const record = forkOf(this.#index.state, this.#options.chainId, fork);
      if (record !== undefined) await this.#appendChain('forked', encodeFork(record));
    });
  }

  inheritChain(chainId: ChainId): Promise<void> {
    return this.#core.change(async () => {
      const record = inheritanceOf(this.#index.state, this.#options.chainId, chainId);
      if (record !== undefined) await this.#appendChain('forked', encodeFork(record));
    });
  }

  gcEpoch(): number {
    return this.#index.state.gcEpoch;
  }

  learnGcEpoch(epoch: number): Promise<void> {
    return this.#core.change(async () => {
      if (epoch <= this.#index.state.gcEpoch) return;
      await this.#appendChain('gcEpoch', encodeCounter(epoch));
      this.#gate.learn(this.#holds.captures, this.#index.state.nextEntry - 1);
      await this.#tellGcReady();
    });
  }

  gcAnswer(): Promise<number | undefined> {
    return this.#core.change(async () =>
      (await this.#gcAnswerable()) ? this.gcEpoch() : undefined,
    );
  }

  receiptedSequence(): number {
    return this.#index.state.receiptedSequence;
  }

  lastReceipt(): Q.LastReceipt | undefined {
    return this.#index.state.lastReceipt;
  }

  recordLost(sequence: number, slots: readonly number[]): Promise<void> {
    return this.#losses.recordSlots(sequence, slots);
  }

  async *lost(): AsyncGenerator<Q.LostVersion, void, void> {
    yield* this.#losses.list();
  }

  takeUntoldLost(): number {
    return this.#losses.takeUntold();
  }

  acknowledgeLost(seen: readonly number[]): Promise<void> {
    return this.#losses.acknowledge(seen);
  }

  async pathsOf(sequence: number, slots: readonly number[]): Promise<readonly Uint8Array[]> {
    const entries = await this.#core.change(() => entriesOf(this.#core.files, sequence, slots));
    return [...(await namesOf(this.#index, entries)).values()];
  }

  close(): Promise<void> {
    return this.#core.close();
  }

  // ---- inside the serial section ----

  get #index(): QueueFiles['index'] {
    return this.#core.files.index;
  }

  /** What every start does, also the one after a full disk: captures of before have ended. */
  async #begin(): Promise<void> {
    this.#intake.endAll();
    this.#recent.clear();
    this.#batch.forget();
    this.#signing.forget();
    this.#gate.learn([], this.#index.state.nextEntry - 1);
    await this.#batch.eraseSent(this.#core.files);
    await this.#findHolds();
    for (const path of this.#core.files.unreferenced) this.#references.drop(path);
    await this.#core.flush();
    await this.#dropKept();
    this.#oldestMs = await oldestMsIn(this.#index);
  }

  #stage(step: () => void): Promise<void> {
    return this.#core.change(async () => {
      step();
      if (this.#references.size >= MAX_STAGED_REFERENCES) await this.#core.flush();
    });
  }

  async #appendChain(kind: ChainKind, payload: Uint8Array): Promise<void> {
    await this.#core.appendChain(kind, payload);
    await this.#holds.refresh(this.#index);
  }

  async #findHolds(): Promise<void> {
    const oldest = this.#core.files.segments.files()[0]?.number ?? 0;
    await this.#holds.find(this.#index, await lowestHold(this.#index, oldest));
  }

  /**
   * Kept segments stay within their own budget, and never take what the queue's budget, or the
   * disk's floor, has left for the rest.
   */
  async #dropKept(): Promise<void> {
    const { keptBytes = DEFAULT_KEPT_BYTES, budget } = this.#options;
    const { files } = this.#core;
    const from = this.#holds.from();
    let left =
      budget === undefined ? keptBytes : Math.max(0, budget.maxBytes - usedBytes(files, from));
    // What passes below the floor does not stay there.
    if (budget !== undefined && (await freeBytesFor(this.#options)) < budget.minFreeBytes) left = 0;
    await dropKeptSegments(files, from, Math.min(keptBytes, left));
  }

  async #tellGcReady(): Promise<void> {
    if (await this.#gcAnswerable()) this.#tell({ type: 'gcReady' });
  }

  #gcAnswerable = (): Promise<boolean> =>
    this.#gate.answerable(this.#index, () => this.#core.flush());

  #tell(event: Q.QueueEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
