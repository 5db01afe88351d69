import { join } from 'node:path';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { leftGenerations } from '@aliquot/shared/records/generation';
import type { CatalogStore } from '../catalog/catalog-store.ts';
import { StoreError } from '../errors.ts';
import type { Finding } from '../fsck-finding.ts';
import { historyFormat } from '../history/history-format.ts';
import type { HistoryLog } from '../history/history-log.ts';
import { followFiles } from '../vault/history-files.ts';

interface HalfRewritten {
  readonly history: HistoryLog;
  /** The real catalog: brought to the files in force in memory, to be compared, and not written. */
  readonly catalog: CatalogStore;
  readonly tell: (finding: Finding) => void;
}

/** Says that a file of the history was being written anew: what waits for the next start. */
export async function tellHalfRewritten(
  files: FilePort,
  dir: string,
  { history, catalog, tell }: HalfRewritten,
): Promise<void> {
  const [left] = await leftGenerations(files, dir, historyFormat);
  const isBehind = await followFiles(history, catalog).catch((error: unknown) => {
    // What the comparison tells.
    if (!(error instanceof StoreError) || error.code !== 'STORE_CATALOG') throw error;
    return false;
  });
  if (!isBehind && left === undefined) return;
  tell({
    code: 'history-half-rewritten',
    severity: 'info',
    what: 'the history was being written anew, with less, when its collector was stopped',
    where: left === undefined ? dir : join(dir, left),
    remedy: 'nothing is lost: the next start ends it, and so does aliquot fsck --repair',
  });
}
