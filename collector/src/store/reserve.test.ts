import { statSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { systemError } from '@aliquot/shared/testing/faulty-files';
import { describe, expect, test } from 'vitest';
import { CrampedDisk } from '../../testing/store/cramped-disk.ts';
import { heldBytes } from '../../testing/store/read-one.ts';
import { idsOf, type RewriteLab, rewriteLab } from '../../testing/store/rewrite-lab.ts';
import { content } from '../../testing/store/world.ts';
import type { StoredVault } from './stored-vault.ts';
import { Reserve } from './vault/reserve.ts';
import { reserveFile } from './vault/reserve-file.ts';

/** One and a half of the packs of this vault. */
const RESERVE_BYTES = 6144;
const LARGE = 10_000_000;

/** A vault that has its reserve, and whose disk is full. */
async function fullVault(): Promise<{ place: RewriteLab; disk: CrampedDisk; vault: StoredVault }> {
  const place = await rewriteLab('files');
  const disk = new CrampedDisk(LARGE);
  const vault = await place.open({ files: disk.files });
  // Every pack stays: only the reserve is made.
  await vault.data.rewrite({ isStopped: () => true });
  expect((await vault.data.space()).reserveBytes).toBe(RESERVE_BYTES);
  expect(statSync(join(place.dir, 'packs', 'reserve.bin')).size).toBe(RESERVE_BYTES);
  disk.size -= disk.free - 100;
  const { agent } = place;
  const tooMuch = agent.file('/d/too-much', [content('too much', 900)]).items;
  const refused = { code: 'STORE_NO_SPACE', retryable: true };
  await expect(vault.intake.putChunks(agent.lineageId, tooMuch)).rejects.toMatchObject(refused);
  expect((await vault.data.space()).reserveBytes).toBe(RESERVE_BYTES);
  return { place, disk, vault };
}

test('a disk that does not say what it has left, or has no folder of packs, costs nothing but the reserve', async () => {
  const place = await rewriteLab('files');
  const refuse = async () => Promise.reject(systemError('EIO', 'statfs', place.dir));
  const vault = await place.open({ files: { ...nodeDisk, freeBytes: refuse } });
  await expect(vault.data.rewrite({ all: true })).rejects.toMatchObject({ code: 'STORE_FAILED' });
  expect(await vault.data.space()).toMatchObject({ deadBytes: 0, reserveBytes: 0 });
  await place.agent.back(vault, [place.agent.directory('/d')]);
  const { world } = place;
  const none = reserveFile(nodeDisk, world.random, join(place.dir, 'nowhere'), 100);
  const reserve = await Reserve.open(none, world.clock);
  await reserve.restore();
  expect(reserve.bytes).toBe(0);
});

describe('I-C26 a full disk', () => {
  test('is emptied with the reserve, which nobody else uses, and which is whole again at the end', async () => {
    const { place, disk, vault } = await fullVault();
    const before = await vault.data.space();
    const report = await vault.data.rewrite({ all: true });
    expect(report).toMatchObject({ isDone: true, kept: [] });
    const after = await vault.data.space();
    expect(after.deadBytes).toBe(0);
    expect(before.bytes - after.bytes).toBeGreaterThan(8000);
    expect(disk.free + after.reserveBytes).toBeGreaterThan(8000);
    for (const { id } of place.owned) await heldBytes(vault, id);
    expect(await vault.intake.has(place.agent.lineageId, idsOf(place.owned))).not.toContain(false);
    // There is room again, so the first that comes has it taken again, and is served.
    place.world.clock.now += 60_000;
    disk.size += LARGE;
    await place.agent.back(vault, [place.agent.file('/d/again', [content('again')])]);
    expect((await vault.data.space()).reserveBytes).toBe(RESERVE_BYTES);
  });

  test('is no reason not to tell PCs an epoch: that writes first, too', async () => {
    const { place, disk, vault } = await fullVault();
    const { lineageId } = place.agent;
    disk.size -= disk.free;
    const epoch = await vault.sweep.announceGcEpoch(lineageId, place.world.clock.now);
    expect(vault.sweep.gcEpoch(lineageId)).toBe(epoch);
    expect((await vault.data.space()).reserveBytes).toBe(0);
  });

  test('starts with the reserve, and takes nothing from agents until that is whole again', async () => {
    const { place, disk, vault } = await fullVault();
    await vault.close().catch(() => undefined);
    const again = await place.open({ files: disk.files });
    expect((await again.data.space()).reserveBytes).toBe(0);
    const file = place.agent.file('/d/more', [content('more')]);
    const { lineageId, agentId } = place.agent;
    const refused = { code: 'STORE_NO_SPACE', retryable: true };
    await expect(again.intake.putChunks(lineageId, file.items)).rejects.toMatchObject(refused);
    const { bytes } = place.agent.build([place.agent.directory('/d')]);
    await expect(again.intake.commit(agentId, bytes, 1)).rejects.toMatchObject(refused);
    // It is read all the same.
    for (const { id } of place.owned) await heldBytes(again, id);
    expect(await again.data.rewrite()).toMatchObject({ isDone: true });
    expect((await again.data.space()).deadBytes).toBeLessThan(4096);
    disk.size += LARGE;
    place.world.clock.now += 60_000;
    await place.agent.back(again, [file]);
    expect((await again.data.space()).reserveBytes).toBe(RESERVE_BYTES);
  });
});
