import {
  type AgentId,
  type ChainPoint,
  decodeLogLeaf,
  decodeStoredCommit,
  type EventBody,
  encodeEventBody,
  encodeStoredDropped,
  encodeStoredEvent,
  encodeStoredPurged,
  encodeStoredReferences,
  encodeStoredSwept,
  encodeStoredUploads,
  type LineageId,
  type StoredCommit,
  type StoredDropped,
  type StoredExpired,
  type StoredPurged,
  type StoredSwept,
  type StoredUploads,
  type TreeHead,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { type HashNode, leafHash, MerkleLog } from '@aliquot/shared/log/merkle';
import { keys, ranges } from '../catalog/catalog-keys.ts';
import type { BrokenRow, LinkRow, NotedMoment, Sums } from '../catalog/catalog-rows.ts';
import { CatalogChange, type CatalogStore } from '../catalog/catalog-store.ts';
import { decodePurgedCommit } from '../catalog/purge-row.ts';
import type { ProvedPages } from '../catalog/reference-walk.ts';
import type { Registry } from '../catalog/registry.ts';
import { read, values } from '../catalog/row-codec.ts';
import type {
  HistoryKind,
  HistoryLog,
  HistoryPlace,
  HistoryPoint,
  HistoryRecord,
} from '../history/history-log.ts';
import type { PackStore } from '../packs/pack-store.ts';
import { applyReferences, applyUploads } from './apply.ts';
import { followsCorrections } from './apply-clock.ts';
import { applyDropped } from './apply-dropped.ts';
import { applyEvent } from './apply-event.ts';
import { unsaidSizes } from './apply-items.ts';
import { applyPurged } from './apply-purges.ts';
import { applyExpired, expiredRecord } from './apply-retention.ts';
import { applySwept } from './apply-swept.ts';
import { leafRecord, load, nodeStore, type Opening, type Parts } from './core-load.ts';
import type { DurableMark } from './durable-mark.ts';
import type { Effect, LeafPlace, LeafRecords } from './effect.ts';
import { HeldItems } from './held-items.ts';
import type { VaultMedia } from './media.ts';
import { type NamedVersion, sizeIn } from './named-versions.ts';
import { purgedForm } from './purged-form.ts';
import { recordToMend } from './purged-record.ts';
import { mendThinned } from './written-anew.ts';

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
  /** Accepted commits whose records cannot be read, by leaf. */
  readonly broken: Map<number, BrokenRow>;
  /** A replay has met damage where it said who uploaded what: commits say it then. */
  lostUploads = false;
  /** A replay has met damage where it said what a purge sealed anew. */
  lostPurged = false;
  /** How often a record was to be mended: what was read of the history before may be another now. */
  mends = 0;
  #losses = 0;
  /** Whose commit was mended that is not in the catalog. */
  #mendedOf: AgentId | undefined;
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
    this.broken = parts.broken;
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
    const files = this.history.files();
    const generation = files.find(({ file }) => file === synced.file)?.generation ?? 0;
    const growing = extents.filter(({ closed }) => !closed);
    const mark = {
      history: { file: synced.file, offset: synced.offset, generation },
      packs: growing.map(({ pack, syncedBytes }) => ({ pack, syncedBytes })),
    };
    const text = JSON.stringify(mark);
    if (text === this.#marked) return;
    await this.#writeMark(mark);
    this.#marked = text;
  }

  /** Syncs, and writes the catalog; in the vault's queue. */
  async flushSynced(): Promise<void> {
    await this.items.sync();
    await this.history.sync();
    await this.flush();
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
    const record = { lineageId, pages, ...(await unsaidSizes(change, chunks)) };
    await this.#append(
      'references',
      encodeStoredReferences(record),
      () => applyReferences(change, record),
      change,
    );
    this.items.noteProved(lineageId, pages);
  }

  /** Records that versions were dropped; `named` is what their commits and events say of them. */
  async appendDropped(dropped: StoredDropped, named: readonly NamedVersion[]): Promise<void> {
    await this.#append('dropped', encodeStoredDropped(dropped), (change) =>
      applyDropped(change, dropped, named, this.registry, (place) => sizeIn(this, place)),
    );
  }

  /** Records a commit as a purge leaves it that was approved before: it is here, or here again. */
  async appendPurged(purged: StoredPurged): Promise<void> {
    await this.#append('purged', encodeStoredPurged(purged), (change, place) =>
      applyPurged(change, purged, place, this.registry),
    );
  }

  /** Records what left a lineage's set. */
  async appendSwept(swept: StoredSwept): Promise<void> {
    await this.#append('swept', encodeStoredSwept(swept), (change) =>
      applySwept(change, swept, this.registry),
    );
    this.items.noteSwept(swept.lineageId);
  }

  /**
   * Puts a leaf at the end of the log, lets `recordsOf` make the record that holds it (a receipt
   * needs the new root) and those around it, and appends them. When they cannot be applied or
   * appended, the log is as before.
   */
  async appendLeaf(
    leaf: Uint8Array,
    recordsOf: (leafIndex: number, root: Uint8Array) => LeafRecords,
    /** `places`: of the records around it, in their order. */
    apply: (
      change: CatalogChange,
      leaf: LeafPlace,
      places: readonly HistoryPlace[],
    ) => Promise<Effect>,
  ): Promise<number> {
    const leafIndex = this.#log.size;
    const nodes = this.stageLeaf(leaf);
    try {
      const { before = [], own, after = [] } = recordsOf(leafIndex, this.#log.root);
      const { timeMs } = decodeLogLeaf(leaf);
      await this.#appendAll([...before, own, ...after], (change, places) => {
        const place = placeAt(places, before.length);
        const around = places.filter((one) => one !== place);
        return apply(change, { leafIndex, timeMs, bytes: leaf, nodes, place }, around);
      });
    } catch (error) {
      await this.unstageLeaf(leafIndex);
      throw error;
    }
    return leafIndex;
  }

  /** `expired`: what a run of retention expires, where the event tells of one. */
  async appendEvent(
    event: EventBody,
    nowMs: number,
    expired: readonly StoredExpired[] = [],
  ): Promise<number> {
    // Event and leaf bear one time, so that an agent can make the leaf of an opening again from the
    // opening alone. What corrects earlier times is not held up by them.
    const timeMs = event.type === 'clockCorrected' ? nowMs : this.leafTime(nowMs);
    const bytes = encodeEventBody({ ...event, timeMs });
    const leaf = eventLeaf(bytes, timeMs);
    const own = { kind: 'event', payload: encodeStoredEvent({ event: bytes, leaf }) } as const;
    const apply = async (change: CatalogChange, place: LeafPlace): Promise<Effect> => {
      for (const one of expired) await applyExpired(change, one);
      return applyEvent(change, event, place, this.registry);
    };
    const records = { before: expired.map(expiredRecord), own };
    const leafIndex = await this.appendLeaf(leaf, () => records, apply);
    this.noteOpening(event, leafIndex, leaf);
    return leafIndex;
  }

  /** The log's time never runs backwards, whatever the clock does: only corrections make it. */
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

  /** Now, for what is noted outside of the log. */
  moment(timeMs: number): NotedMoment {
    return { timeMs, leaves: this.#log.size };
  }

  /** Whether commits lack anything that agents may have. */
  get isHurt(): boolean {
    return this.items.isAnyGone || this.broken.size > 0;
  }

  /** How often something was found lost, of commits or of what they name. */
  get losses(): number {
    return this.#losses + this.items.losses;
  }

  /** Remembers a commit whose record cannot be read: its agent is asked for it. */
  noteBroken(leafIndex: number, row: BrokenRow): void {
    if (this.broken.has(leafIndex)) return;
    this.#losses += 1;
    this.broken.set(leafIndex, row);
    this.catalog.note(keys.broken(leafIndex), values.broken(row));
  }

  /** Writes the record of a commit again where it has rotted. False where it cannot be the same. */
  async mend(leafIndex: number, stored: StoredCommit): Promise<boolean> {
    this.mends += 1;
    const row = await this.catalog.get(keys.leaf(leafIndex));
    if (row === undefined) return false;
    const record = await recordToMend(this, leafIndex, stored);
    if (record === undefined) return false;
    const { place } = read.leaf(row);
    const isMended =
      (await this.history.mend(place, record)) ||
      (await mendThinned(this, leafIndex, place, record));
    if (!isMended) return false;
    const known = this.broken.get(leafIndex);
    if (known?.isEntered === false) this.#mendedOf = known.agentId;
    this.broken.delete(leafIndex);
    this.catalog.note(keys.broken(leafIndex), undefined);
    return true;
  }

  /**
   * Whether a replay should enter commits that were mended: their versions are not in the catalog.
   * Not while more of the same agent's are to be mended. Or times should follow a correction.
   */
  get isBehind(): boolean {
    if (!followsCorrections(this.registry)) return true;
    const agent = this.#mendedOf;
    if (agent === undefined) return false;
    return ![...this.broken.values()].some(
      ({ agentId, isEntered }) => !isEntered && equalBytes(agentId, agent),
    );
  }

  /** Notes that an agent has nothing more of what a commit lacks: it is not asked again. */
  giveUp(leafIndex: number): void {
    this.catalog.note(keys.givenUp(leafIndex), Buffer.alloc(0));
  }

  /** The record of one leaf. */
  async leafRecord(leafIndex: number): Promise<{ type: 'commit' | 'event'; payload: Uint8Array }> {
    return leafRecord(this.history, this.catalog, leafIndex);
  }

  /** A commit as it was accepted. */
  async storedCommit(leafIndex: number): Promise<StoredCommit> {
    return decodeStoredCommit((await this.leafRecord(leafIndex)).payload);
  }

  /** The same as it is shown to anybody: without what was purged. */
  async servedCommit(leafIndex: number): Promise<StoredCommit> {
    const stored = await this.storedCommit(leafIndex);
    const form = await this.purgedForm(leafIndex);
    return form === undefined ? stored : { ...stored, commit: form };
  }

  /** A commit as the newest purge of it has left it; undefined where nothing of it was purged. */
  async purgedForm(leafIndex: number): Promise<Uint8Array | undefined> {
    let newest: Uint8Array | undefined;
    for await (const [, value] of this.catalog.scan(ranges.purgedOf(leafIndex))) newest = value;
    if (newest === undefined) return undefined;
    return purgedForm(this.history, leafIndex, decodePurgedCommit(newest));
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
  #append(
    kind: HistoryKind,
    payload: Uint8Array,
    apply: (change: CatalogChange, place: HistoryPlace) => Promise<Effect | undefined>,
    change = new CatalogChange(this.catalog),
  ): Promise<void> {
    const atPlace = (change: CatalogChange, places: readonly HistoryPlace[]) =>
      apply(change, placeAt(places, 0));
    return this.#appendAll([{ kind, payload }], atPlace, change);
  }

  /** The same of several, next to each other. */
  async #appendAll(
    records: readonly HistoryRecord[],
    apply: (change: CatalogChange, places: readonly HistoryPlace[]) => Promise<Effect | undefined>,
    change = new CatalogChange(this.catalog),
  ): Promise<void> {
    const { places, end } = await this.history.placesOf(
      records.map(({ payload }) => payload.length),
    );
    const effect = await apply(change, places);
    change.put(keys.checkpoint, values.point(end));
    const sums = await change.get(keys.sums);
    const after = sums === undefined ? undefined : read.sums(sums);
    await this.history.append(records);
    this.#take(change, after, effect);
  }
}

function placeAt(places: readonly HistoryPlace[], at: number): HistoryPlace {
  const place = places[at];
  if (place === undefined) throw new TypeError('the history has no place for it');
  return place;
}
