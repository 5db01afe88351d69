import type { VaultId } from '@aliquot/proto';
import { exists } from '@aliquot/shared/durable/durable';
import { isForeseen } from '@aliquot/shared/durable/unexpected';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import type { CatalogRow, CatalogStore } from '../catalog/catalog-store.ts';
import { openExistingCatalog } from '../catalog/derived-catalog.ts';
import { isUnsaid } from '../catalog/item-row.ts';
import { read, values } from '../catalog/row-codec.ts';
import type { Finding } from '../fsck-finding.ts';
import type { CheckOptions } from './check-options.ts';

/** The catalog that a vault has, and where it lies. */
export interface OwnCatalog {
  readonly dir: string;
  readonly files: CheckOptions['files'];
  readonly vaultId: VaultId;
  /** A living process has it open. */
  readonly live: boolean;
}

/**
 * The catalog, where it can be asked how far it knows; its trouble is told when it is compared.
 */
export async function catalogToAsk({
  dir,
  files,
  vaultId,
  live,
}: OwnCatalog): Promise<CatalogStore | undefined> {
  if (live || !(await exists(files, dir))) return undefined;
  try {
    const catalog = await openExistingCatalog(files, dir, vaultId);
    if (catalog.isCurrent) return catalog;
    await catalog.close();
  } catch (error) {
    if (!isForeseen(error)) throw error;
  }
  return undefined;
}

/** The catalog, to be compared; `undefined` when it cannot be looked at now, which is told. */
export async function catalogToCompare(
  { dir, files, vaultId, live }: OwnCatalog,
  tell: (finding: Finding) => void,
): Promise<CatalogStore | 'broken' | undefined> {
  const skip = (what: string, remedy: string): undefined => {
    tell({
      code: 'catalog-not-compared',
      severity: 'info',
      what: `the catalog was not compared: ${what}`,
      where: dir,
      remedy,
    });
  };
  if (live)
    return skip('a living process has it open', 'run fsck again while the collector is stopped');
  try {
    if (await exists(files, dir)) {
      const found = await openExistingCatalog(files, dir, vaultId);
      const isForgetting = (await found.get(keys.forgetting)) !== undefined;
      if (found.isCurrent && !isForgetting) return found;
      await found.close();
      return isForgetting
        ? skip('a start was cut short that takes in packs anew', 'nothing to do: the next ends it')
        : skip('it is of another release', 'nothing to do: the next start builds it anew');
    }
    tell({
      code: 'catalog-broken',
      severity: 'warning',
      what: 'there is no catalog',
      where: dir,
      remedy: 'nothing to do: the next start builds it',
    });
  } catch (error) {
    if (!isForeseen(error)) throw error;
    const says = error instanceof Error ? error.message : String(error);
    tell({
      code: 'catalog-broken',
      severity: 'error',
      what: `the catalog cannot be read: ${says}`,
      where: dir,
      remedy: 'aliquot fsck --repair builds it anew from history and packs',
    });
  }
  return 'broken';
}

/** Tells how it differs from one that was made anew. */
export function tellDifferences(
  { dir }: OwnCatalog,
  differences: readonly string[],
  tell: (finding: Finding) => void,
): void {
  for (const what of differences)
    tell({
      code: 'catalog-differs',
      severity: 'error',
      what,
      where: dir,
      remedy: 'aliquot fsck --repair builds it anew from history and packs',
    });
}

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
