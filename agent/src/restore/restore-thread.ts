import { parentPort } from 'node:worker_threads';
import { asVaultId } from '@aliquot/proto';
import { blockingFiles, newFiles } from '@aliquot/shared/durable/blocking-files';
import { systemRandom } from '@aliquot/shared/ports';
import { FileWriter } from '@aliquot/shared/restore/file-writer';
import { thisRun } from '@aliquot/shared/restore/leftovers';
import { targetFiles } from '@aliquot/shared/restore/target-files';
import { runRestoreThread } from '@aliquot/shared/restore/thread';
import type { OwnRestoreBegin } from './self-restore.ts';

/** The thread of a `restore PATH…`: what it opens and writes comes over the service's session. */

if (parentPort === null) throw new Error('this file runs as a worker only');

await runRestoreThread(parentPort, ({ vaultId, forbidden }: OwnRestoreBegin, fetchItems) => {
  if (fetchItems === undefined) throw new Error('a thread of the agent cannot fetch by itself');
  return {
    vaultId: asVaultId(vaultId),
    fetchItems,
    writer: new FileWriter({
      target: targetFiles(blockingFiles, forbidden),
      newFiles,
      random: systemRandom,
      run: thisRun(),
      overwrite: false,
    }),
  };
});
