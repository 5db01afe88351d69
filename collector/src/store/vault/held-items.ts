import type { ChunkId, LineageId, StoredKind } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { type Owned, standingOf } from '../../collection/one-set.ts';
import { keys } from '../catalog/catalog-keys.ts';
import type { ItemSums } from '../catalog/catalog-rows.ts';
import { CatalogChange, type CatalogStore } from '../catalog/catalog-store.ts';
import { type ItemRow, isHeld, placesToRead, slabIn } from '../catalog/item-row.ts';
import { idName, type ReferenceSource, type SlabState } from '../catalog/reference-walk.ts';
import { read, values } from '../catalog/row-codec.ts';
import { isDamaged } from '../errors.ts';
import {
  comparePlaces,
  type PackExtent,
  type PackItem,
  type PackStore,
  type Place,
} from '../packs/pack-store.ts';
import { piecesIn } from '../packs/slab-pieces.ts';
import { applyGone, applyItems, itemRowOf } from './apply-items.ts';
import type { Parts } from './core-load.ts';
import { ownedBy } from './own-items.ts';

/** Items that a lineage sends, before they are put. */
interface SentItems {
  readonly rows: readonly (ItemRow | undefined)[];
  /** With their rows, for `put`. */
  readonly change: CatalogChange;
  /** As `owned` answers, once all of them were put. */
  owned(): readonly (Owned | undefined)[];
}

/**
 * What a vault's packs hold, as the catalog knows it: where items lie, which are damaged or
 * lacking, how much is durable. A part of the core: what changes something does not overlap, but
 * for `sync`.
 */
export class HeldItems {
  readonly #packs: PackStore;
  readonly #catalog: CatalogStore;
  readonly #damaged: Set<string>;
  #sums: ItemSums;
  /** Pages that were proved by lineages since something was last found lacking or damaged. */
  readonly #provedSince = new Set<string>();
  /** Whether items are lacking that lineages own: each answer about them then looks. */
  #lacking: boolean;
  /** How many bytes of each pack the catalog knows. */
  readonly known: Map<number, number>;
  /** Packs that are there and cannot be read. */
  readonly unread = new Set<number>();
  /** Packs of which the catalog knows nothing any more, because they are about to be removed. */
  readonly #leaving = new Set<number>();
  /** How often something was put; and how many of these puts are durable. */
  #puts = 0;
  #durablePuts = 0;
  /** The newest put that may hold again what lineages own and had lost. */
  #returnedPuts = 0;
  #losses = 0;
  /** By lineage: how often a sweep took something out of its set. */
  readonly #sweeps = new Map<string, number>();

  constructor({ packs, catalog, damaged, items, lacking, known }: Parts) {
    this.#packs = packs;
    this.#catalog = catalog;
    this.#damaged = damaged;
    this.#sums = items;
    this.#lacking = lacking;
    this.known = known;
  }

  get sums(): ItemSums {
    return this.#sums;
  }

  /** What was put so far, to be compared with `durablePuts`. */
  get puts(): number {
    return this.#puts;
  }

  get durablePuts(): number {
    return this.#durablePuts;
  }

  /**
   * How much must be durable before any lineage may rely on what it owns: what was lost counts as
   * owned by all again as soon as one of them has sent it.
   */
  get returnedPuts(): number {
    return this.#returnedPuts;
  }

  /** Makes durable what was put before this call. May overlap with everything. */
  async sync(): Promise<void> {
    const puts = this.#puts;
    await this.#packs.sync();
    this.#durablePuts = Math.max(this.#durablePuts, puts);
  }

  get damagedCount(): number {
    return this.#damaged.size;
  }

  isDamaged(id: ChunkId): boolean {
    return this.#damaged.has(idName(id));
  }

  /**
   * How often something was found lacking or damaged: what was owned before may not be held now.
   */
  get losses(): number {
    return this.#losses;
  }

  /** Something left a lineage's set: what was owned before may not be now. */
  noteSwept(lineageId: LineageId): void {
    this.#sweeps.set(hex(lineageId), this.#sweptOf(lineageId) + 1);
  }

  /**
   * How often something may have left a lineage's set: found lost, whoever owns it, or swept. What
   * is swept of another one's says nothing of it.
   */
  shrunk(lineageId: LineageId): number {
    return this.#losses + this.#sweptOf(lineageId);
  }

  #sweptOf(lineageId: LineageId): number {
    return this.#sweeps.get(hex(lineageId)) ?? 0;
  }

  /** Remembers that an item's bytes have rotted: asked for again at the next upload. */
  setDamaged(id: ChunkId): void {
    if (!this.isDamaged(id)) {
      this.#provedSince.clear();
      this.#losses += 1;
    }
    this.#damaged.add(idName(id));
    this.#catalog.note(keys.damaged(id), Buffer.alloc(0));
  }

  async rows(ids: readonly ChunkId[]): Promise<(ItemRow | undefined)[]> {
    const rows = await this.#catalog.getMany(ids.map((id) => keys.item(id)));
    return rows.map((row) => (row === undefined ? undefined : read.item(row)));
  }

  /**
   * Ownership rows; an item that is damaged, or that no pack holds any more, counts as absent, so
   * that its owners send it again. While there are such, what lies below a page was proved only if
   * it was proved since: a page that is held may have lost it.
   */
  async owned(lineageId: LineageId, ids: readonly ChunkId[]): Promise<(Owned | undefined)[]> {
    const rows = await this.rows(ids);
    const owned = await ownedBy(this.#catalog, lineageId, ids, rows);
    return this.#judged(lineageId, ids, owned, this.#lacking ? rows : undefined);
  }

  /**
   * The same for somebody who takes what is here for whole: a slab that lacks pieces is not, so
   * that it is sent again (I-C32). A commit may name the pieces that it has all the same.
   */
  async ownedWhole(lineageId: LineageId, ids: readonly ChunkId[]): Promise<(Owned | undefined)[]> {
    const rows = await this.rows(ids);
    const owned = await ownedBy(this.#catalog, lineageId, ids, rows);
    const known = this.#judged(lineageId, ids, owned, this.#lacking ? rows : undefined);
    return known.map((one, at) => (slabIn(rows[at])?.here === undefined ? one : undefined));
  }

  /** What is known of items that a lineage sends. */
  async look(lineageId: LineageId, ids: readonly ChunkId[]): Promise<SentItems> {
    const itemKeys = ids.map((id) => keys.item(id));
    const [sums, ...found] = await this.#catalog.getMany([keys.itemSums, ...itemKeys]);
    const change = new CatalogChange(this.#catalog);
    change.know(keys.itemSums, sums);
    for (const [at, key] of itemKeys.entries()) change.know(key, found[at]);
    const rows = found.map((row) => (row === undefined ? undefined : read.item(row)));
    const owned = await ownedBy(this.#catalog, lineageId, ids, rows);
    // Asked when all of them are held.
    return { rows, change, owned: () => this.#judged(lineageId, ids, owned, undefined) };
  }

  #judged(
    lineageId: LineageId,
    ids: readonly ChunkId[],
    owned: readonly (Owned | undefined)[],
    items: readonly (ItemRow | undefined)[] | undefined,
  ): (Owned | undefined)[] {
    return owned.map((one, index) => {
      const id = ids[index];
      if (one === undefined || id === undefined) return undefined;
      const isSound = !this.isDamaged(id) && (items === undefined || isHeld(items[index]));
      const mustProve =
        one === 'referenced' && this.isAnyGone && !this.#provedSince.has(ownedName(lineageId, id));
      return standingOf(one, isSound, mustProve);
    });
  }

  /** Notes pages of a lineage below which everything is there now. See `owned`. */
  noteProved(lineageId: LineageId, pages: readonly ChunkId[]): void {
    if (!this.isAnyGone) return;
    for (const page of pages) this.#provedSince.add(ownedName(lineageId, page));
  }

  /** Whether anything that lineages own may be damaged or lacking. */
  get isAnyGone(): boolean {
    return this.#lacking || this.#damaged.size > 0;
  }

  /**
   * An item's bytes, from whichever pack has them sound; `undefined` when not held. Throws
   * `STORE_DAMAGED` when none has, and remembers it.
   */
  async read(
    id: ChunkId,
    row?: ItemRow,
  ): Promise<{ kind: StoredKind; bytes: Uint8Array } | undefined> {
    let known = row ?? (await this.rows([id]))[0];
    let failure: unknown;
    const tried: Place[] = [];
    while (known !== undefined) {
      const places = placesToRead(known).filter(
        (place) => !tried.some((one) => isSame(one, place)),
      );
      if (places.length === 0) break;
      for (const place of places) {
        try {
          return await this.#packs.read(id, place);
        } catch (error) {
          if (!isDamaged(error)) throw error;
          failure ??= error;
          tried.push(place);
        }
      }
      // Its pack may have been rewritten since the caller looked where it lies (I-C25).
      known = (await this.rows([id]))[0];
    }
    if (failure === undefined || !isHeld(known)) return undefined;
    this.setDamaged(id);
    throw failure;
  }

  /** What still proves of a slab that `read` finds damaged, with holes where it does not. */
  async salvage(id: ChunkId): Promise<Uint8Array | undefined> {
    const [row] = await this.rows([id]);
    if (row?.kind !== 'slab') return undefined;
    for (const place of placesToRead(row)) {
      const bytes = await this.#packs.salvage(id, place);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** What a walk through a commit's references asks. */
  referenceSource(owned: ReferenceSource['owned']): ReferenceSource {
    const slabs: ReferenceSource['slabs'] = async (ids) => {
      const rows = await this.rows(ids);
      return (await owned(ids)).map((state, index): SlabState => {
        const row = rows[index];
        if (state === undefined || !isHeld(row)) return 'missing';
        return slabIn(row) ?? 'other';
      });
    };
    return { owned, slabs, readPage: (id) => this.readPage(id) };
  }

  /** A page's bytes, or `undefined` when they are damaged or not held. */
  async readPage(id: ChunkId): Promise<Uint8Array | undefined> {
    try {
      return (await this.read(id))?.bytes;
    } catch (error) {
      if (isDamaged(error)) return undefined;
      throw error;
    }
  }

  /**
   * Stores items, of which `change` knows the rows; durable after the next `sync`. Answers where
   * they lie now.
   */
  async put(items: readonly PackItem[], change: CatalogChange): Promise<readonly Place[]> {
    const places = await this.#packs.put(items);
    const placed = places.flatMap((place, at) => {
      const item = items[at];
      if (item === undefined) return [];
      const { id, kind, bytes } = item;
      return [{ id, kind, place, pieces: piecesIn(kind, bytes) }];
    });
    this.#puts += 1;
    if (this.isAnyGone || (await fillsHoles(change, items))) this.#returnedPuts = this.#puts;
    await this.take(change, placed);
    if (this.#damaged.size > 0) for (const { id } of items) this.mended(id);
    return places;
  }

  /**
   * Forgets a pack, so that it can be removed as soon as the catalog is written: everything in it
   * that anybody needs lies elsewhere too. `change` has the rows of its items.
   */
  async leave(change: CatalogChange, pack: number, ids: readonly ChunkId[]): Promise<void> {
    this.#sums = await applyGone(change, pack, ids);
    change.commit();
    this.known.delete(pack);
    this.#leaving.add(pack);
    if (this.#damaged.size === 0) return;
    const rows = await this.rows(ids);
    for (const [at, id] of ids.entries()) if (!isHeld(rows[at])) this.mended(id);
  }

  /** Makes what packs hold visible; `change` has it prefetched. */
  async take(change: CatalogChange, items: Parameters<typeof applyItems>[1]): Promise<void> {
    this.#sums = await applyItems(change, items);
    change.commit();
  }

  /** Whether something may be lacking that lineages own, as the last look found it. */
  get lacking(): boolean {
    return this.#lacking;
  }

  /** See `owned`. */
  setLacking(lacking: boolean): void {
    this.#lacking = lacking;
    if (lacking) this.#losses += 1;
    this.#catalog.note(keys.lacking, lacking ? Buffer.alloc(0) : undefined);
  }

  /** A sound record of an item was stored. */
  mended(id: ChunkId): void {
    if (!this.#damaged.delete(idName(id))) return;
    this.#catalog.note(keys.damaged(id), undefined);
  }

  /** Notes how much of each pack is in the catalog: all of what is there, but of the unread. */
  noteExtents(extents: readonly PackExtent[]): void {
    const change = new CatalogChange(this.#catalog);
    for (const { pack, bytes } of extents) {
      if (this.known.get(pack) === bytes || this.unread.has(pack) || this.#leaving.has(pack))
        continue;
      change.put(keys.pack(pack), values.u64(bytes));
      this.known.set(pack, bytes);
    }
    change.commit();
  }
}

/** Whether one of these items is a slab that packs held with holes only. */
async function fillsHoles(change: CatalogChange, items: readonly PackItem[]): Promise<boolean> {
  for (const { id, kind } of items)
    if (kind === 'slab' && slabIn(await itemRowOf(change, id))?.here !== undefined) return true;
  return false;
}

function isSame(a: Place, b: Place): boolean {
  return comparePlaces(a, b) === 0;
}

function ownedName(lineageId: LineageId, id: ChunkId): string {
  return `${Buffer.from(lineageId).toString('latin1')}${idName(id)}`;
}
