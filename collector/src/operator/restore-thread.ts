import { parentPort } from 'node:worker_threads';
import { asVaultId } from '@aliquot/proto';
import { blockingFiles, newFiles } from '@aliquot/shared/durable/blocking-files';
import { systemRandom } from '@aliquot/shared/ports';
import { FileWriter } from '@aliquot/shared/restore/file-writer';
import { thisRun } from '@aliquot/shared/restore/leftovers';
import { targetFiles } from '@aliquot/shared/restore/target-files';
import { runRestoreThread } from '@aliquot/shared/restore/thread';
import { ItemLines } from './client/item-lines.ts';
import { fetchAgain, fetchItems } from './fetch-items.ts';
import { proofTarget } from './proof-target.ts';
import type { ThreadBegin } from './restoring.ts';

/** One thread of `restore` and `check`. */

if (parentPort === null) throw new Error('this file runs as a worker only');

await runRestoreThread(parentPort, ({ vaultId, path, writes }: ThreadBegin) => {
  const content = new ItemLines(path);
  return {
    vaultId: asVaultId(vaultId),
    fetchItems: (ids) => fetchItems(content, ids),
    fetchAgain: (id) => fetchAgain(content, id),
    writer:
      writes === undefined
        ? proofTarget()
        : new FileWriter({
            target: targetFiles(blockingFiles, []),
            newFiles,
            random: systemRandom,
            run: thisRun(),
            overwrite: writes.overwrite,
          }),
  };
});
