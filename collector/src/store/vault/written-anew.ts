import { keys } from '../catalog/catalog-keys.ts';
import { CatalogChange, type CatalogStore } from '../catalog/catalog-store.ts';
import { values } from '../catalog/row-codec.ts';
import type {
  HistoryItem,
  HistoryLog,
  HistoryPlace,
  HistoryRecord,
  NewHistoryFile,
} from '../history/history-log.ts';
import { knownHistory, noteEnd } from './core-load.ts';
import { firstLeafOf, isLeaf, type PlacedRecord, placed, rowsAt } from './history-files.ts';

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
 * is in force yet.
 */
export async function writeChanged(
  { history, catalog }: AnewIn,
  file: number,
  changed: (item: HistoryItem, leafIndex: number) => Promise<HistoryRecord>,
): Promise<WrittenAnew> {
  const written: PlacedRecord[] = [];
  const first = await firstLeafOf(catalog, file);
  async function* records(): AsyncGenerator<HistoryRecord, void, void> {
    let leafIndex = first;
    for await (const item of history.replay({ file, offset: 0 })) {
      if (item.place.file !== file) return;
      const record = await changed(item, leafIndex);
      if (isLeaf(item.kind)) leafIndex += 1;
      written.push(placed(record, item.isBroken, item.place));
      yield record;
    }
  }
  const anew = await history.writeAnew(file, records());
  const moved = anew.places.map((place, at): PlacedRecord => {
    return { kind: 'event', ...written[at], place };
  });
  const change = new CatalogChange(catalog);
  for (const row of await rowsAt(catalog, file, moved)) change.put(...row);
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

/** Ends the newest file, and the catalog is told where the history ends: behind it. */
export async function endFile(core: Parameters<typeof noteEnd>[0]): Promise<void> {
  await core.history.sync();
  await core.history.endFile();
  await noteEnd(core);
}

/**
 * Mends the record of a commit where a thinned one has rotted, or one of which something was purged
 * since: nobody has its bytes, so its file is written anew with the whole commit, or with what the
 * purge has left of it, which a later rewriting thins again. False where no such record stands at
 * the place. In the vault's queue.
 */
export async function mendThinned(
  core: Parameters<typeof noteEnd>[0] & { flushSynced(): Promise<void> },
  leafIndex: number,
  { file }: Pick<HistoryPlace, 'file'>,
  record: HistoryRecord,
): Promise<boolean> {
  const isPurged = record.kind === 'thinned';
  if (isPurged && file === core.history.end.file) await endFile(core);
  // Where a replay would begin, no place may move.
  await core.flushSynced();
  if (file >= Math.min(core.history.end.file, (await knownHistory(core.catalog)).file))
    return false;
  let isMeant = false;
  const anew = await writeChanged(core, file, async (item, leaf) => {
    const { kind, payload, digest, isBroken } = item;
    const isIt = kind === 'thinned' || (isPurged && kind === 'commit');
    if (leaf !== leafIndex || !isIt || isBroken !== true) return { kind, payload, digest };
    isMeant = true;
    return record;
  });
  if (isMeant) await putInForce(core, anew, () => core.flushSynced());
  else await core.history.discard(anew.file);
  return isMeant;
}
