import { asChunkId, type ChunkId, type StoredReferences } from '@aliquot/proto';
import { keys } from '../catalog/catalog-keys.ts';
import { type ItemSums, noItems } from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { type ItemRow, isUnsaid, nowhere } from '../catalog/item-row.ts';
import { LiveCount } from '../catalog/live-packs.ts';
import type { ProvedPages } from '../catalog/reference-walk.ts';
import { read, values } from '../catalog/row-codec.ts';
import { comparePlaces, type PackRow } from '../packs/pack-store.ts';

/** Places remembered of one item; whoever stores it a fifth time has other worries. */
const MAX_PLACES = 4;

/**
 * What items of packs change, read at once: `applyItems` then waits for nothing and cannot fail.
 */
export function prefetchItems(
  change: CatalogChange,
  items: readonly Pick<PackRow, 'id'>[],
): Promise<void> {
  return change.prefetch([keys.itemSums, ...items.map(({ id }) => keys.item(id))]);
}

/** What a pack says of an item, if it is not said that it has rotted. */
export type PlacedRow = Omit<PackRow, 'sound'>;

/**
 * How items of packs change the catalog, live and when it is built anew, in whatever order the
 * packs come (I-C2). An item that lies in several packs is read from the last of them.
 */
export async function applyItems(
  change: CatalogChange,
  items: readonly PlacedRow[],
): Promise<ItemSums> {
  let sums = await itemSumsOf(change);
  const live = new LiveCount(change);
  for (const item of items) {
    const before = await itemRowOf(change, item.id);
    const after = placed(before, item);
    if (after === before) continue;
    change.put(keys.item(item.id), values.item(after));
    live.note(before, after);
    sums = added(added(sums, before, -1), after, 1);
  }
  change.put(keys.itemSums, values.itemSums(sums));
  await live.enter();
  return sums;
}

/**
 * How it changes the catalog that a pack goes: of what lay there, the other places are left, or
 * what the history says of it.
 */
export async function applyGone(
  change: CatalogChange,
  pack: number,
  ids: readonly ChunkId[],
): Promise<ItemSums> {
  let sums = await itemSumsOf(change);
  const live = new LiveCount(change);
  for (const id of ids) {
    const before = await itemRowOf(change, id);
    const places = before.places.filter((place) => place.pack !== pack);
    if (places.length === before.places.length) continue;
    const isNowhere = places.length === 0;
    const after = { ...before, places, ...(isNowhere ? { kind: undefined, pieces: 0 } : {}) };
    if (isNowhere && isUnsaid(after)) change.del(keys.item(id));
    else change.put(keys.item(id), values.item(after));
    live.note(before, after);
    sums = added(added(sums, before, -1), after, 1);
  }
  // As where nothing was ever put.
  if (sums.chunks + sums.pages + sums.slabs === 0) change.del(keys.itemSums);
  else change.put(keys.itemSums, values.itemSums(sums));
  change.del(keys.pack(pack));
  await live.enter();
  return sums;
}

async function itemSumsOf(change: CatalogChange): Promise<ItemSums> {
  const row = await change.get(keys.itemSums);
  return row === undefined ? noItems : read.itemSums(row);
}

/** What is known of an item. */
export async function itemRowOf(change: CatalogChange, id: Uint8Array): Promise<ItemRow> {
  const row = await change.get(keys.item(id));
  return row === undefined ? nowhere : read.item(row);
}

function placed(row: ItemRow, { kind, place, pieces }: PlacedRow): ItemRow {
  if (row.places.some((known) => comparePlaces(known, place) === 0)) return row;
  const found = { ...place, here: pieces?.here };
  const places = [...row.places, found].sort((a, b) => comparePlaces(b, a));
  const last = places[0] === found ? { kind, pieces: pieces?.count ?? 0 } : {};
  return { ...row, ...last, places: places.slice(0, MAX_PLACES) };
}

function added(sums: ItemSums, { kind, places }: ItemRow, sign: 1 | -1): ItemSums {
  const [place] = places;
  if (kind === undefined || place === undefined) return sums;
  return {
    storedBytes: sums.storedBytes + BigInt(sign * place.length),
    chunks: sums.chunks + (kind === 'chunk' ? sign : 0),
    pages: sums.pages + (kind === 'page' ? sign : 0),
    slabs: sums.slabs + (kind === 'slab' ? sign : 0),
  };
}

/** Of chunks by their names, those of which no commit or page has stated a size, with theirs. */
export async function unsaidSizes(
  change: CatalogChange,
  chunks: ProvedPages['chunks'],
): Promise<Pick<StoredReferences, 'chunks' | 'plainSizes'>> {
  const named = [...chunks].map(([name, plainSize]) => {
    return { id: asChunkId(new Uint8Array(Buffer.from(name, 'latin1'))), plainSize };
  });
  await prefetchItems(change, named);
  const unsaid: typeof named = [];
  for (const one of named)
    if ((await itemRowOf(change, one.id)).plainSize === undefined) unsaid.push(one);
  return {
    chunks: unsaid.map(({ id }) => id),
    plainSizes: unsaid.map(({ plainSize }) => plainSize),
  };
}
