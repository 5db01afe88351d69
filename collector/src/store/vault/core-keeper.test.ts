import { DerivedError } from '@aliquot/shared/derived/errors';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { content, StoreWorld, type WorldAgent } from '../../../testing/store/world.ts';
import type { CatalogStore } from '../catalog/catalog-store.ts';
import { StoredVault } from '../stored-vault.ts';
import type { VaultStore } from '../vault-store.ts';
import { diskMedia, type VaultMedia } from './media.ts';

/** The media of a folder, whose catalog somebody finds damaged when he is told to. */
class SpoiltMedia {
  /** Damage shows at the read so many reads from now. */
  after = Number.POSITIVE_INFINITY;
  madeAnew = 0;
  readonly media: VaultMedia;

  constructor(world: StoreWorld) {
    const media = diskMedia(temporaryFolder(), world.descriptor.vaultId, world.ports());
    this.media = {
      ...media,
      openCatalog: async () => {
        if (this.after > 0) return this.#spoilt(await media.openCatalog());
        this.after = Number.POSITIVE_INFINITY;
        this.madeAnew += 1;
        return this.#spoilt(await media.newCatalog());
      },
    };
  }

  #spoilt(catalog: CatalogStore): CatalogStore {
    const look = (): void => {
      this.after -= 1;
      if (this.after <= 0)
        throw new DerivedError('DERIVED_REBUILD', 'a row is not what was written');
    };
    return new Proxy(catalog, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name !== 'get' && name !== 'getMany' && name !== 'scan') return value.bind(target);
        return (...args: unknown[]) => {
          look();
          return value.apply(target, args);
        };
      },
    });
  }
}

let spoilt: SpoiltMedia;
let vault: VaultStore;
let agent: WorldAgent;

beforeEach(async () => {
  const world = new StoreWorld('damage while it serves');
  spoilt = new SpoiltMedia(world);
  const store = await StoredVault.open(spoilt.media, world.identity, world.ports());
  onTestFinished(() => store.close());
  vault = store;
  agent = await world.agent(vault, 'hplc-1');
  const files = ['a', 'b', 'c'].map((name) => agent.file(`/d/${name}`, [content(name)]));
  await agent.back(vault, files);
  await vault.flush();
});

/** What questions outside of the vault's queue answer. */
async function answers(): Promise<unknown[]> {
  const ids = agent.file('/d/a', [content('a')]).items.map(({ id }) => id);
  const live: unknown[] = [];
  for await (const row of vault.reading.state(agent.lineageId, undefined)) live.push(row);
  const items: unknown[] = [];
  for await (const item of vault.reading.readItems(ids)) items.push(item);
  const { size } = vault.log.treeHead();
  return [
    live,
    items,
    await vault.intake.has(agent.lineageId, ids),
    await vault.log.leafAt(size - 1),
    await vault.log.inclusion(0, size),
    await vault.log.consistency(1, size),
    await vault.log.judgeHead(vault.log.treeHead()),
  ];
}

test('D4 a catalog that is found damaged while somebody reads is made again, and the question answered', async () => {
  const expected = await answers();
  let reads = 0;
  for (let at = 1; ; at += 1) {
    spoilt.after = at;
    expect(await answers()).toEqual(expected);
    if (spoilt.madeAnew === reads) break;
    reads += 1;
  }
  expect(reads).toBeGreaterThan(5);
  // It is the vault as it was: more is taken in.
  spoilt.after = Number.POSITIVE_INFINITY;
  await agent.back(vault, [agent.file('/d/d', [content('d')])]);
  expect(await answers()).not.toEqual(expected);
});
