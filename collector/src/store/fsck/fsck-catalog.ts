import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import type { CatalogRow, CatalogStore } from '../catalog/catalog-store.ts';
import { isUnsaid } from '../catalog/item-row.ts';
import { read, values } from '../catalog/row-codec.ts';

/**
 * Sentences about how two catalogs differ in what follows from history and packs; none when they
 * are equal. What lay in `lost` packs is left out of both: that they are gone was reported already.
 */
export async function compareCatalogs(
  expected: CatalogStore,
  found: CatalogStore,
  lost: ReadonlySet<number>,
): Promise<string[]> {
  let missing = 0;
  let surplus = 0;
  let different = 0;
  let first: Buffer | undefined;
  const left = derivedRows(expected, lost);
  const right = derivedRows(found, lost);
  let a = await left.next();
  let b = await right.next();
  while (a.done !== true || b.done !== true) {
    const order =
      a.done === true ? 1 : b.done === true ? -1 : Buffer.compare(a.value[0], b.value[0]);
    const differs =
      order !== 0 || (a.done !== true && b.done !== true && !a.value[1].equals(b.value[1]));
    if (differs)
      first ??=
        a.done !== true && order <= 0 ? a.value[0] : b.done !== true ? b.value[0] : undefined;
    if (order < 0) missing += 1;
    else if (order > 0) surplus += 1;
    else if (differs) different += 1;
    const [advanceLeft, advanceRight] = [order <= 0, order >= 0];
    if (advanceLeft) a = await left.next();
    if (advanceRight) b = await right.next();
  }
  if (missing + surplus + different === 0) return [];
  return [
    `${missing} rows are missing, ${surplus} too many, ${different} differ from what history and packs say (first key ${first?.toString('hex')})`,
  ];
}

async function* derivedRows(
  catalog: CatalogStore,
  lost: ReadonlySet<number>,
): AsyncGenerator<CatalogRow> {
  if (lost.size === 0) {
    yield* catalog.scan(ranges.derived);
    return;
  }
  const [item] = ranges.items.gte;
  const [pack] = ranges.packs.gte;
  const [live] = ranges.packLive.gte;
  for await (const [key, value] of catalog.scan(ranges.derived)) {
    if (key.equals(keys.itemSums) || key[0] === live) continue;
    if (key[0] === pack && lost.has(readKey.pack(key))) continue;
    if (key[0] !== item) {
      yield [key, value];
      continue;
    }
    const row = read.item(value);
    const places = row.places.filter((place) => !lost.has(place.pack));
    const kind = places.length === 0 ? undefined : row.kind;
    if (kind !== undefined || !isUnsaid(row)) yield [key, values.item({ ...row, kind, places })];
  }
}
