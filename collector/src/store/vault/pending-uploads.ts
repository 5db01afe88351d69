import type { ChunkId, LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { GrowingBloom } from '../catalog/growing-bloom.ts';
import type { VaultCore } from './core.ts';
import { ThinSlabs } from './thin-slabs.ts';

/** Ids in one uploads record. */
const RECORD_IDS = 4096;

interface Pending {
  readonly lineageId: LineageId;
  readonly ids: Map<string, ChunkId>;
  /** How much must have been put, and be durable, before the history may refer to it. */
  reliesOn: number;
  /** Whether something of it was not written, because others had it. */
  borrows: boolean;
}

/**
 * Who uploaded what since the last uploads record: in memory until a commit of the lineage, a sync
 * or a flush writes it down. Lost with the process, which costs a repeated upload and nothing else
 * (no receipt was given).
 */
export class PendingUploads {
  readonly #lineages = new Map<string, Pending>();
  /** By lineage: what its agents have sent, or been told that it is here, since a look began. */
  readonly #touched = new Map<string, GrowingBloom>();
  /** By lineage that is being swept: pages that were proved since its mark began. */
  readonly #proved = new Map<string, ChunkId[]>();
  /** Slabs that may lose pieces, until somebody relies on them. */
  readonly thin = new ThinSlabs();

  /**
   * `ids` are new to the lineage. Even where none is, its next commit may rely on what was put: a
   * sound copy of something damaged.
   */
  add(lineageId: LineageId, ids: readonly ChunkId[], reliesOn: number, borrows: boolean): void {
    const name = hex(lineageId);
    const fresh = { lineageId, ids: new Map(), reliesOn, borrows };
    const pending: Pending = this.#lineages.get(name) ?? fresh;
    pending.borrows ||= borrows;
    for (const id of ids) pending.ids.set(hex(id), id);
    pending.reliesOn = reliesOn;
    this.#lineages.set(name, pending);
  }

  /**
   * Remembers from now on what the agents of a lineage rely on, until its sweep has come to its
   * end: also what its set had before, which leaves no other trace.
   */
  watch(lineageId: LineageId, touched: GrowingBloom): void {
    this.#touched.set(hex(lineageId), touched);
  }

  unwatch(lineageId: LineageId): void {
    this.#touched.delete(hex(lineageId));
  }

  /** A mark begins: from now on it is told which pages are proved; until `endMark`. */
  beginMark(lineageId: LineageId): readonly ChunkId[] {
    const proved: ChunkId[] = [];
    this.#proved.set(hex(lineageId), proved);
    return proved;
  }

  endMark(lineageId: LineageId): void {
    this.#proved.delete(hex(lineageId));
  }

  /** Pages of a lineage were proved, before the commit that names them is accepted. */
  prove(lineageId: LineageId, pages: readonly ChunkId[]): void {
    this.#proved.get(hex(lineageId))?.push(...pages);
  }

  isWatched(lineageId: LineageId): boolean {
    return this.#touched.has(hex(lineageId));
  }

  /** An agent has sent these, or was told that they are here. */
  touch(lineageId: LineageId, ids: readonly ChunkId[]): void {
    const touched = this.#touched.get(hex(lineageId));
    if (touched !== undefined) for (const id of ids) touched.add(id);
  }

  /** Whether an agent may rely on an item that no commit names yet. */
  isTouched(lineageId: LineageId, id: ChunkId): boolean {
    return this.has(lineageId, id) || this.#touched.get(hex(lineageId))?.has(id) === true;
  }

  has(lineageId: LineageId, id: ChunkId): boolean {
    return this.#lineages.get(hex(lineageId))?.ids.has(hex(id)) === true;
  }

  /** Whether any lineage has sent it, and no record says so yet. */
  holds(id: ChunkId): boolean {
    const name = hex(id);
    for (const { ids } of this.#lineages.values()) if (ids.has(name)) return true;
    return false;
  }

  /** Whether a record's worth has gathered. */
  isFull(lineageId: LineageId): boolean {
    return (this.#lineages.get(hex(lineageId))?.ids.size ?? 0) >= RECORD_IDS;
  }

  /** Whether something was borrowed since the last call: see `Pending.borrows`. */
  takeBorrowed(lineageId: LineageId): boolean {
    const pending = this.#lineages.get(hex(lineageId));
    const borrows = pending?.borrows === true;
    if (pending !== undefined) pending.borrows = false;
    return borrows;
  }

  /** See `Pending.reliesOn`; 0 where nothing is relied on. */
  reliesOn(lineageId: LineageId): number {
    return this.#lineages.get(hex(lineageId))?.reliesOn ?? 0;
  }

  /**
   * Makes durable what one lineage has put, or what others have put in place of what it had lost,
   * and writes down what it uploaded: before anything of it that relies on this.
   */
  async appendTo(core: VaultCore, lineageId: LineageId): Promise<void> {
    const name = hex(lineageId);
    const pending = this.#lineages.get(name);
    const relied = Math.max(pending?.reliesOn ?? 0, core.items.returnedPuts);
    if (relied > core.items.durablePuts) await core.items.sync();
    if (pending === undefined) return;
    const ids = [...pending.ids.values()];
    for (let from = 0; from < ids.length; from += RECORD_IDS) {
      const some = ids.slice(from, from + RECORD_IDS);
      await core.appendUploads({ lineageId, ids: some });
      for (const id of some) pending.ids.delete(hex(id));
    }
    if (pending.ids.size === 0) this.#lineages.delete(name);
  }

  async appendAllTo(core: VaultCore): Promise<void> {
    for (const { lineageId } of [...this.#lineages.values()]) await this.appendTo(core, lineageId);
  }

  clear(): void {
    this.#lineages.clear();
    this.thin.clear();
  }
}
