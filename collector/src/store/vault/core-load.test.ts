import { beforeEach, expect, test } from 'vitest';
import { catalogIn, catalogRows } from '../../../testing/store/copies.ts';
import { check, codes, type FsckLab, lab } from '../../../testing/store/fsck-lab.ts';
import { keys } from '../catalog/catalog-keys.ts';
import { CatalogChange } from '../catalog/catalog-store.ts';
import { openCollector } from '../collector.ts';

let here: FsckLab;

beforeEach(async () => {
  here = await lab();
});

/** What a start would sign. */
async function headAtStart(): Promise<unknown> {
  const store = await openCollector(here.dir, here.world.ports());
  const head = store.vaults()[0]?.log.treeHead();
  await store.close();
  return head;
}

/** Puts other hashes into the catalog's tree, as nothing of ours does. */
async function alterNodes(level: number): Promise<number> {
  const catalog = await catalogIn(here.vaultDir, 'change');
  const change = new CatalogChange(catalog);
  let altered = 0;
  for (let index = 0; ; index += 1, altered += 1) {
    const node = await change.get(keys.node(level, index));
    if (node === undefined) break;
    change.put(keys.node(level, index), Buffer.from(node.map((byte) => byte ^ 1)));
  }
  change.commit();
  await catalog.flush();
  await catalog.close();
  return altered;
}

for (const level of [0, 1, 2])
  test(`D5 no head is signed over a tree that the history does not have: at level ${level} the catalog is made again`, async () => {
    const head = await headAtStart();
    const rows = await catalogRows(here.vaultDir);
    expect(await alterNodes(level)).toBeGreaterThan(0);
    expect(await headAtStart()).toEqual(head);
    expect(await catalogRows(here.vaultDir)).toEqual(rows);
    expect(codes((await check(here)).findings)).toEqual([]);
  });
