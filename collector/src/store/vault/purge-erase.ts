import {
  decodeStoredCommit,
  decodeStoredPurged,
  encodeStoredCommit,
  encodeStoredPurged,
} from '@aliquot/proto';
import { isForeseen } from '@aliquot/shared/durable/unexpected';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import { decodePurgedCommit } from '../catalog/purge-row.ts';
import { read } from '../catalog/row-codec.ts';
import { passedOver, StoreError, type UnfitRecord } from '../errors.ts';
import type { HistoryItem, HistoryRecord } from '../history/history-log.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { knownHistory } from './core-load.ts';
import { begunPurges, purgedLeaves } from './history-files.ts';
import { isLookedAt, purgedRecord, sealedAnew } from './purged-record.ts';
import { rewriteHistoryFile } from './rewrite-history.ts';
import { endFile } from './written-anew.ts';

const MOST_TRIES = 3;

/** Commits as the newest purge of each has left them, by leaf. */
type Forms = ReadonlyMap<number, Uint8Array>;

/**
 * Takes what was purged out of the history's own records: each file that still has some of it is
 * ended, and written anew at any ratio with the blocks that the purge has sealed (I-C33). Behind an
 * approval, behind a sweep that had still looked at it, and at a start, for a crash may have come
 * between. Answers with the files that cannot be written anew for damage.
 */
export function erasePurged(keeper: CoreKeeper): Promise<UnfitRecord[]> {
  // What a purge has left is read where no other takes more of it meanwhile.
  return keeper.rewriting.run(async () => {
    for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
      const kept = await eraseIn(keeper, await keeper.ready());
      if (kept !== 'reopened') return kept;
    }
    throw new StoreError(
      'STORE_FAILED',
      'the disk failed each time while what was purged was taken out of the history: try again, or start the collector again',
    );
  });
}

async function eraseIn(keeper: CoreKeeper, core: VaultCore): Promise<UnfitRecord[] | 'reopened'> {
  try {
    return await eraseAll(keeper, core);
  } catch (error) {
    // The files of a core whose place another one has taken are closed.
    if (isForeseen(error) && keeper.live() !== core) return 'reopened';
    throw error;
  }
}

async function eraseAll(keeper: CoreKeeper, core: VaultCore): Promise<UnfitRecord[] | 'reopened'> {
  const kept: UnfitRecord[] = [];
  const forms = await formsOf(core);
  if (forms.size === 0) return kept;
  const files = await filesWith(core, forms);
  if (files.length === 0) return kept;
  await keeper.do(async (now) => {
    // Only closed files are written anew, and of these none that a replay would begin in.
    if (now === core && files.includes(now.history.end.file)) await endFile(now);
    await keeper.flushHere(now);
  });
  if (keeper.live() !== core) return 'reopened';
  const { file: known } = await knownHistory(core.catalog);
  for (const file of files) {
    if (file >= known) continue;
    const outcome = await rewriteHistoryFile({ keeper, core }, file, async (item, leafIndex) =>
      recordWithout(item, leafIndex, forms),
    );
    if (outcome.type === 'reopened') return outcome.type;
    if (outcome.type === 'kept')
      kept.push({
        ...{ type: 'file', where: `history file ${file}` },
        why: `still has what was purged: ${outcome.why}`,
      });
  }
  return kept;
}

async function formsOf(core: VaultCore): Promise<Forms> {
  const forms = new Map<number, Uint8Array>();
  for (const leafIndex of new Set(await purgedLeaves(core.catalog))) {
    if (await isLookedAt(core, leafIndex)) continue;
    const form = await core.purgedForm(leafIndex).catch(passedOver);
    if (form !== undefined) forms.set(leafIndex, form);
  }
  return forms;
}

/** The files in which something is to be taken out, rising. */
async function filesWith(core: VaultCore, forms: Forms): Promise<number[]> {
  const files = new Set<number>();
  for (const [leafIndex, form] of forms) {
    const row = await core.catalog.get(keys.leaf(leafIndex));
    const stored = await core.storedCommit(leafIndex).catch(passedOver);
    if (row === undefined || stored === undefined) continue;
    if (sealedAnew(stored.commit, form).size > 0) files.add(read.leaf(row).place.file);
  }
  // An earlier purge of the same commit has kept what a later one takes, and so has what a crash
  // has left of an approval.
  const earlier = (await begunPurges(core.catalog)).map(({ leafIndex, place }) => {
    return { leafIndex, place };
  });
  for await (const [key, value] of core.catalog.scan(ranges.purged))
    earlier.push({ leafIndex: readKey.number(key), place: decodePurgedCommit(value).place });
  for (const { leafIndex, place } of earlier) {
    const form = forms.get(leafIndex);
    if (form === undefined) continue;
    const record = await core.history.read(place).catch(passedOver);
    if (record?.kind !== 'purged') continue;
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
