import {
  type AgentId,
  asChunkId,
  type ChainPoint,
  decodeLogLeaf,
  decodeStoredCommit,
  type EventBody,
  encodeEventBody,
  encodeStoredCommit,
  encodeStoredEvent,
  encodeStoredReferences,
  encodeStoredUploads,
  type LineageId,
  type Signed,
  type StoredReferences,
  type StoredUploads,
  type TreeHead,
} from '@aliquot/proto';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { type HashNode, leafHash, MerkleLog } from '@aliquot/shared/log/merkle';
import { keys } from '../catalog/catalog-keys.ts';
import type { LinkRow, Sums } from '../catalog/catalog-rows.ts';
import { CatalogChange, type CatalogStore } from '../catalog/catalog-store.ts';
import type { ProvedPages } from '../catalog/reference-walk.ts';
import type { Registry } from '../catalog/registry.ts';
import { read, values } from '../catalog/row-codec.ts';
import type {
  HistoryKind,
  HistoryLog,
  HistoryPlace,
  HistoryPoint,
} from '../history/history-log.ts';
import type { PackStore } from '../packs/pack-store.ts';
import {
  type AcceptedCommit,
  applyCommit,
  applyEvent,
  applyReferences,
  applyUploads,
} from './apply.ts';
import { itemRowOf, prefetchItems } from './apply-items.ts';
import { leafRecord, load, nodeStore, type Opening, type Parts } from './core-load.ts';
import type { DurableMark } from './durable-mark.ts';
import type { Effect, LeafPlace } from './effect.ts';
import { HeldItems } from './held-items.ts';
import type { VaultMedia } from './media.ts';

/**
 * One vault as it lies in memory and on its media: history, packs, catalog, log and registry, kept
 * in step.
 *
 * What happens is computed and encoded whole, then appended to the history, and then seen (I-C13);
 * and only what relies on synced data is appended at all (I-C1). None of the calls that change
 * something overlap (the vault's queue sees to it), but for `syncData`. When one fails half-way,
 * the core is thrown away and opened again.
 */
export class VaultCore {
  readonly history: HistoryLog;
  readonly packs: PackStore;
  readonly catalog: CatalogStore;
  readonly registry: Registry;
  /** What packs hold, as the catalog knows it. */
  readonly items: HeldItems;
  readonly #writeMark: VaultMedia['writeMark'];
  #openings: readonly Opening[];
  #log: MerkleLog;
  #sums: Sums;
  /** Where the history stands in the catalog on the disk, and how many bytes the packs had then. */
  #written: { history: HistoryPoint; packBytes: number };
  #marked: string | undefined;

  private constructor(parts: Parts, writeMark: VaultMedia['writeMark']) {
    this.#writeMark = writeMark;
    this.history = parts.history;
    this.packs = parts.packs;
    this.catalog = parts.catalog;
    this.registry = parts.registry;
    this.#openings = parts.openings;
    this.#log = parts.log;
    this.#sums = parts.sums;
    this.items = new HeldItems(parts);
    this.#written = { history: parts.point, packBytes: parts.packs.bytes };
  }

  /** Over what was opened, nothing taken in yet: see `openCore`. */
  static over(parts: Parts, { writeMark }: Pick<VaultMedia, 'writeMark'>): VaultCore {
    return new VaultCore(parts, writeMark);
  }

  /** Over a history and packs that are only looked at, nothing taken in yet: for fsck. */
  static async inspect(
    history: HistoryLog,
    packs: PackStore,
    catalog: CatalogStore,
  ): Promise<VaultCore> {
    return new VaultCore(await load({ history, packs, catalog }), async () => undefined);
  }

  /**
   * Writes the catalog, and beside it how far history and packs are durable. Both have been synced.
   */
  async flush(): Promise<void> {
    const extents = this.packs.packs();
    this.items.noteExtents(extents);
    await this.catalog.flush();
    const { synced } = this.history;
    this.#written = { history: synced, packBytes: this.packs.bytes };
    const growing = extents.filter(({ closed }) => !closed);
    const mark = {
      history: { file: synced.file, offset: synced.offset },
      packs: growing.map(({ pack, syncedBytes }) => ({ pack, syncedBytes })),
    };
    const text = JSON.stringify(mark);
    if (text === this.#marked) return;
    await this.#writeMark(mark);
    this.#marked = text;
  }

  /** Bytes of history, and of packs, that a start would have to take in. */
  get unwrittenBytes(): { readonly history: number; readonly packs: number } {
    const { history, packBytes } = this.#written;
    const { end } = this.history;
    return {
      history: history.file === end.file ? end.offset - history.offset : Number.POSITIVE_INFINITY,
      packs: this.packs.bytes - packBytes,
    };
  }

  /** Bytes of everything but the catalog. */
  get bytes(): number {
    return this.packs.bytes + this.history.bytes;
  }

  /** Everything that is on stable storage. */
  get synced(): DurableMark {
    return { history: this.history.synced, packs: this.packs.packs() };
  }

  get sums(): Sums {
    return this.#sums;
  }

  /** The head over everything appended, durable or not. */
  get head(): TreeHead {
    return { logEpoch: this.#sums.logEpoch, size: this.#log.size, root: this.#log.root };
  }

  get log(): MerkleLog {
    return this.#log;
  }

  get openings(): readonly Opening[] {
    return this.#openings;
  }

  /** Where an accepted commit is; `undefined` when this very commit was never accepted. */
  async link(agentId: AgentId, point: ChainPoint): Promise<LinkRow | undefined> {
    const row = await this.catalog.get(keys.link(agentId, point));
    return row === undefined ? undefined : read.link(row);
  }

  async appendUploads(uploads: StoredUploads): Promise<void> {
    await this.#append('uploads', encodeStoredUploads(uploads), (change) =>
      applyUploads(change, uploads),
    );
  }

  /** Records pages that were proved, with what is new of the sizes that they state. */
  async appendReferences(lineageId: LineageId, { pages, chunks }: ProvedPages): Promise<void> {
    const change = new CatalogChange(this.catalog);
    const named = [...chunks].map(([name, plainSize]) => {
      return { id: asChunkId(new Uint8Array(Buffer.from(name, 'latin1'))), plainSize };
    });
    await prefetchItems(change, named);
    const fresh: typeof named = [];
    for (const one of named)
      if ((await itemRowOf(change, one.id)).plainSize === undefined) fresh.push(one);
    const record: StoredReferences = {
      lineageId,
      pages,
      chunks: fresh.map(({ id }) => id),
      plainSizes: fresh.map(({ plainSize }) => plainSize),
    };
    await this.#append(
      'references',
      encodeStoredReferences(record),
      () => applyReferences(change, record),
      change,
    );
    this.items.noteProved(lineageId, pages);
  }

  /**
   * Puts a leaf at the end of the log, lets `record` make the record that holds it (a receipt needs
   * the new root), and appends that. When it cannot be applied or appended, the log is as before.
   */
  async appendLeaf(
    kind: 'commit' | 'event',
    leaf: Uint8Array,
    record: (leafIndex: number, root: Uint8Array) => Uint8Array,
    apply: (change: CatalogChange, leaf: LeafPlace) => Promise<Effect>,
  ): Promise<number> {
    const leafIndex = this.#log.size;
    const nodes = this.stageLeaf(leaf);
    try {
      const payload = record(leafIndex, this.#log.root);
      const { timeMs } = decodeLogLeaf(leaf);
      await this.#append(kind, payload, (change, place) =>
        apply(change, { leafIndex, timeMs, nodes, place }),
      );
    } catch (error) {
      await this.unstageLeaf(leafIndex);
      throw error;
    }
    return leafIndex;
  }

  appendCommit(
    commit: Omit<AcceptedCommit, 'leaf' | 'receipt' | 'receiptBody'>,
    bytes: Uint8Array,
    leaf: Uint8Array,
    receiptFor: ReceiptMaker,
  ): Promise<number> {
    let made: Pick<AcceptedCommit, 'receipt' | 'receiptBody'> | undefined;
    const record = (leafIndex: number, root: Uint8Array) => {
      made = receiptFor(leafIndex, { logEpoch: this.#sums.logEpoch, size: leafIndex + 1, root });
      return encodeStoredCommit({ commit: bytes, leaf, receipt: made.receipt });
    };
    return this.appendLeaf('commit', leaf, record, (change, place) => {
      if (made === undefined) throw new TypeError('the record was not made');
      return applyCommit(change, { ...commit, ...made, leaf: place });
    });
  }

  async appendEvent(event: EventBody, nowMs: number): Promise<number> {
    // Event and leaf bear one time, so that an agent can make the leaf of an opening again from the
    // opening alone.
    const timeMs = this.leafTime(nowMs);
    const bytes = encodeEventBody({ ...event, timeMs });
    const leaf = eventLeaf(bytes, timeMs);
    const record = () => encodeStoredEvent({ event: bytes, leaf });
    const leafIndex = await this.appendLeaf('event', leaf, record, (change, place) =>
      applyEvent(change, event, place, this.registry),
    );
    this.noteOpening(event, leafIndex, leaf);
    return leafIndex;
  }

  /** The log's time never runs backwards, whatever the clock does. */
  leafTime(nowMs: number): number {
    return Math.max(nowMs, this.#sums.lastLeafMs);
  }

  /** Adds a leaf to the log in memory and returns its nodes for the catalog. */
  stageLeaf(leaf: Uint8Array): readonly HashNode[] {
    return this.#log.stage([leafHash(leaf)]);
  }

  /** Takes the last leaf off the log in memory again: its record was not applied. */
  async unstageLeaf(leafIndex: number): Promise<void> {
    this.#log = await MerkleLog.open(nodeStore(this.catalog), leafIndex);
  }

  noteOpening(event: EventBody, leafIndex: number, leaf: Uint8Array): void {
    if (event.type !== 'epochOpened') return;
    this.#openings = [
      ...this.#openings,
      { logEpoch: this.#sums.logEpoch, opening: event.opening, leafIndex, leaf },
    ];
  }

  /** Makes a record's changes visible, all at once; the record ends at `end`. */
  async commitChange(change: CatalogChange, end: HistoryPoint, effect?: Effect): Promise<void> {
    change.put(keys.checkpoint, values.point(end));
    const sums = await change.get(keys.sums);
    this.#take(change, sums === undefined ? undefined : read.sums(sums), effect);
  }

  /** Nothing in here may fail: the record is in the history. */
  #take(change: CatalogChange, sums: Sums | undefined, effect: Effect | undefined): void {
    change.commit();
    if (sums !== undefined) this.#sums = sums;
    effect?.(this.registry);
  }

  seen(agentId: AgentId, nowMs: number): void {
    this.registry.seen(agentId, nowMs);
  }

  /** The record of one leaf. */
  async leafRecord(leafIndex: number): Promise<{ type: 'commit' | 'event'; payload: Uint8Array }> {
    return leafRecord(this.history, this.catalog, leafIndex);
  }

  async storedCommit(
    leafIndex: number,
  ): Promise<{ commit: Uint8Array; leaf: Uint8Array; receipt: Signed }> {
    return decodeStoredCommit((await this.leafRecord(leafIndex)).payload);
  }

  async close(): Promise<void> {
    await this.history.close();
    await this.packs.close();
    await this.catalog.close();
  }

  /**
   * Appends a record and makes what follows from it visible. That is computed and encoded whole
   * before anything is appended (I-C13): a record that cannot be applied would keep every later
   * start from getting past it.
   */
  async #append(
    kind: HistoryKind,
    payload: Uint8Array,
    apply: (change: CatalogChange, place: HistoryPlace) => Promise<Effect | undefined>,
    change = new CatalogChange(this.catalog),
  ): Promise<void> {
    const { places, end } = await this.history.placesOf([payload.length]);
    const [place] = places;
    if (place === undefined) throw new TypeError('the history has no place for it');
    const effect = await apply(change, place);
    change.put(keys.checkpoint, values.point(end));
    const sums = await change.get(keys.sums);
    const after = sums === undefined ? undefined : read.sums(sums);
    await this.history.append([{ kind, payload }]);
    this.#take(change, after, effect);
  }
}

export type ReceiptMaker = (
  leafIndex: number,
  head: TreeHead,
) => Pick<AcceptedCommit, 'receipt' | 'receiptBody'>;
