import { FileError, withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { queuePaths } from './open-queue.ts';

/** Files with damaged bytes that an opening set aside. */
export async function damagedFiles(port: FilePort, dataDir: string): Promise<string[]> {
  const { damaged } = queuePaths(dataDir);
  const found: string[] = [];
  try {
    await withFileErrors('list', damaged, async () => {
      for await (const entry of port.list(damaged))
        found.push(`${damaged}/${entry.name.toString()}`);
    });
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== 'FILE_MISSING') throw error;
    // No such folder: nothing was ever damaged.
  }
  return found.sort();
}
