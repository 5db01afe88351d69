import type { ChunkId, LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { VaultCore } from './core.ts';

/** Ids in one uploads record. */
const RECORD_IDS = 4096;

interface Pending {
  readonly lineageId: LineageId;
  readonly ids: Map<string, ChunkId>;
  /** How much must have been put, and be durable, before the history may refer to it. */
  reliesOn: number;
}

/**
 * Who uploaded what since the last uploads record: in memory until a commit of the lineage, a sync
 * or a flush writes it down. Lost with the process, which costs a repeated upload and nothing else
 * (no receipt was given).
 */
export class PendingUploads {
  readonly #lineages = new Map<string, Pending>();

  /**
   * `ids` are new to the lineage. Even where none is, its next commit may rely on what was put: a
   * sound copy of something damaged.
   */
  add(lineageId: LineageId, ids: readonly ChunkId[], reliesOn: number): void {
    const name = hex(lineageId);
    const pending = this.#lineages.get(name) ?? { lineageId, ids: new Map(), reliesOn };
    for (const id of ids) pending.ids.set(hex(id), id);
    pending.reliesOn = reliesOn;
    this.#lineages.set(name, pending);
  }

  has(lineageId: LineageId, id: ChunkId): boolean {
    return this.#lineages.get(hex(lineageId))?.ids.has(hex(id)) === true;
  }

  /** Whether a record's worth has gathered. */
  isFull(lineageId: LineageId): boolean {
    return (this.#lineages.get(hex(lineageId))?.ids.size ?? 0) >= RECORD_IDS;
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
  }
}
