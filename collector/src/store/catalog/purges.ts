import type { LineageId, PurgeId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { ranges } from './catalog-keys.ts';
import type { CatalogStore } from './catalog-store.ts';
import { decodePurge, type PurgeRow } from './purge-row.ts';

/** The purges of a vault in memory: a mirror of rows, as `Registry` is, which it is a part of. */
export class OrderedPurges {
  /** By id, in the order in which they were ordered. */
  readonly #rows = new Map<string, PurgeRow>();

  static async load(catalog: CatalogStore): Promise<OrderedPurges> {
    const rows: PurgeRow[] = [];
    for await (const [, value] of catalog.scan(ranges.purges)) rows.push(decodePurge(value));
    const purges = new OrderedPurges();
    for (const row of rows.sort((a, b) => a.ordered.leaf - b.ordered.leaf)) purges.set(row);
    return purges;
  }

  get(purgeId: PurgeId): PurgeRow | undefined {
    return this.#rows.get(hex(purgeId));
  }

  set(row: PurgeRow): void {
    this.#rows.set(hex(row.body.purgeId), row);
  }

  /** The oldest first. */
  all(): PurgeRow[] {
    return [...this.#rows.values()];
  }

  /**
   * Whether what a purge dropped still counts as there for a sweep of this epoch: its agents rely
   * on what was there when they were told of it.
   */
  countsAsThere(approvedLeaf: number, gcEpoch: number): boolean {
    return this.all().some(
      ({ approved }) => approved?.leaf === approvedLeaf && approved.unswept === gcEpoch,
    );
  }

  /**
   * Whether what a purge took still counts as there for a sweep that was told before: its rows are
   * looked at until that has ended.
   */
  isLookedAt(approvedLeaf: number, sweptOf: (lineageId: LineageId) => number): boolean {
    return this.all().some(
      ({ body, approved }) =>
        approved?.leaf === approvedLeaf && approved.unswept > sweptOf(body.lineageId),
    );
  }

  /** Whether anything is looked at so for a sweep of this lineage. */
  awaits(lineageId: LineageId, swept: number): boolean {
    return this.all().some(
      ({ body, approved }) =>
        approved !== undefined && equalBytes(body.lineageId, lineageId) && approved.unswept > swept,
    );
  }

  /** Whether the content of a purge waits for a sweep of its lineage, by what was swept of it. */
  isOpen(lineageId: LineageId, swept: number): boolean {
    return this.all().some(
      ({ body, approved }) =>
        approved !== undefined &&
        equalBytes(body.lineageId, lineageId) &&
        swept <= approved.announced,
    );
  }

  /** Those that nobody has approved or cancelled. */
  waiting(): PurgeRow[] {
    return this.all().filter(
      ({ approved, cancelled }) => approved === undefined && cancelled === undefined,
    );
  }
}
