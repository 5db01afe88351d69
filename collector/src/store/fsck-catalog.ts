import type { Catalog } from './catalog.ts';
import { ranges } from './catalog-keys.ts';

/**
 * Sentences about how two catalogs differ in what follows from the journal; none when they are
 * equal.
 */
export async function compareCatalogs(expected: Catalog, found: Catalog): Promise<string[]> {
  let missing = 0;
  let surplus = 0;
  let different = 0;
  let first: Buffer | undefined;
  const left = expected.scan(ranges.journal);
  const right = found.scan(ranges.journal);
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
    `${missing} rows are missing, ${surplus} too many, ${different} differ from what the packs say (first key ${first?.toString('hex')})`,
  ];
}
