import { join } from 'node:path';
import {
  type AgentId,
  asChunkId,
  type ChainPoint,
  type ChunkId,
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
  type VaultId,
} from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { type HashNode, leafHash, MerkleLog } from '@aliquot/shared/log/merkle';
import {
  type AcceptedCommit,
  applyCommit,
  applyEvent,
  applyItem,
  applyReferences,
  applyUploads,
  type Effect,
  type LeafPlace,
} from './apply.ts';
import { Catalog, type CatalogChange } from './catalog.ts';
import { keys } from './catalog-keys.ts';
import { type ItemRow, type LinkRow, type Owned, read, type Sums } from './catalog-rows.ts';
import {
  emptied,
  isUnfitCatalog,
  leafRecord,
  load,
  nodeStore,
  type Opening,
  type Parts,
} from './core-load.ts';
import { readMark, writeMark } from './durable-mark.ts';
import { StoreError } from './errors.ts';
import { Journal, type JournalPorts, type NewRecord, type Placed } from './journal.ts';
import { comparePositions, furthest, type Position } from './position.ts';
import { PACK_HEADER_BYTES } from './record.ts';
import { idName, type ProvedPages, type ReferenceSource } from './reference-walk.ts';
import type { Registry } from './registry.ts';
import { replayInto } from './replay.ts';
import type { PutItem } from './vault-records.ts';

export const START: Position = { pack: 1, offset: PACK_HEADER_BYTES };

/**
 * One vault as it lies in memory and on disk: journal, catalog, log and registry, kept in step.
 *
 * Every `append…` writes the journal first and then changes the others; none of them overlap (the
 * vault's queue sees to it). When one fails half-way, the core is thrown away and opened again from
 * the disk.
 */
export class VaultCore {
  readonly journal: Journal;
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly #damaged: Set<string>;
  #openings: readonly Opening[];
  #log: MerkleLog;
  #sums: Sums;

  readonly #mark: (position: Position) => Promise<void>;
  #marked: Position | undefined;

  private constructor(parts: Parts, mark: (position: Position) => Promise<void>) {
    this.#mark = mark;
    this.journal = parts.journal;
    this.catalog = parts.catalog;
    this.registry = parts.registry;
    this.#damaged = parts.damaged;
    this.#openings = parts.openings;
    this.#log = parts.log;
    this.#sums = parts.sums;
  }

  /**
   * Opens journal and catalog and replays what the catalog does not know yet, or everything when it
   * is missing, broken or of another version. Throws `STORE_CORRUPT` where durable records are gone
   * or broken; what cannot be applied is told to `ports.onUnfit`, and passed over. `discardAfter`:
   * see `Journal.open`.
   */
  static async open(
    dir: string,
    vaultId: VaultId,
    ports: JournalPorts,
    discardAfter?: Position,
  ): Promise<VaultCore> {
    let catalog = await Catalog.open(ports.files, join(dir, 'catalog'));
    let journal: Journal | undefined;
    try {
      journal = await Journal.open(join(dir, 'packs'), vaultId, ports, {
        known: furthest(catalog.durable, await readMark(ports.files, dir)),
        discardAfter,
      });
      let parts: Parts;
      try {
        parts = await load(journal, catalog);
      } catch (error) {
        if (!isUnfitCatalog(error)) throw error;
        catalog = await emptied(catalog, ports.files, join(dir, 'catalog'));
        parts = await load(journal, catalog);
      }
      const core = new VaultCore(parts, (position) => writeMark(ports.files, dir, position));
      await replayInto(core, journal, catalog.checkpoint ?? START, { onUnfit: ports.onUnfit });
      await core.flush();
      return core;
    } catch (error) {
      await journal?.close();
      await catalog.close();
      throw error;
    }
  }

  /**
   * The packs of `dir` up to `end` (as fsck has read them) over an empty catalog in `catalogDir`,
   * nothing replayed yet: for fsck, which writes nothing to `dir`.
   */
  static async inspect(
    dir: string,
    catalogDir: string,
    vaultId: VaultId,
    ports: JournalPorts,
    end: Position | undefined,
  ): Promise<VaultCore> {
    const journal = Journal.inspect(join(dir, 'packs'), vaultId, ports, end);
    const catalog = await Catalog.open(ports.files, catalogDir);
    return new VaultCore(await load(journal, catalog), async () => undefined);
  }

  /**
   * Writes the catalog, and beside it how far the packs are durable. The journal has been synced.
   */
  async flush(): Promise<void> {
    await this.catalog.flush();
    const { synced } = this.journal;
    if (this.#marked !== undefined && comparePositions(this.#marked, synced) === 0) return;
    await this.#mark(synced);
    this.#marked = synced;
  }

  /**
   * Bytes of the journal that a start would have to replay; more than any limit when the catalog
   * stands in an earlier pack.
   */
  get unwrittenBytes(): number {
    const { checkpoint } = this.catalog;
    const { end } = this.journal;
    return checkpoint?.pack === end.pack
      ? end.offset - checkpoint.offset
      : Number.POSITIVE_INFINITY;
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

  get damagedCount(): number {
    return this.#damaged.size;
  }

  isDamaged(id: ChunkId): boolean {
    return this.#damaged.has(idName(id));
  }

  /** Remembers that an item's bytes have rotted: asked for again at the next upload. */
  setDamaged(id: ChunkId): void {
    this.#damaged.add(idName(id));
    this.catalog.note(keys.damaged(id), Buffer.alloc(0));
  }

  async item(id: ChunkId): Promise<ItemRow | undefined> {
    const row = await this.catalog.get(keys.item(id));
    return row === undefined ? undefined : read.item(row);
  }

  async items(ids: readonly ChunkId[]): Promise<(ItemRow | undefined)[]> {
    const rows = await this.catalog.getMany(ids.map((id) => keys.item(id)));
    return rows.map((row) => (row === undefined ? undefined : read.item(row)));
  }

  /** Ownership rows; a damaged item counts as absent, so that its owners send it again. */
  async owned(lineageId: LineageId, ids: readonly ChunkId[]): Promise<(Owned | undefined)[]> {
    const rows = await this.catalog.getMany(ids.map((id) => keys.owned(lineageId, id)));
    return rows.map((row, index) => {
      const id = ids[index];
      return row === undefined || (id !== undefined && this.isDamaged(id))
        ? undefined
        : read.owned(row);
    });
  }

  /** An item's bytes; `undefined` when not held. Throws `STORE_DAMAGED`, and remembers it. */
  async readItem(id: ChunkId): Promise<{ row: ItemRow; bytes: Buffer } | undefined> {
    const row = await this.item(id);
    if (row === undefined) return undefined;
    try {
      const { header, payload } = await this.journal.read(row.position, row.length);
      if (idName(header.id) !== idName(id))
        throw new StoreError(
          'STORE_DAMAGED',
          'the catalog points at another record: run aliquot fsck --repair',
        );
      return { row, bytes: payload };
    } catch (error) {
      if (error instanceof StoreError && error.code === 'STORE_DAMAGED') this.setDamaged(id);
      throw error;
    }
  }

  /** Where an accepted commit is; `undefined` when this very commit was never accepted. */
  async link(agentId: AgentId, point: ChainPoint): Promise<LinkRow | undefined> {
    const row = await this.catalog.get(keys.link(agentId, point));
    return row === undefined ? undefined : read.link(row);
  }

  /** What a walk through a commit's references asks. */
  referenceSource(owned: ReferenceSource['owned']): ReferenceSource {
    return { owned, readPage: (id) => this.readPage(id) };
  }

  /** A page's bytes, or `undefined` when they are damaged or not held. */
  async readPage(id: ChunkId): Promise<Uint8Array | undefined> {
    try {
      return (await this.readItem(id))?.bytes;
    } catch (error) {
      if (error instanceof StoreError && error.code === 'STORE_DAMAGED') return undefined;
      throw error;
    }
  }

  async appendItems(items: readonly PutItem[]): Promise<void> {
    const records = items.map(({ id, kind, bytes }) => ({ kind, id, payload: bytes }));
    await this.#append(records, async (change, placed) => {
      await change.prefetch(items.map(({ id }) => keys.item(id)));
      for (const [index, { id, kind, bytes }] of items.entries()) {
        const place = placed[index];
        if (place !== undefined)
          await applyItem(change, { id, kind, length: bytes.length, position: place.position });
      }
    });
    for (const { id } of items) this.mended(id);
  }

  async appendUploads(uploads: StoredUploads): Promise<void> {
    await this.#append([recordOf('uploads', encodeStoredUploads(uploads))], (change) =>
      applyUploads(change, uploads),
    );
  }

  /** Records pages that were proved, with what is new of the sizes that they state. */
  async appendReferences(lineageId: LineageId, { pages, chunks }: ProvedPages): Promise<void> {
    const named = [...chunks].map(([name, plainSize]) => {
      return { id: asChunkId(new Uint8Array(Buffer.from(name, 'latin1'))), plainSize };
    });
    const rows = await this.items(named.map(({ id }) => id));
    const fresh = named.filter((_, at) => rows[at]?.plainSize === undefined);
    const record: StoredReferences = {
      lineageId,
      pages,
      chunks: fresh.map(({ id }) => id),
      plainSizes: fresh.map(({ plainSize }) => plainSize),
    };
    await this.#append([recordOf('references', encodeStoredReferences(record))], (change) =>
      applyReferences(change, record),
    );
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
      await this.#append([recordOf(kind, payload)], (change, [place]) => {
        if (place === undefined) throw new TypeError('the journal has no place for it');
        return apply(change, {
          leafIndex,
          timeMs,
          nodes,
          position: place.position,
          length: payload.length,
        });
      });
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

  /** Makes a record's changes visible, all at once. */
  async commitChange(change: CatalogChange, end: Position, effect?: Effect): Promise<void> {
    const sums = await change.get(keys.sums);
    this.#take(change, sums === undefined ? undefined : read.sums(sums), end, effect);
  }

  /** Nothing in here may fail: the record is in the journal. */
  #take(
    change: CatalogChange,
    sums: Sums | undefined,
    end: Position,
    effect: Effect | undefined,
  ): void {
    change.commit(end);
    if (sums !== undefined) this.#sums = sums;
    effect?.(this.registry);
  }

  seen(agentId: AgentId, nowMs: number): void {
    this.registry.seen(agentId, nowMs);
  }

  /** The record of one leaf. */
  async leafRecord(leafIndex: number): Promise<{ type: 'commit' | 'event'; payload: Buffer }> {
    return leafRecord(this.journal, this.catalog, leafIndex);
  }

  async storedCommit(
    leafIndex: number,
  ): Promise<{ commit: Uint8Array; leaf: Uint8Array; receipt: Signed }> {
    return decodeStoredCommit((await this.leafRecord(leafIndex)).payload);
  }

  async close(): Promise<void> {
    await this.journal.close();
    await this.catalog.close();
  }

  /** A sound record of an item was stored. */
  mended(id: ChunkId): void {
    if (!this.#damaged.delete(idName(id))) return;
    this.catalog.note(keys.damaged(id), undefined);
  }

  /**
   * Appends records and makes what follows from them visible. That is computed and encoded whole
   * before anything is appended (I-C13): a record that cannot be applied would keep every later
   * start from getting past it.
   */
  async #append(
    records: readonly NewRecord[],
    apply: (change: CatalogChange, placed: readonly Placed[]) => Promise<Effect | undefined>,
  ): Promise<void> {
    const placed = await this.journal.placeOf(records.map(({ payload }) => payload.length));
    const change = this.catalog.begin();
    const effect = await apply(change, placed);
    const sums = await change.get(keys.sums);
    const after = sums === undefined ? undefined : read.sums(sums);
    await this.journal.append(records);
    this.#take(change, after, placed.at(-1)?.end ?? this.journal.end, effect);
  }
}

function recordOf(kind: NewRecord['kind'], payload: Uint8Array): NewRecord {
  return { kind, id: sha256(payload), payload };
}

export type ReceiptMaker = (
  leafIndex: number,
  head: TreeHead,
) => Pick<AcceptedCommit, 'receipt' | 'receiptBody'>;
