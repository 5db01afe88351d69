import { keys } from '../catalog/catalog-keys.ts';
import { CatalogChange, type CatalogStore } from '../catalog/catalog-store.ts';
import { values } from '../catalog/row-codec.ts';
import type {
  HistoryItem,
  HistoryLog,
  HistoryRecord,
  NewHistoryFile,
} from '../history/history-log.ts';
import { firstLeafOf, isLeaf, leavesAt, type PlacedRecord } from './history-files.ts';

/** What a file of the history is written anew in. */
interface AnewIn {
  readonly history: HistoryLog;
  readonly catalog: CatalogStore;
}

/** A file that was written anew, and what it changes in the catalog. */
export interface WrittenAnew {
  readonly file: NewHistoryFile;
  readonly change: CatalogChange;
}

/**
 * Writes a closed file anew with its records changed, each with its leaf where it has one; nothing
 * is in force yet. Seam: for purges.
 */
export async function writeChanged(
  { history, catalog }: AnewIn,
  file: number,
  changed: (item: HistoryItem, leafIndex: number) => Promise<HistoryRecord>,
): Promise<WrittenAnew> {
  const kinds: HistoryRecord['kind'][] = [];
  const first = await firstLeafOf(catalog, file);
  async function* records(): AsyncGenerator<HistoryRecord, void, void> {
    let leafIndex = first;
    for await (const item of history.replay({ file, offset: 0 })) {
      if (item.place.file !== file) return;
      const record = await changed(item, leafIndex);
      if (isLeaf(item.kind)) leafIndex += 1;
      kinds.push(record.kind);
      yield record;
    }
  }
  const anew = await history.writeAnew(file, records());
  const placed = anew.places.map((place, at): PlacedRecord => {
    return { kind: kinds[at] ?? 'event', place };
  });
  const change = new CatalogChange(catalog);
  for (const row of await leavesAt(catalog, file, placed)) change.put(...row);
  change.put(keys.historyFile(file), values.u32(anew.generation));
  return { file: anew, change };
}

/**
 * Puts a file in force that was written anew, has the catalog written, and removes the former one.
 * In the vault's queue.
 */
export async function putInForce(
  { history }: Pick<AnewIn, 'history'>,
  { file, change }: WrittenAnew,
  flush: () => Promise<void>,
): Promise<void> {
  await history.putInForce(file, () => change.commit());
  await flush();
  await history.removeFormer();
}
