import { keys } from '../catalog/catalog-keys.ts';
import { type ItemSums, noItems } from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { type ItemRow, nowhere } from '../catalog/item-row.ts';
import { read, values } from '../catalog/row-codec.ts';
import { comparePlaces, type PackRow } from '../packs/pack-store.ts';

/** Places remembered of one item; whoever stores it a fifth time has other worries. */
const MAX_PLACES = 4;

/** What items of packs change, read at once: `applyItems` then waits for nothing and cannot fail. */
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
  for (const item of items) {
    const before = await itemRowOf(change, item.id);
    const after = placed(before, item);
    if (after === before) continue;
    change.put(keys.item(item.id), values.item(after));
    sums = added(added(sums, before, -1), after, 1);
  }
  change.put(keys.itemSums, values.itemSums(sums));
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
