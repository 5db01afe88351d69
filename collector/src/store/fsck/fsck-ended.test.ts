import { cpSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { FILE_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import {
  concernedBy,
  operatorCalled,
  purgeApproval,
  purgeOrder,
  sealedAnew,
} from '../../../testing/retention/purges.ts';
import { catalogIn, catalogRows, fileOf } from '../../../testing/store/copies.ts';
import { check, codes, type FsckLab, lab, openWhole } from '../../../testing/store/fsck-lab.ts';
import { content } from '../../../testing/store/world.ts';
import { PURGE_DELAY_MS } from '../../retention/brakes.ts';
import { FILE_END_BYTES } from '../history/history-format.ts';
import { knownHistory } from '../vault/core-load.ts';

/* Erasing ends the newest file of a history: the catalog then stands behind it. */

/** A collector of which something was purged, stopped before anything else was recorded. */
async function purged(): Promise<FsckLab> {
  const place = await lab();
  const { world, agent, vaultDir } = place;
  const store = await openWhole(place.dir, world.ports());
  const vault = store.vaults()[0] ?? expect.fail('no vault');
  const [maria, ines] = [operatorCalled(world, 'maria'), operatorCalled(world, 'ines')];
  const head = vault.log.treeHead();
  const files = [agent.fileId('/d/big')];
  const order = purgeOrder(world, maria, { lineageId: agent.lineageId, files, head });
  await vault.purges.order(order);
  world.clock.now += PURGE_DELAY_MS;
  const forms = sealedAnew(world, order.purgeId, await concernedBy(vault, order.purgeId));
  await vault.purges.approve(purgeApproval(world, ines, order.purgeId, forms), forms);
  await store.close();
  const catalog = await catalogIn(vaultDir);
  expect(await knownHistory(catalog)).toEqual({ file: 2, offset: 0 });
  await catalog.close();
  return place;
}

describe('I-C2 I-C33 fsck of a history whose newest file was ended', () => {
  test('finds nothing where the next one is not begun', async () => {
    expect(await check(await purged())).toEqual({ findings: [], faults: 0 });
  });

  test('nor where it is begun, and a power failure took from the catalog what stands in it', async () => {
    const place = await purged();
    const { world, agent, vaultDir } = place;
    const kept = join(temporaryFolder(), 'kept');
    const derived = ['catalog', 'durable.json'];
    for (const name of derived) cpSync(join(vaultDir, name), join(kept, name), { recursive: true });
    const store = await openWhole(place.dir, world.ports());
    const vault = store.vaults()[0] ?? expect.fail('no vault');
    await agent.back(vault, [agent.file('/d/next', [content('next')])]);
    await store.close();
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
    const live = await catalogRows(vaultDir);
    const fallBack = () => {
      for (const name of derived) {
        rmSync(join(vaultDir, name), { recursive: true });
        cpSync(join(kept, name), join(vaultDir, name), { recursive: true });
      }
    };
    fallBack();
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
    await (await openWhole(place.dir, world.ports())).close();
    expect(await catalogRows(vaultDir)).toEqual(live);
    fallBack();
    // Of the next file only its header is there, and then not even that.
    for (const bytes of [FILE_HEADER_BYTES, FILE_HEADER_BYTES - 1]) {
      truncateSync(fileOf(vaultDir, 'history', 2), bytes);
      const { findings, faults } = await check(place);
      expect(codes(findings).filter((code) => code !== 'torn-tail')).toEqual([]);
      expect(faults).toBe(0);
    }
  });

  for (const [what, bytes] of [
    ['its end', 3],
    ['its end and a record', FILE_END_BYTES + 3],
  ] as const)
    test(`I-C5 but where it has lost ${what}: no start goes on with it, only a repair`, async () => {
      const place = await purged();
      const { world, agent } = place;
      const folder = join(place.vaultDir, 'history');
      const [name = '', ...others] = readdirSync(folder);
      expect(others).toEqual([]);
      const path = join(folder, name);
      const size = statSync(path).size - bytes;
      truncateSync(path, size);
      await expect(openWhole(place.dir, world.ports())).rejects.toThrow(/was ended and has lost/);
      expect(statSync(path).size).toBe(size);
      expect((await check(place)).findings).toMatchObject([
        { code: 'history-short', what: expect.stringMatching(/^the file was ended and has lost/) },
      ]);
      await check(place, true);
      expect((await check(place)).faults).toBe(0);
      const store = await openWhole(place.dir, world.ports());
      await store.vaults()[0]?.sweep.announceGcEpoch(agent.lineageId, world.clock.now);
      await store.close();
      expect((await check(place)).faults).toBe(0);
    });
});
