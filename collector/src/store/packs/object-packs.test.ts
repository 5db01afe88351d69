import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asChunkId, asVaultId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemRandom } from '@aliquot/shared/ports';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, test } from 'vitest';
import { ObjectPacks, objectsOnly } from '../../../testing/store/object-packs.ts';
import { packStoreConformance, TEST_PACK_BYTES } from '../../../testing/store/pack-conformance.ts';

import { DiskPacks } from './disk-packs.ts';
import type { PackItem } from './pack-store.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(7));
const pathOf = (dir: string, pack: number) => join(dir, `${String(pack).padStart(8, '0')}.pack`);

packStoreConformance('objects in a folder', () => {
  const dir = join(temporaryFolder(), 'objects');
  const ports = { files: objectsOnly, random: systemRandom, packBytes: TEST_PACK_BYTES };
  return {
    open: (opening) => ObjectPacks.open(dir, vaultId, ports, opening),
    rot: async ({ pack, offset, length }, byte = Math.floor(length / 2)) => {
      const bytes = readFileSync(pathOf(dir, pack));
      const at = offset + 52 + byte;
      bytes[at] = bytes.readUInt8(at) ^ 1;
      writeFileSync(pathOf(dir, pack), bytes);
    },
    lose: async (pack) => rmSync(pathOf(dir, pack)),
  };
});

test('half an object, as a folder keeps it where the power failed, is none', async () => {
  const dir = join(temporaryFolder(), 'objects');
  const ports = { files: objectsOnly, random: systemRandom };
  const item = (text: string): PackItem => {
    const bytes = Buffer.from(text);
    return { id: asChunkId(sha256(bytes)), kind: 'chunk', bytes };
  };
  const [kept, lost] = [item('kept'), item('lost')];
  const packs = await ObjectPacks.open(dir, vaultId, ports);
  const [place] = await packs.put([kept]);
  await packs.sync();
  await packs.put([lost]);
  await packs.sync();
  await packs.close();
  const whole = readFileSync(pathOf(dir, 2));
  for (const length of [whole.length - 1, 150, 100, 40, 10, 0]) {
    writeFileSync(pathOf(dir, 2), whole.subarray(0, length));
    const again = await ObjectPacks.open(dir, vaultId, ports);
    expect(again.packs().map(({ pack }) => pack)).toEqual([1]);
    if (place !== undefined)
      expect((await again.read(kept.id, place)).bytes).toEqual(Buffer.from(kept.bytes));
    await again.close();
  }
});

test('an object is a closed pack, which a collector with a disk takes as its own', async () => {
  const dir = join(temporaryFolder(), 'objects');
  const ports = { files: nodeFiles, random: systemRandom };
  const bytes = Buffer.from('any');
  const id = asChunkId(sha256(bytes));
  const objects = await ObjectPacks.open(dir, vaultId, ports);
  const [place] = await objects.put([{ id, kind: 'page', bytes }]);
  await objects.sync();
  const extents = objects.packs();
  await objects.close();
  const disk = await DiskPacks.open(dir, vaultId, ports);
  expect(disk.packs()).toEqual(extents);
  if (place !== undefined) expect(await disk.read(id, place)).toEqual({ kind: 'page', bytes });
  await disk.close();
});
