import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asVaultId } from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemRandom } from '@aliquot/shared/ports';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { packStoreConformance, TEST_PACK_BYTES } from '../../../testing/store/pack-conformance.ts';
import { DiskPacks } from './disk-packs.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(7));
const pathOf = (dir: string, pack: number) => join(dir, `${String(pack).padStart(8, '0')}.pack`);

packStoreConformance('disk', () => {
  const dir = join(temporaryFolder(), 'packs');
  const ports = { files: nodeFiles, random: systemRandom, packBytes: TEST_PACK_BYTES };
  return {
    open: (opening) => DiskPacks.open(dir, vaultId, ports, opening),
    rot: async ({ pack, offset, length }, byte = Math.floor(length / 2)) => {
      const bytes = readFileSync(pathOf(dir, pack));
      const at = offset + 52 + byte;
      bytes[at] = bytes.readUInt8(at) ^ 1;
      writeFileSync(pathOf(dir, pack), bytes);
    },
    lose: async (pack) => rmSync(pathOf(dir, pack)),
  };
});
