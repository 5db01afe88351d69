import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asVaultId } from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemRandom } from '@aliquot/shared/ports';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import {
  historyLogConformance,
  TEST_FILE_BYTES,
} from '../../../testing/store/history-conformance.ts';
import { DiskHistory } from './disk-history.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(7));
const pathOf = (dir: string, file: number) => join(dir, `${String(file).padStart(8, '0')}.history`);

historyLogConformance('disk', () => {
  const dir = join(temporaryFolder(), 'history');
  const ports = { files: nodeFiles, random: systemRandom, fileBytes: TEST_FILE_BYTES };
  return {
    open: (opening) => DiskHistory.open(dir, vaultId, ports, opening),
    rot: async ({ file, offset, length }) => {
      const bytes = readFileSync(pathOf(dir, file));
      const at = offset + 52 + Math.floor(length / 2);
      // Two bits: one would be mended.
      bytes[at] = bytes.readUInt8(at) ^ 3;
      writeFileSync(pathOf(dir, file), bytes);
    },
  };
});
