import type {
  AgentId,
  ChainId,
  ChunkId,
  CollectorCertificateBody,
  FileId,
  LineageId,
  Signed,
  StateRecord,
  StoredItem,
  TreeHead,
  VaultDescriptorBody,
} from '@aliquot/proto';
import { decodeEventBody, type EventBody } from '@aliquot/proto';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { release } from '@aliquot/shared/crypto/release';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import { type Hasher, hereHasher } from '@aliquot/shared/hashing/hasher';
import type { Clock } from '@aliquot/shared/ports';
import { refuseTwice } from './apply-desk.ts';
import { keys } from './catalog-keys.ts';
import { values } from './catalog-rows.ts';
import {
  type GateContext,
  judgeCommit,
  judgeHeartbeat,
  type Refused,
  refusalOf,
  refused,
  verifySubmission,
} from './commit-gate.ts';
import type { VaultCore } from './core.ts';
import { CoreKeeper } from './core-keeper.ts';
import { type AgentDesk, type AgentSaid, saidRow } from './desk.ts';
import { admitEvent, refuseNewly } from './events.ts';
import { nextGcEpoch, noteLearned, sweepWaitsFor } from './gc-epochs.ts';
import { everyVersion, liveAt, liveNow, versionsOf, withoutFilesOf } from './history.ts';
import type { JournalPorts } from './journal.ts';
import { judgeHead } from './judge-head.ts';
import { STORE_LIMITS, type StoreLimits } from './limits.ts';
import { batches, checkedItems, checkItem, storeItems } from './put-items.ts';
import { leafAt, readItems } from './read-back.ts';
import { readRuns } from './read-runs.ts';
import { SignedHeads } from './signed-heads.ts';
import { statsOf } from './stats.ts';
import type {
  AgentRecord,
  CommitOptions,
  CommitOutcome,
  GroupRecord,
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

/** The vault store over pack files and a Level catalog; order and durability are `CoreKeeper`'s. */
export class JournalVault implements VaultStore {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly certificate: CollectorCertificateBody;
  readonly signedCertificate: Signed;
  readonly catalogSecretKey: Uint8Array | undefined;

  readonly #ports: VaultPorts;
  readonly #identity: SigningKey;
  readonly #heads: SignedHeads;
  readonly #gcListeners = new Set<(epoch: number) => void>();
  readonly #keeper: CoreKeeper;

  private constructor(vault: VaultIdentity, ports: VaultPorts, keeper: CoreKeeper) {
    this.descriptor = vault.descriptor;
    this.signedDescriptor = vault.signedDescriptor;
    this.certificate = vault.certificate;
    this.signedCertificate = vault.signedCertificate;
    this.catalogSecretKey = vault.catalogSecretKey;
    this.#identity = vault.identity;
    this.#heads = new SignedHeads(vault.identity, {
      vaultId: vault.descriptor.vaultId,
      collectorId: vault.certificate.collectorId,
    });
    this.#ports = ports;
    this.#keeper = keeper;
  }

  /** Opens (or, in an empty folder, begins) the vault; throws what `VaultCore.open` throws. */
  static async open(dir: string, vault: VaultIdentity, ports: VaultPorts): Promise<JournalVault> {
    return new JournalVault(vault, ports, await CoreKeeper.open(dir, vault.descriptor, ports));
  }

  async has(lineageId: LineageId, ids: readonly ChunkId[]): Promise<boolean[]> {
    const core = await this.#keeper.ready();
    const rows = await core.owned(lineageId, ids);
    return rows.map((row, index) => {
      const id = ids[index];
      return row !== undefined || (id !== undefined && this.#keeper.uploads.has(lineageId, id));
    });
  }

  async putChunks(lineageId: LineageId, items: readonly PutItem[]): Promise<void> {
    for (const item of items) checkItem(item, sha256(item.bytes));
    await this.#put(lineageId, items);
  }

  async putBody(
    lineageId: LineageId,
    items: readonly StoredItem[],
    body: Uint8Array,
  ): Promise<void> {
    const checked = await checkedItems(this.#hasher, items, body);
    await this.#put(lineageId, checked.items);
    release(checked.bytes);
  }

  sync(): Promise<void> {
    return this.#keeper.sync();
  }

  async commit(
    agentId: AgentId,
    commitBytes: Uint8Array,
    nowMs: number,
    options: CommitOptions = {},
  ): Promise<CommitOutcome> {
    const { registry } = await this.#keeper.ready();
    const early = refusalOf(registry.row(agentId), options);
    const agent = registry.certificate(agentId);
    if (early !== undefined || agent === undefined)
      return early ?? refused('not-enrolled', 'this agent has not completed its enrolment');
    const verified = verifySubmission(commitBytes, this.descriptor, agent);
    if ('type' in verified) return verified;
    const judge = async (core: VaultCore): Promise<CommitOutcome> => {
      const judged = await judgeCommit(this.#gate(core), verified, commitBytes, nowMs, options);
      if (judged.type === 'accepted') this.#noteSeen(core, agentId, nowMs);
      return judged;
    };
    return this.#keeper.doDurably(judge, (outcome) =>
      outcome.type === 'accepted' ? outcome.leafIndex : undefined,
    );
  }

  async heartbeat(agentId: AgentId, signed: Signed, nowMs: number): Promise<Refused | undefined> {
    const core = this.#keeper.live();
    const early = refusalOf(core.registry.row(agentId));
    const agent = core.registry.certificate(agentId);
    if (early !== undefined || agent === undefined)
      return early ?? refused('not-enrolled', 'this agent has not completed its enrolment');
    const judged = judgeHeartbeat(signed, { vaultId: this.descriptor.vaultId, agent });
    if ('code' in judged) return judged;
    this.#noteSeen(core, agentId, nowMs);
    core.registry.setHeartbeat(agentId, judged, nowMs);
    core.catalog.note(keys.heartbeat(agentId), values.heartbeat(nowMs, signed));
    return undefined;
  }

  seen(agentId: AgentId, nowMs: number): void {
    this.#noteSeen(this.#keeper.live(), agentId, nowMs);
  }

  appendEvent(body: EventBody): Promise<{ leafIndex: number }> {
    return this.appendEvents([body]);
  }

  async appendEvents(bodies: readonly EventBody[]): Promise<{ leafIndex: number }> {
    const append = async (core: VaultCore): Promise<{ leafIndex: number }> => {
      const known: (number | undefined)[] = [];
      for (const body of bodies) {
        const leaf = await admitEvent(core, this.descriptor, body);
        if (leaf === undefined) await refuseNewly(core, body, this.#limits);
        known.push(leaf);
      }
      refuseTwice(bodies);
      let leafIndex = 0;
      for (const [at, body] of bodies.entries())
        leafIndex = Math.max(
          leafIndex,
          known[at] ?? (await core.appendEvent(body, this.#ports.clock.nowMs())),
        );
      return { leafIndex };
    };
    return this.#keeper.doDurably(append, ({ leafIndex }) => leafIndex);
  }

  agents(): AgentRecord[] {
    return this.#keeper.live().registry.records();
  }

  agentById(agentId: AgentId): AgentRecord | undefined {
    return this.#keeper.live().registry.record(agentId);
  }

  agentByName(name: string): AgentRecord | undefined {
    return this.#keeper.live().registry.byName(name);
  }

  async chainHead(agentId: AgentId, chainId: ChainId) {
    await this.sync();
    return this.#keeper.live().registry.lines(agentId)?.chainHead(chainId)?.head;
  }

  groups(): GroupRecord[] {
    return this.#keeper.live().registry.groupRecords();
  }

  historyOf(agentId: AgentId, chainId: ChainId): HistoryRecord | undefined {
    const { registry } = this.#keeper.live();
    const historyId = registry.lines(agentId)?.chainHead(chainId)?.historyId;
    if (historyId === undefined) return undefined;
    return registry
      .record(agentId)
      ?.histories.find((history) => equalBytes(history.historyId, historyId));
  }

  historyIds(agentId: AgentId): LineageId[] {
    return this.#keeper.live().registry.lines(agentId)?.historyIds() ?? [];
  }

  addresses(): Signed | undefined {
    return this.#keeper.live().registry.addresses;
  }

  policyRevision(): number {
    return this.#keeper.live().registry.desk.newest;
  }

  async policy(revision: number) {
    const leafIndex = this.#keeper.live().registry.desk.policyLeaf(revision);
    if (leafIndex === undefined) return undefined;
    const { record } = await this.leafAt(leafIndex);
    const event = record.type === 'event' ? decodeEventBody(record.event) : undefined;
    return event?.type === 'policySet' ? event : undefined;
  }

  desk(agentId: AgentId): AgentDesk {
    return this.#keeper.live().registry.desk.of(agentId);
  }

  settingsWait(): boolean {
    return this.#keeper.live().registry.desk.waiting().length > 0;
  }

  said(agentId: AgentId, said: Partial<AgentSaid>): void {
    const { registry, catalog } = this.#keeper.live();
    const before = registry.desk.of(agentId).said ?? { inForce: 0, software: '', reply: undefined };
    registry.desk.say(agentId, { ...before, ...said });
    catalog.note(keys.said(agentId), saidRow({ ...before, ...said }));
  }

  gcEpoch(): number {
    return this.#keeper.live().registry.gcEpoch;
  }

  async announceGcEpoch(nowMs: number): Promise<number> {
    const announce = async (core: VaultCore): Promise<{ gcEpoch: number; leafIndex: number }> => {
      const epoch = nextGcEpoch(core, nowMs);
      return {
        gcEpoch: epoch,
        leafIndex: await core.appendEvent(
          { type: 'gcEpochAnnounced', timeMs: nowMs, gcEpoch: epoch },
          nowMs,
        ),
      };
    };
    const { gcEpoch } = await this.#keeper.doDurably(announce, ({ leafIndex }) => leafIndex);
    for (const listener of this.#gcListeners) listener(gcEpoch);
    return gcEpoch;
  }

  onGcEpoch(listener: (epoch: number) => void): () => void {
    this.#gcListeners.add(listener);
    return () => void this.#gcListeners.delete(listener);
  }

  gcLearned(agentId: AgentId, chainId: ChainId, epoch: number): void {
    noteLearned(this.#keeper.live(), agentId, chainId, epoch);
  }

  sweepWaitsFor(epoch: number): SweepWait[] {
    return sweepWaitsFor(this.#keeper.live(), epoch);
  }

  head(nowMs: number): Signed {
    return this.#heads.sign(this.#keeper.durableHead, nowMs);
  }

  treeHead(): TreeHead {
    return this.#keeper.durableHead;
  }

  inclusion(leafIndex: number, size: number): Promise<Uint8Array[]> {
    return this.#keeper.live().log.inclusionProof(leafIndex, size);
  }

  consistency(fromSize: number, toSize: number): Promise<Uint8Array[]> {
    return this.#keeper.live().log.consistencyProof(fromSize, toSize);
  }

  rootAt(size: number): Promise<Uint8Array> {
    return this.#keeper.live().log.rootAt(size);
  }

  async leafAt(leafIndex: number): Promise<LeafRecord> {
    return leafAt(this.#keeper.live(), leafIndex);
  }

  judgeHead(head: TreeHead): Promise<HeadJudgement> {
    return judgeHead(this.#keeper.live(), head);
  }

  openings(afterEpoch: number): { opening: Signed; leafIndex: number; leaf: Uint8Array }[] {
    const durable = this.#keeper.durableHead.size;
    return this.#keeper
      .live()
      .openings.filter(({ logEpoch, leafIndex }) => logEpoch > afterEpoch && leafIndex < durable)
      .map(({ opening, leafIndex, leaf }) => ({ opening, leafIndex, leaf }));
  }

  reportedHeads(): ReportedHead[] {
    return this.#keeper
      .live()
      .registry.reported()
      .map(([, head]) => head);
  }

  async readItem(id: ChunkId) {
    const found = await (await this.#keeper.ready()).readItem(id);
    return found === undefined ? undefined : { kind: found.row.kind, bytes: found.bytes };
  }

  readItems(ids: readonly ChunkId[]): AsyncGenerator<ReadItem> {
    return readItems(() => this.#keeper.ready(), ids);
  }

  readRuns(ids: readonly ChunkId[]): AsyncGenerator<ItemRun, void, void> {
    return readRuns(() => this.#keeper.ready(), this.#hasher, ids);
  }

  async *state(historyId: LineageId, atMs: number | undefined): AsyncGenerator<StateRecord> {
    const core = await this.#keeper.settled();
    yield* atMs === undefined ? liveNow(core, historyId) : liveAt(core, historyId, atMs);
  }

  async *stateWithout(
    historyId: LineageId,
    beside: LineageId,
    atMs: number | undefined,
  ): AsyncGenerator<StateRecord> {
    yield* withoutFilesOf(await this.#keeper.settled(), beside, this.state(historyId, atMs));
  }

  async *everyVersion(historyId: LineageId): AsyncGenerator<StateRecord> {
    yield* everyVersion(await this.#keeper.settled(), historyId);
  }

  async *versions(historyId: LineageId, fileId: FileId): AsyncGenerator<StateRecord> {
    yield* versionsOf(await this.#keeper.settled(), historyId, fileId);
  }

  stats(): VaultStats {
    return statsOf(this.#keeper.live());
  }

  growthPerDay(nowMs: number): number | undefined {
    const core = this.#keeper.live();
    return core.registry.growth.perDay(nowMs, core.journal.bytes);
  }

  flush(): Promise<void> {
    return this.#keeper.flush();
  }

  /** Syncs, writes the catalog and closes the files. Later calls throw `STORE_CLOSED`. */
  close(): Promise<void> {
    return this.#keeper.close();
  }

  #gate(core: VaultCore): GateContext {
    const { vaultId } = this.descriptor;
    const { collectorId } = this.certificate;
    return {
      core,
      uploads: this.#keeper.uploads,
      vaultId,
      collectorId,
      identity: this.#identity,
      limits: this.#limits,
    };
  }

  get #limits(): StoreLimits {
    return this.#ports.limits ?? STORE_LIMITS;
  }

  get #hasher(): Hasher {
    return this.#ports.hasher ?? hereHasher;
  }

  async #put(lineageId: LineageId, items: readonly PutItem[]): Promise<void> {
    for (const batch of batches(items)) {
      await this.#keeper.do(async (core) => {
        await storeItems(core, this.#keeper.uploads, lineageId, batch);
        await this.#keeper.syncWhenFull(core);
      });
    }
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
