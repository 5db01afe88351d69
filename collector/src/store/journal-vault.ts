import type {
  AgentId,
  ChainId,
  ChunkId,
  CollectorCertificateBody,
  EventBody,
  FileId,
  LineageId,
  Signed,
  StateRecord,
  StoredItem,
  TreeHead,
  VaultDescriptorBody,
} from '@aliquot/proto';
import { endWith } from '@aliquot/shared/cli/unexpected';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { release } from '@aliquot/shared/crypto/release';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { Clock } from '@aliquot/shared/ports';
import { type Hasher, hereHasher } from '../hashing/hasher.ts';
import { FLUSH_CHANGES } from './catalog.ts';
import { keys } from './catalog-keys.ts';
import { values } from './catalog-rows.ts';
import { type GateContext, judgeCommit, judgeHeartbeat, type Refused, refusalOf, refused, verifySubmission } from './commit-gate.ts';
import { VaultCore } from './core.ts';
import { leavesDoubt, StoreError } from './errors.ts';
import { admitEvent, refuseNewly } from './events.ts';
import { nextGcEpoch, noteLearned, sweepWaitsFor } from './gc-epochs.ts';
import { everyVersion, liveAt, liveNow, versionsOf, withoutFilesOf } from './history.ts';
import type { JournalPorts } from './journal.ts';
import { judgeHead } from './judge-head.ts';
import { STORE_LIMITS, type StoreLimits } from './limits.ts';
import { PendingUploads } from './pending-uploads.ts';
import { batches, checkedItems, checkItem, storeItems } from './put-items.ts';
import { leafAt, readItems } from './read-back.ts';
import { readRuns } from './read-runs.ts';
import { SerialQueue } from './serial.ts';
import { SignedHeads } from './signed-heads.ts';
import { statsOf } from './stats.ts';
import type {
  AgentRecord,
  CommitOptions,
  CommitOutcome,
  HeadJudgement,
  HistoryRecord,
  ItemRun,
  LeafRecord,
  PutItem,
  ReadItem,
  ReportedHead,
  SweepWait,
  VaultStats,
  VaultStore,
} from './vault-store.ts';

export interface VaultIdentity {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly certificate: CollectorCertificateBody;
  readonly signedCertificate: Signed;
  readonly catalogSecretKey: Uint8Array | undefined;
  /** The collector's own key. */
  readonly identity: SigningKey;
}

export interface VaultPorts extends JournalPorts {
  readonly clock: Clock;
  readonly limits?: StoreLimits;
  /** Proves uploaded bytes; on the spot unless told. */
  readonly hasher?: Hasher;
}

/** Journal bytes that may wait for a sync: bounds what is replayed at start and what a power cut can take from uploads. */
const UNSYNCED_BYTES = 16 * 1024 * 1024;

/**
 * The vault store over pack files and a Level catalog.
 *
 * One queue runs everything that appends, syncs or flushes, in order. A sync is itself a job in that queue: all commits
 * that were waiting when it was asked for run before it and share its fdatasync, which is the group commit.
 */
export class JournalVault implements VaultStore {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly certificate: CollectorCertificateBody;
  readonly signedCertificate: Signed;
  readonly catalogSecretKey: Uint8Array | undefined;

  readonly #dir: string;
  readonly #ports: VaultPorts;
  readonly #identity: SigningKey;
  readonly #heads: SignedHeads;
  readonly #gcListeners = new Set<(epoch: number) => void>();
  readonly #queue = new SerialQueue();
  readonly #uploads = new PendingUploads();
  #core: VaultCore;
  /** Why the core must be opened again before anything else is done. */
  #broken: unknown;
  #closed = false;
  /** Grows when a core was replaced: what was appended to the old one and not synced is gone. */
  #generation = 0;
  #durableHead: TreeHead;
  #nextSync: Promise<void> | undefined;

  private constructor(dir: string, vault: VaultIdentity, ports: VaultPorts, core: VaultCore) {
    this.descriptor = vault.descriptor;
    this.signedDescriptor = vault.signedDescriptor;
    this.certificate = vault.certificate;
    this.signedCertificate = vault.signedCertificate;
    this.catalogSecretKey = vault.catalogSecretKey;
    this.#identity = vault.identity;
    this.#heads = new SignedHeads(vault.identity, { vaultId: vault.descriptor.vaultId, collectorId: vault.certificate.collectorId });
    this.#dir = dir;
    this.#ports = ports;
    this.#core = core;
    this.#durableHead = core.head;
  }

  /** Opens (or, in an empty folder, begins) the vault; throws what `VaultCore.open` throws. */
  static async open(dir: string, vault: VaultIdentity, ports: VaultPorts): Promise<JournalVault> {
    return new JournalVault(dir, vault, ports, await VaultCore.open(dir, vault.descriptor.vaultId, ports));
  }

  async has(lineageId: LineageId, ids: readonly ChunkId[]): Promise<boolean[]> {
    const core = await this.#ready();
    const rows = await core.owned(lineageId, ids);
    return rows.map((row, index) => {
      const id = ids[index];
      return row !== undefined || (id !== undefined && this.#uploads.has(lineageId, id));
    });
  }

  async putChunks(lineageId: LineageId, items: readonly PutItem[]): Promise<void> {
    for (const item of items) checkItem(item, sha256(item.bytes));
    await this.#put(lineageId, items);
  }

  async putBody(lineageId: LineageId, items: readonly StoredItem[], body: Uint8Array): Promise<void> {
    const checked = await checkedItems(this.#hasher, items, body);
    await this.#put(lineageId, checked.items);
    release(checked.bytes);
  }

  sync(): Promise<void> {
    this.#nextSync ??= this.#queue.run(() => {
      this.#nextSync = undefined; // whoever asks from now on may have appended something that this sync misses
      return this.#guarded((core) => this.#syncNow(core));
    });
    return this.#nextSync;
  }

  async commit(agentId: AgentId, commitBytes: Uint8Array, nowMs: number, options: CommitOptions = {}): Promise<CommitOutcome> {
    const { registry } = await this.#ready();
    const early = refusalOf(registry.row(agentId), options);
    const agent = registry.certificate(agentId);
    if (early !== undefined || agent === undefined) return early ?? refused('not-enrolled', 'this agent has not completed its enrolment');
    const verified = verifySubmission(commitBytes, this.descriptor, agent);
    if ('type' in verified) return verified;
    const { outcome, generation } = await this.#do(async (core) => {
      const judged = await judgeCommit(this.#gate(core), verified, commitBytes, nowMs, options);
      if (judged.type === 'accepted') this.#noteSeen(core, agentId, nowMs);
      return { outcome: judged, generation: this.#generation };
    });
    if (outcome.type === 'accepted') await this.#syncedSince(outcome.leafIndex, generation);
    return outcome;
  }

  async heartbeat(agentId: AgentId, signed: Signed, nowMs: number): Promise<Refused | undefined> {
    const core = this.#live();
    const early = refusalOf(core.registry.row(agentId));
    const agent = core.registry.certificate(agentId);
    if (early !== undefined || agent === undefined) return early ?? refused('not-enrolled', 'this agent has not completed its enrolment');
    const judged = judgeHeartbeat(signed, { vaultId: this.descriptor.vaultId, agent });
    if ('code' in judged) return judged;
    this.#noteSeen(core, agentId, nowMs);
    core.registry.setHeartbeat(agentId, judged, nowMs);
    core.catalog.note(keys.heartbeat(agentId), values.heartbeat(nowMs, signed));
    return undefined;
  }

  seen(agentId: AgentId, nowMs: number): void {
    this.#noteSeen(this.#live(), agentId, nowMs);
  }

  async appendEvent(body: EventBody): Promise<{ leafIndex: number }> {
    const { leafIndex, generation } = await this.#do(async (core) => {
      const known = await admitEvent(core, this.descriptor, body);
      if (known === undefined) await refuseNewly(core, body, this.#limits);
      const index = known ?? (await core.appendEvent(body, this.#ports.clock.nowMs()));
      return { leafIndex: index, generation: this.#generation };
    });
    await this.#syncedSince(leafIndex, generation);
    return { leafIndex };
  }

  agents(): AgentRecord[] {
    return this.#live().registry.records();
  }

  agentById(agentId: AgentId): AgentRecord | undefined {
    return this.#live().registry.record(agentId);
  }

  agentByName(name: string): AgentRecord | undefined {
    return this.#live().registry.byName(name);
  }

  async chainHead(agentId: AgentId, chainId: ChainId) {
    await this.sync();
    return this.#live().registry.lines(agentId)?.chainHead(chainId)?.head;
  }

  historyOf(agentId: AgentId, chainId: ChainId): HistoryRecord | undefined {
    const { registry } = this.#live();
    const historyId = registry.lines(agentId)?.chainHead(chainId)?.historyId;
    if (historyId === undefined) return undefined;
    return registry.record(agentId)?.histories.find((history) => equalBytes(history.historyId, historyId));
  }

  historyIds(agentId: AgentId): LineageId[] {
    return this.#live().registry.lines(agentId)?.historyIds() ?? [];
  }

  addresses(): Signed | undefined {
    return this.#live().registry.addresses;
  }

  gcEpoch(): number {
    return this.#live().registry.gcEpoch;
  }

  async announceGcEpoch(nowMs: number): Promise<number> {
    const { gcEpoch, leafIndex, generation } = await this.#do(async (core) => {
      const epoch = nextGcEpoch(core, nowMs);
      const index = await core.appendEvent({ type: 'gcEpochAnnounced', timeMs: nowMs, gcEpoch: epoch }, nowMs);
      return { gcEpoch: epoch, leafIndex: index, generation: this.#generation };
    });
    await this.#syncedSince(leafIndex, generation);
    for (const listener of this.#gcListeners) listener(gcEpoch);
    return gcEpoch;
  }

  onGcEpoch(listener: (epoch: number) => void): () => void {
    this.#gcListeners.add(listener);
    return () => void this.#gcListeners.delete(listener);
  }

  gcLearned(agentId: AgentId, chainId: ChainId, epoch: number): void {
    noteLearned(this.#live(), agentId, chainId, epoch);
  }

  sweepWaitsFor(epoch: number): SweepWait[] {
    return sweepWaitsFor(this.#live(), epoch);
  }

  head(nowMs: number): Signed {
    return this.#heads.sign(this.#durableHead, nowMs);
  }

  treeHead(): TreeHead {
    return this.#durableHead;
  }

  inclusion(leafIndex: number, size: number): Promise<Uint8Array[]> {
    return this.#live().log.inclusionProof(leafIndex, size);
  }

  consistency(fromSize: number, toSize: number): Promise<Uint8Array[]> {
    return this.#live().log.consistencyProof(fromSize, toSize);
  }

  rootAt(size: number): Promise<Uint8Array> {
    return this.#live().log.rootAt(size);
  }

  async leafAt(leafIndex: number): Promise<LeafRecord> {
    return leafAt(this.#live(), leafIndex);
  }

  judgeHead(head: TreeHead): Promise<HeadJudgement> {
    return judgeHead(this.#live(), head);
  }

  openings(afterEpoch: number): { opening: Signed; leafIndex: number; leaf: Uint8Array }[] {
    const durable = this.#durableHead.size;
    return this.#live()
      .openings.filter(({ logEpoch, leafIndex }) => logEpoch > afterEpoch && leafIndex < durable)
      .map(({ opening, leafIndex, leaf }) => ({ opening, leafIndex, leaf }));
  }

  reportedHeads(): ReportedHead[] {
    return this.#live()
      .registry.reported()
      .map(([, head]) => head);
  }

  async readItem(id: ChunkId) {
    const found = await (await this.#ready()).readItem(id);
    return found === undefined ? undefined : { kind: found.row.kind, bytes: found.bytes };
  }

  readItems(ids: readonly ChunkId[]): AsyncGenerator<ReadItem> {
    return readItems(() => this.#ready(), ids);
  }

  readRuns(ids: readonly ChunkId[]): AsyncGenerator<ItemRun, void, void> {
    return readRuns(() => this.#ready(), this.#hasher, ids);
  }

  async *state(historyId: LineageId, atMs: number | undefined): AsyncGenerator<StateRecord> {
    const core = await this.#settled();
    yield* atMs === undefined ? liveNow(core, historyId) : liveAt(core, historyId, atMs);
  }

  async *stateWithout(historyId: LineageId, beside: LineageId, atMs: number | undefined): AsyncGenerator<StateRecord> {
    yield* withoutFilesOf(await this.#settled(), beside, this.state(historyId, atMs));
  }

  async *everyVersion(historyId: LineageId): AsyncGenerator<StateRecord> {
    yield* everyVersion(await this.#settled(), historyId);
  }

  async *versions(historyId: LineageId, fileId: FileId): AsyncGenerator<StateRecord> {
    yield* versionsOf(await this.#settled(), historyId, fileId);
  }

  stats(): VaultStats {
    return statsOf(this.#live());
  }

  growthPerDay(nowMs: number): number | undefined {
    const core = this.#live();
    return core.registry.growth.perDay(nowMs, core.journal.bytes);
  }

  flush(): Promise<void> {
    return this.#do((core) => this.#syncNow(core, 'flush'));
  }

  /** Syncs, writes the catalog and closes the files. Later calls throw `STORE_CLOSED`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      if (this.#broken === undefined) await this.flush();
    } finally {
      this.#closed = true;
      await this.#queue.run(() => this.#core.close());
    }
  }

  #gate(core: VaultCore): GateContext {
    const { vaultId } = this.descriptor;
    const { collectorId } = this.certificate;
    return { core, uploads: this.#uploads, vaultId, collectorId, identity: this.#identity, limits: this.#limits };
  }

  get #limits(): StoreLimits {
    return this.#ports.limits ?? STORE_LIMITS;
  }

  get #hasher(): Hasher {
    return this.#ports.hasher ?? hereHasher;
  }

  #live(): VaultCore {
    if (this.#closed) throw new StoreError('STORE_CLOSED', `the store of vault ${this.descriptor.name} is closed`);
    return this.#core;
  }

  /** Runs a job alone. After a failure that leaves memory and disk in doubt the core is opened again first. */
  #do<T>(job: (core: VaultCore) => Promise<T>): Promise<T> {
    return this.#queue.run(() => this.#guarded(job));
  }

  async #guarded<T>(job: (core: VaultCore) => Promise<T>): Promise<T> {
    this.#live();
    if (this.#broken !== undefined) await this.#reopen();
    try {
      return await job(this.#core);
    } catch (error) {
      if (leavesDoubt(error)) {
        this.#broken = error;
        // Before anybody is told of it, so that who looks then (a person, at whether it was done after all) sees nothing that was dropped.
        // What stands in the way is told to the next who asks.
        await this.#reopen().catch((met: unknown) => endWith(met));
      }
      throw error;
    }
  }

  /** The core for a read; after a failure it is opened again first. */
  async #ready(): Promise<VaultCore> {
    this.#live();
    if (this.#broken !== undefined) await this.#do(async () => undefined);
    return this.#core;
  }

  /** Drops what was not synced (nobody was told of it) and opens the vault again from the disk. */
  async #reopen(): Promise<void> {
    const discardAfter = this.#core.journal.synced;
    await this.#core.close().catch(() => undefined); // broken already: the reason was told to whoever met it
    this.#uploads.clear();
    this.#generation += 1;
    try {
      this.#core = await VaultCore.open(this.#dir, this.descriptor.vaultId, this.#ports, discardAfter);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new StoreError('STORE_FAILED', `the store of vault ${this.descriptor.name} cannot go on: ${why}`, {
        cause: error,
        retryable: true,
      });
    }
    this.#durableHead = this.#core.head;
    this.#broken = undefined;
  }

  async #put(lineageId: LineageId, items: readonly PutItem[]): Promise<void> {
    for (const batch of batches(items)) await this.#do((core) => this.#putBatch(core, lineageId, batch));
  }

  async #putBatch(core: VaultCore, lineageId: LineageId, items: readonly PutItem[]): Promise<void> {
    await storeItems(core, this.#uploads, lineageId, items);
    const { end, synced } = core.journal;
    if (end.offset - synced.offset >= UNSYNCED_BYTES || core.catalog.pendingChanges >= FLUSH_CHANGES) await this.#syncNow(core);
  }

  async #syncNow(core: VaultCore, flush: 'flush' | 'when full' = 'when full'): Promise<void> {
    await this.#uploads.appendAllTo(core);
    await core.journal.sync();
    const head = core.head;
    if (head.size !== this.#durableHead.size) this.#durableHead = head;
    if (flush === 'flush' || core.catalog.pendingChanges >= FLUSH_CHANGES || core.unwrittenBytes >= UNSYNCED_BYTES) await core.flush();
  }

  /** Resolves when a leaf is durable; throws when a failure has dropped it meanwhile. */
  async #syncedSince(leafIndex: number, generation: number): Promise<void> {
    if (leafIndex >= this.#durableHead.size) await this.sync();
    if (generation === this.#generation) return;
    throw new StoreError('STORE_FAILED', 'the disk failed before this was durable; send it again', { retryable: true });
  }

  /** The core with everything that was appended before durable: what is read here may be shown. */
  async #settled(): Promise<VaultCore> {
    await this.sync();
    return this.#live();
  }

  #noteSeen(core: VaultCore, agentId: AgentId, nowMs: number): void {
    const { registry, catalog, journal } = core;
    const rhythm = registry.learnRhythm(agentId, nowMs);
    if (rhythm !== undefined) catalog.note(keys.rhythm(agentId), values.rhythm(rhythm));
    registry.seen(agentId, nowMs);
    catalog.note(keys.seen(agentId), values.u64(nowMs));
    for (const { day, bytes } of registry.growth.note(nowMs, journal.bytes))
      catalog.note(keys.packBytes(day), bytes === undefined ? undefined : values.u64(bytes));
  }
}
