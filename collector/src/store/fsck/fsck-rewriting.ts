import { join } from 'node:path';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { type LeftFiles, leftFiles } from '@aliquot/shared/records/generation';
import { RecordReader } from '@aliquot/shared/records/reader';
import type { CatalogStore } from '../catalog/catalog-store.ts';
import { StoreError } from '../errors.ts';
import type { Finding } from '../fsck-finding.ts';
import { historyFormat } from '../history/history-format.ts';
import type { HistoryLog } from '../history/history-log.ts';
import { followFiles } from '../vault/history-files.ts';

type Tell = (finding: Finding) => void;

interface HalfRewritten {
  readonly history: HistoryLog;
  /** The real catalog: brought to the files in force in memory, to be compared, and not written. */
  readonly catalog: CatalogStore;
  readonly tell: Tell;
}

/**
 * Names files of the history that are sounder than what took their place: where a crash has left
 * both, and the one in force has rotted since, nothing else may be a whole copy.
 */
export async function tellSounderFormer(files: FilePort, dir: string, tell: Tell): Promise<void> {
  const { sounder, reader } = await left(files, dir);
  for (const { name, number } of sounder)
    tell({
      code: 'history-half-rewritten',
      severity: 'warning',
      what: 'the history was being written anew, with less, when its collector was stopped, and what took the place of this file has rotted since: this one is sounder',
      where: join(dir, name),
      remedy: `stop the collector and move ${reader.path(number)} out of the folder: then this one is in force again; it is not removed meanwhile`,
    });
}

/** Says that a file of the history was being written anew: what waits for the next start. */
export async function tellHalfRewritten(
  files: FilePort,
  dir: string,
  { history, catalog, tell }: HalfRewritten,
): Promise<void> {
  const [needless] = (await left(files, dir)).needless;
  const isBehind = await followFiles(history, catalog).catch((error: unknown) => {
    // What the comparison tells.
    if (!(error instanceof StoreError) || error.code !== 'STORE_CATALOG') throw error;
    return false;
  });
  if (!isBehind && needless === undefined) return;
  tell({
    code: 'history-half-rewritten',
    severity: 'info',
    what: 'the history was being written anew, with less, when its collector was stopped',
    where: needless === undefined ? dir : join(dir, needless),
    remedy: 'nothing is lost: the next start ends it, and so does aliquot fsck --repair',
  });
}

async function left(
  port: FilePort,
  dir: string,
): Promise<LeftFiles & { readonly reader: RecordReader<string> }> {
  const reader = await RecordReader.open<string>({ port, dir, format: historyFormat });
  try {
    return { ...(await leftFiles(reader, port)), reader };
  } finally {
    await reader.close();
  }
}
