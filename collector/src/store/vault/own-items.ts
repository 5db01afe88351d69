import type { ChunkId, LineageId } from '@aliquot/proto';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys } from '../catalog/catalog-keys.ts';
import type { Owned } from '../catalog/catalog-rows.ts';
import type { CatalogChange, CatalogStore } from '../catalog/catalog-store.ts';
import type { ItemRow } from '../catalog/item-row.ts';
import { read, values } from '../catalog/row-codec.ts';
import { itemRowOf } from './apply-items.ts';

/*
 * In whose set an item is. The first who uploads it stands in the item's own row: most items are one
 * lineage's, and need no row beside it. Each further one has a row of its own.
 */

/** Enters items in the set of a lineage, or that what is below them was proved. */
export async function own(
  change: CatalogChange,
  lineageId: LineageId,
  ids: readonly ChunkId[],
  owned: Owned,
): Promise<void> {
  await change.prefetch(ids.map((id) => keys.item(id)));
  const others: ChunkId[] = [];
  for (const id of ids) {
    const row = await itemRowOf(change, id);
    if (row.owner !== undefined && !equalBytes(row.owner.lineageId, lineageId)) others.push(id);
    else if (row.owner === undefined || isMore(owned, row.owner.owned))
      change.put(keys.item(id), values.item({ ...row, owner: { lineageId, owned } }));
  }
  await change.prefetch(others.map((id) => keys.owned(lineageId, id)));
  for (const id of others) {
    const key = keys.owned(lineageId, id);
    const before = await change.get(key);
    if (before === undefined || isMore(owned, read.owned(before)))
      change.put(key, values.owned(owned));
  }
}

function isMore(owned: Owned, before: Owned): boolean {
  return owned === 'referenced' && before === 'uploaded';
}

/** What the set of a lineage says of items, of which these are the rows. */
export async function ownedBy(
  catalog: CatalogStore,
  lineageId: LineageId,
  ids: readonly ChunkId[],
  rows: readonly (ItemRow | undefined)[],
): Promise<(Owned | undefined)[]> {
  const owned = ids.map((_, at): Owned | undefined => {
    const owner = rows[at]?.owner;
    return owner !== undefined && equalBytes(owner.lineageId, lineageId) ? owner.owned : undefined;
  });
  const others = ids.filter((_, at) => owned[at] === undefined && rows[at]?.owner !== undefined);
  if (others.length === 0) return owned;
  const stored = await catalog.getMany(others.map((id) => keys.owned(lineageId, id)));
  const known = new Map(others.map((id, at) => [mapKey(id), stored[at]]));
  return owned.map((one, at) => {
    const row = one ?? known.get(mapKey(ids[at] ?? new Uint8Array(0)));
    return row === undefined || typeof row === 'string' ? row : read.owned(row);
  });
}
