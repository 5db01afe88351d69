import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { systemRandom } from '@aliquot/shared/ports';
import { FIXTURE_TIME_MS } from '@aliquot/shared/testing/keys/fixtures';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterEach, describe, expect, test } from 'vitest';
import { sample } from '../../agent/testing/queue/support.ts';
import { StoredVault } from '../../collector/src/store/stored-vault.ts';
import { diskMedia } from '../../collector/src/store/vault/media.ts';
import type { VaultIdentity } from '../../collector/src/store/vault/vault-parts.ts';
import { ObjectPacks, objectsOnly } from '../../collector/testing/store/object-packs.ts';
import { readOne } from '../../collector/testing/store/read-one.ts';
import { Pair } from './pair.ts';

const ports = { files: nodeDisk, random: systemRandom, clock: { nowMs: () => FIXTURE_TIME_MS } };

/** A vault whose packs are objects: put whole, never appended to, never renamed. */
class ObjectVault {
  readonly #dir = temporaryFolder();
  readonly objects = join(this.#dir, 'objects');
  readonly catalog = join(this.#dir, 'catalog');
  identity: VaultIdentity | undefined;

  readonly open = (vault: VaultIdentity): Promise<StoredVault> => {
    this.identity = vault;
    const { vaultId } = vault.descriptor;
    const media = {
      ...diskMedia(this.#dir, vaultId, ports),
      openPacks: (opening: Parameters<typeof ObjectPacks.open>[3]) =>
        ObjectPacks.open(this.objects, vaultId, { ...ports, files: objectsOnly }, opening),
    };
    return StoredVault.open(media, vault, ports);
  };

  reopen(): Promise<StoredVault> {
    if (this.identity === undefined) throw new Error('it was never opened');
    return this.open(this.identity);
  }
}

let pair: Pair | undefined;
afterEach(async () => {
  await pair?.close();
  pair = undefined;
});

describe('a collector over objects in a folder', () => {
  test('P1: what agents send arrives, is receipted, and outlives the collector and its catalog', async () => {
    const vault = new ObjectVault();
    pair = await Pair.open(vault.open);
    const files = Array.from({ length: 12 }, (_, at) => sample(`/data/${at}`, 4));
    const agents = [await pair.agent('lcms-1'), await pair.agent('hplc-2')];
    for (const [at, agent] of agents.entries()) {
      await agent.capture(...files.slice(6 * at, 6 * at + 6));
      agent.start();
    }
    for (const [at, agent] of agents.entries()) {
      await agent.uplink.drained();
      await agent.mustHold(files.slice(6 * at, 6 * at + 6));
    }
    const head = pair.vault.log.treeHead();
    await pair.close();
    pair = undefined;

    const objects = readdirSync(vault.objects).sort();
    expect(objects.length).toBeGreaterThan(0);
    expect(objects.filter((name) => !/^\d{8}\.pack$/.test(name))).toEqual([]);
    const written = objects.map((name) => statSync(join(vault.objects, name)).mtimeMs);
    for (const loseCatalog of [false, true]) {
      if (loseCatalog) rmSync(vault.catalog, { recursive: true });
      const again = await vault.reopen();
      try {
        expect(again.log.treeHead()).toEqual(head);
        for (const { items } of files)
          for (const { id, sealed } of items) {
            const item = await readOne(again, id);
            expect(item.type === 'item' && Buffer.compare(item.bytes, sealed)).toBe(0);
          }
      } finally {
        await again.close();
      }
    }
    expect(objects.map((name) => statSync(join(vault.objects, name)).mtimeMs)).toEqual(written);
  });
});
