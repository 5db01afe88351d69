import type { HoldId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { ranges } from './catalog-keys.ts';
import type { CatalogStore } from './catalog-store.ts';
import { decodeHold, type HoldRow } from './hold-row.ts';

/** The holds of a vault in memory: a mirror of rows, as `Registry` is, which it is a part of. */
export class SetHolds {
  /** By id, in the order in which they were set. */
  #rows = new Map<string, HoldRow>();

  static async load(catalog: CatalogStore): Promise<SetHolds> {
    const rows: HoldRow[] = [];
    for await (const [, value] of catalog.scan(ranges.holds)) rows.push(decodeHold(value));
    const holds = new SetHolds();
    for (const row of rows.sort((a, b) => a.setLeaf - b.setLeaf)) holds.set(row);
    return holds;
  }

  get(holdId: HoldId): HoldRow | undefined {
    return this.#rows.get(hex(holdId));
  }

  set(row: HoldRow): void {
    this.#rows.set(hex(row.body.holdId), row);
  }

  /** Those that were released too, the oldest first. */
  all(): HoldRow[] {
    return [...this.#rows.values()];
  }

  inForce(): HoldRow[] {
    return this.all().filter(({ released }) => released === undefined);
  }
}
