import type { StoredSwept } from '@aliquot/proto';
import { keys } from '../catalog/catalog-keys.ts';
import { neverSwept } from '../catalog/catalog-rows.ts';
import type { CatalogChange, CatalogStore } from '../catalog/catalog-store.ts';
import type { Registry } from '../catalog/registry.ts';
import { read, values } from '../catalog/row-codec.ts';
import { sumsOf } from './apply.ts';
import { applyPurgesSwept } from './apply-purges.ts';
import { type Effect, IDLE } from './effect.ts';
import { disown, unprove, unproveAll } from './own-items.ts';

/** Takes out of a lineage's set what a sweep has found that nothing of it reaches. */
export async function applySwept(
  change: CatalogChange,
  { lineageId, gcEpoch, ids, unwalked, isEnd, timeMs }: StoredSwept,
  registry: Registry,
): Promise<Effect> {
  const bytes = await disown(change, lineageId, ids);
  await unprove(change, lineageId, unwalked);
  const sums = await sumsOf(change);
  change.put(keys.sums, values.sums({ ...sums, uniqueBytes: sums.uniqueBytes - bytes }));
  if (!isEnd) return IDLE;
  const stored = await change.get(keys.sweep(lineageId));
  const row = { ...(stored === undefined ? neverSwept : read.sweep(stored)), swept: gcEpoch };
  change.put(keys.sweep(lineageId), values.sweep(row));
  const purged = applyPurgesSwept(change, { lineageId, gcEpoch, timeMs }, registry);
  return (live) => {
    live.setSweep(lineageId, row);
    purged(live);
  };
}

/**
 * What is left to say where a record of what left some set cannot be read: what it took is there
 * again, and what lies below may not be, so pages of every set are proved anew. And it may have
 * ended a sweep, so what agents have answered until now lets nobody sweep any more.
 */
export async function applyUnreadSwept(
  change: CatalogChange,
  catalog: CatalogStore,
  registry: Registry,
): Promise<Effect> {
  await unproveAll(catalog);
  const rows = registry.underSweep().map((lineageId) => {
    const { announced, ...row } = registry.sweep(lineageId);
    // Something may be left that was dropped before: another epoch may be announced for it.
    const droppedVersions = Math.max(1, row.droppedVersions);
    return { lineageId, row: { ...row, announced, swept: announced, droppedVersions } };
  });
  for (const { lineageId, row } of rows) change.put(keys.sweep(lineageId), values.sweep(row));
  return (live) => {
    for (const { lineageId, row } of rows) live.setSweep(lineageId, row);
  };
}
