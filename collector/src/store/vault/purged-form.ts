import { decodeStoredPurged } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { PurgedCommit } from '../catalog/purge-row.ts';
import { passedOver, StoreError } from '../errors.ts';
import { type HistoryLog, type HistoryRecord, historyStart } from '../history/history-log.ts';

/**
 * A commit as a purge has left it: where the catalog says, or wherever in the history that purge
 * has it. Error: `STORE_DAMAGED`.
 */
export async function purgedForm(
  history: HistoryLog,
  leafIndex: number,
  { purgeId, place }: Pick<PurgedCommit, 'purgeId' | 'place'>,
): Promise<Uint8Array> {
  const formIn = ({ kind, payload }: HistoryRecord): Uint8Array | undefined => {
    if (kind !== 'purged') return undefined;
    const purged = decodeStoredPurged(payload);
    const isIt = purged.leafIndex === leafIndex && equalBytes(purged.purgeId, purgeId);
    return isIt ? purged.commit : undefined;
  };
  const there = await history.read(place).catch(passedOver);
  let form = there && formIn(there);
  if (form !== undefined) return form;
  // What a crash has left of an earlier beginning stands before it.
  for await (const item of history.replay(historyStart))
    if (item.isBroken !== true) form = formIn(item) ?? form;
  if (form !== undefined) return form;
  throw new StoreError(
    'STORE_DAMAGED',
    `the record of the commit at leaf ${leafIndex} that a purge has left is damaged; aliquot fsck tells what it concerns`,
  );
}
