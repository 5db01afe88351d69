import type { ChunkId, LineageId } from '@aliquot/proto';
import type { VaultCore } from './core.ts';
import { hex } from './registry.ts';

/** Ids in one uploads record. */
const RECORD_IDS = 4096;

interface Pending {
  readonly lineageId: LineageId;
  readonly ids: Map<string, ChunkId>;
}

/**
 * Who uploaded what since the last uploads record: in memory until the next sync or commit writes
 * it down. Lost with the process, which costs a repeated upload and nothing else (no receipt was
 * given).
 */
export class PendingUploads {
  readonly #lineages = new Map<string, Pending>();

  add(lineageId: LineageId, ids: readonly ChunkId[]): void {
    const name = hex(lineageId);
    const pending = this.#lineages.get(name) ?? { lineageId, ids: new Map() };
    for (const id of ids) pending.ids.set(hex(id), id);
    if (pending.ids.size > 0) this.#lineages.set(name, pending);
  }

  has(lineageId: LineageId, id: ChunkId): boolean {
    return this.#lineages.get(hex(lineageId))?.ids.has(hex(id)) === true;
  }

  /** Whether a record's worth has gathered. */
  isFull(lineageId: LineageId): boolean {
    return (this.#lineages.get(hex(lineageId))?.ids.size ?? 0) >= RECORD_IDS;
  }

  /** Writes one lineage's down: before a commit that may rely on it. */
  async appendTo(core: VaultCore, lineageId: LineageId): Promise<void> {
    const name = hex(lineageId);
    const pending = this.#lineages.get(name);
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
