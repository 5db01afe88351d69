import type { ChunkId, LineageId } from '@aliquot/proto';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Owned } from '../../collection/one-set.ts';
import { keys, ranges } from '../catalog/catalog-keys.ts';
import { CatalogChange, type CatalogStore, FLUSH_CHANGES } from '../catalog/catalog-store.ts';
import { type ItemRow, isHeld, isOwned, isUnsaid, nowhere } from '../catalog/item-row.ts';
import { LiveCount } from '../catalog/live-packs.ts';
import { read, values } from '../catalog/row-codec.ts';
import { itemRowOf } from './apply-items.ts';

/*
 * In whose set an item is. The first who uploads it stands in the item's own row: most items are
 * one lineage's, and need no row beside it. Each further one has a row of its own.
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
  const live = new LiveCount(change);
  for (const id of ids) {
    const row = await itemRowOf(change, id);
    const isIts = row.owner !== undefined && equalBytes(row.owner.lineageId, lineageId);
    // Whoever uploaded it first may have left: then this one may have a row of its own.
    if (!isIts && isOwned(row)) others.push(id);
    else if (row.owner === undefined || isMore(owned, row.owner.owned)) {
      const after = { ...row, owner: { lineageId, owned } };
      live.note(row, after);
      change.put(keys.item(id), values.item(after));
    }
  }
  await live.enter();
  await change.prefetch(others.map((id) => keys.owned(lineageId, id)));
  for (const id of others) {
    const key = keys.owned(lineageId, id);
    const before = await change.get(key);
    if (before !== undefined && !isMore(owned, read.owned(before))) continue;
    change.put(key, values.owned(owned));
    if (before !== undefined) continue;
    const row = await itemRowOf(change, id);
    change.put(keys.item(id), values.item({ ...row, others: row.others + 1 }));
  }
}

/**
 * Takes items out of the set of a lineage. Of one that nobody has any more nothing is known but
 * where it lies, until its bytes go. Answers with the plaintext bytes that nobody refers to then.
 */
export async function disown(
  change: CatalogChange,
  lineageId: LineageId,
  ids: readonly ChunkId[],
): Promise<bigint> {
  await change.prefetch(ids.flatMap((id) => [keys.item(id), keys.owned(lineageId, id)]));
  const live = new LiveCount(change);
  let bytes = 0n;
  for (const id of ids) {
    const row = await itemRowOf(change, id);
    const left = await without(change, lineageId, id, row);
    if (left === undefined) continue;
    const after = isOwned(left) ? left : { ...left, plainSize: undefined, named: nowhere.named };
    if (!isOwned(left)) bytes += BigInt(row.plainSize ?? 0);
    live.note(row, after);
    if (isHeld(after) || !isUnsaid(after)) change.put(keys.item(id), values.item(after));
    else change.del(keys.item(id));
  }
  await live.enter();
  return bytes;
}

/** The row of an item without one of its owners; undefined: it was none. */
async function without(
  change: CatalogChange,
  lineageId: LineageId,
  id: ChunkId,
  row: ItemRow,
): Promise<ItemRow | undefined> {
  if (row.owner !== undefined && equalBytes(row.owner.lineageId, lineageId))
    return { ...row, owner: undefined };
  const key = keys.owned(lineageId, id);
  if (row.others === 0 || (await change.get(key)) === undefined) return undefined;
  change.del(key);
  return { ...row, others: row.others - 1 };
}

/** Says of pages of a lineage that nobody has proved what lies below them. */
export async function unprove(
  change: CatalogChange,
  lineageId: LineageId,
  ids: readonly ChunkId[],
): Promise<void> {
  await change.prefetch(ids.flatMap((id) => [keys.item(id), keys.owned(lineageId, id)]));
  for (const id of ids) {
    const row = await itemRowOf(change, id);
    const key = keys.owned(lineageId, id);
    if (row.owner !== undefined && equalBytes(row.owner.lineageId, lineageId))
      change.put(keys.item(id), values.item({ ...row, owner: { lineageId, owned: 'uploaded' } }));
    else if ((await change.get(key)) !== undefined) change.put(key, values.owned('uploaded'));
  }
}

/**
 * The same of every page of every lineage. At a replay only: memory stays bounded, as the catalog
 * is flushed now and then, and the same again changes nothing.
 */
export async function unproveAll(catalog: CatalogStore): Promise<void> {
  let change = new CatalogChange(catalog);
  let changed = 0;
  const put = async (key: Buffer, value: Buffer): Promise<void> => {
    change.put(key, value);
    changed += 1;
    if (changed % ROWS_AT_ONCE > 0) return;
    change.commit();
    change = new CatalogChange(catalog);
    if (catalog.pendingChanges >= FLUSH_CHANGES) await catalog.flush();
  };
  for await (const [key, value] of catalog.scan(ranges.items)) {
    const row = read.item(value);
    if (row.owner?.owned !== 'referenced') continue;
    await put(key, values.item({ ...row, owner: { ...row.owner, owned: 'uploaded' } }));
  }
  for await (const [key, value] of catalog.scan(ranges.owned))
    if (read.owned(value) === 'referenced') await put(key, values.owned('uploaded'));
  change.commit();
}

const ROWS_AT_ONCE = 1024;

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
  const others = ids.filter((_, at) => owned[at] === undefined && (rows[at]?.others ?? 0) > 0);
  if (others.length === 0) return owned;
  const stored = await catalog.getMany(others.map((id) => keys.owned(lineageId, id)));
  const known = new Map(others.map((id, at) => [mapKey(id), stored[at]]));
  return owned.map((one, at) => {
    const row = one ?? known.get(mapKey(ids[at] ?? new Uint8Array(0)));
    return row === undefined || typeof row === 'string' ? row : read.owned(row);
  });
}
