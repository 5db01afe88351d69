import {
  decodeStoredCommit,
  decodeStoredPurged,
  encodeStoredCommit,
  encodeStoredPurged,
} from '@aliquot/proto';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import { decodePurgedCommit } from '../catalog/purge-row.ts';
import { read } from '../catalog/row-codec.ts';
import { passedOver } from '../errors.ts';
import type { HistoryItem, HistoryRecord } from '../history/history-log.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { knownHistory } from './core-load.ts';
import { purgedRecord, sealedAnew } from './purged-record.ts';
import { putInForce, writeChanged } from './written-anew.ts';

/** Commits as the newest purge of each has left them, by leaf. */
type Forms = ReadonlyMap<number, Uint8Array>;

/**
 * Takes what was purged out of the history's own records: each closed file that still has some of
 * it is written anew, at any ratio, with the blocks that the purge has sealed (I-C32). Behind an
 * approval, which has ended the file before it, and at a start, for a crash may have come between
 * the two.
 */
export async function erasePurged(keeper: CoreKeeper): Promise<void> {
  const first = await keeper.ready();
  if ((await formsOf(first)).size === 0) return;
  // Where a replay would begin, no place may move.
  await keeper.flush();
  const core = await keeper.ready();
  const forms = await formsOf(core);
  for (const file of await filesWith(core, forms)) {
    const anew = await writeChanged(core, file, async (item, leafIndex) =>
      recordWithout(item, leafIndex, forms),
    );
    await keeper.do(async (now) => {
      // Another core has been opened since: its start does this again.
      if (now === core) await putInForce(core, anew, () => keeper.flushHere(core));
    });
  }
}

async function formsOf(core: VaultCore): Promise<Forms> {
  const forms = new Map<number, Uint8Array>();
  for await (const [key] of core.catalog.scan(ranges.purged)) {
    const leafIndex = readKey.number(key);
    const form = await core.purgedForm(leafIndex).catch(passedOver);
    if (form !== undefined) forms.set(leafIndex, form);
  }
  return forms;
}

/** The closed files in which something is to be taken out, rising. */
async function filesWith(core: VaultCore, forms: Forms): Promise<number[]> {
  const { file: known } = await knownHistory(core.catalog);
  const open = Math.min(core.history.end.file, known);
  const files = new Set<number>();
  for (const [leafIndex, form] of forms) {
    const row = await core.catalog.get(keys.leaf(leafIndex));
    const file = row === undefined ? open : read.leaf(row).place.file;
    const stored = file < open ? await core.storedCommit(leafIndex).catch(passedOver) : undefined;
    if (stored !== undefined && sealedAnew(stored.commit, form).size > 0) files.add(file);
  }
  // An earlier purge of the same commit has kept what a later one takes.
  for await (const [key, value] of core.catalog.scan(ranges.purged)) {
    const { place } = decodePurgedCommit(value);
    const form = forms.get(readKey.number(key));
    if (place.file >= open || form === undefined) continue;
    const record = await core.history.read(place).catch(passedOver);
    if (record === undefined) continue;
    if (sealedAnew(decodeStoredPurged(record.payload).commit, form).size > 0) files.add(place.file);
  }
  return [...files].sort((a, b) => a - b);
}

function recordWithout(item: HistoryItem, leafIndex: number, forms: Forms): HistoryRecord {
  const { kind, payload, digest, isBroken } = item;
  if (isBroken === true) return { kind, payload, digest };
  if (kind === 'purged') {
    const purged = decodeStoredPurged(payload);
    const commit = forms.get(purged.leafIndex) ?? purged.commit;
    return { kind, payload: encodeStoredPurged({ ...purged, commit }) };
  }
  const form = kind === 'commit' || kind === 'thinned' ? forms.get(leafIndex) : undefined;
  if (form === undefined) return { kind, payload };
  const record = purgedRecord(decodeStoredCommit(payload), form);
  return { kind: 'thinned', payload: encodeStoredCommit(record) };
}
