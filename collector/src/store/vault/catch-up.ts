import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import { CatalogChange, FLUSH_CHANGES } from '../catalog/catalog-store.ts';
import { isHeld, isOwned, isUnsaid } from '../catalog/item-row.ts';
import { read, values } from '../catalog/row-codec.ts';
import { StoreError, type UnfitRecord } from '../errors.ts';
import { type HistoryPoint, historyStart } from '../history/history-log.ts';
import type { PackExtent, PackRow, PackStore } from '../packs/pack-store.ts';
import { prefetchItems } from './apply-items.ts';
import type { VaultCore } from './core.ts';
import { knownHistory } from './core-load.ts';
import { linkedAt } from './lost-commits.ts';
import type { VaultMedia } from './media.ts';
import { replayInto } from './replay.ts';

const ROWS_AT_ONCE = 1024;
const LOOKS_AT_ONCE = 32;

/**
 * Takes in what history and packs hold and the catalog does not know. Memory stays bounded: the
 * catalog is flushed now and then (an opening has made durable what it kept).
 */
export async function catchUp(
  core: VaultCore,
  { nameOf }: VaultMedia,
  onUnfit: ((record: UnfitRecord) => void) | undefined,
): Promise<void> {
  const { short, foreign } = await lostPacks(core.packs, core.items.known);
  for (const pack of short) {
    const why = 'the pack is missing or has lost its end: put it back from a copy';
    onUnfit?.({ type: 'pack', where: nameOf({ pack }), why });
  }
  // What lies in another's place is named below, where it cannot be taken in.
  const isLost = short.length + foreign.length > 0;
  if (isLost) await beginForgetting(core);
  if ((await core.catalog.get(keys.forgetting)) !== undefined) await forgetPlaces(core);
  for (const extent of core.packs.packs()) {
    const { pack, bytes } = extent;
    if (core.items.known.get(pack) === bytes) continue;
    await takeInPack(core, extent).catch((error: unknown) => {
      if (!(error instanceof StoreError) || error.code !== 'STORE_CORRUPT') throw error;
      core.items.unread.add(pack);
      onUnfit?.({ type: 'pack', where: nameOf({ pack }), why: error.message });
    });
  }
  for (const point of await core.history.shortFiles()) {
    const why =
      'the file has lost its end: put it back from a copy; agents send again what they have';
    onUnfit?.({ type: 'record', where: nameOf(point), why });
    await noteLostBehind(core, point);
  }
  const from = await knownHistory(core.catalog);
  await replayInto(core, from, { onUnfit, nameOf });
  // Also where something was lacking before: it may have been sent again since.
  const look = isLost || core.items.lacking || from.file === historyStart.file;
  if (look) await lookForLacking(core);
}

/** Remembers the commits that stood behind the end of a file which was longer. */
async function noteLostBehind(core: VaultCore, { file, offset }: HistoryPoint): Promise<void> {
  for await (const [key, value] of core.catalog.scan(ranges.leaves)) {
    const { type, place } = read.leaf(value);
    if (type !== 'commit' || place.file !== file || place.offset < offset) continue;
    const leafIndex = readKey.number(key);
    const row = await linkedAt(core, leafIndex);
    if (row !== undefined) core.noteBroken(leafIndex, row);
  }
}

/** Packs that the catalog knows and that are not there as it knows them. */
export interface LostPacks {
  /** Missing, or without their end. */
  readonly short: readonly number[];
  /** In their place lies another one, of whatever size. */
  readonly foreign: readonly number[];
}

/** Looks at the size and the first bytes of each pack that the catalog knows. */
export async function lostPacks(
  packs: PackStore,
  known: ReadonlyMap<number, number>,
): Promise<LostPacks> {
  const here = new Map(packs.packs().map(({ pack, bytes }) => [pack, bytes]));
  const [short, foreign]: [number[], number[]] = [[], []];
  const look = async ([pack, bytes]: readonly [number, number]): Promise<void> => {
    const size = here.get(pack);
    try {
      if (size !== undefined) await packs.look(pack);
      if (size === undefined || size < bytes) short.push(pack);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code === 'STORE_CORRUPT') foreign.push(pack);
      // A header that has rotted is no other pack's: its items prove themselves.
      else if (size !== undefined && size < bytes) short.push(pack);
    }
  };
  const all = [...known];
  for (let at = 0; at < all.length; at += LOOKS_AT_ONCE)
    await Promise.all(all.slice(at, at + LOOKS_AT_ONCE).map(look));
  return { short, foreign };
}

/** Takes in what one pack holds behind what the catalog knows of it; up to `to` if told. */
export async function takeInPack(
  core: VaultCore,
  { pack, bytes }: Pick<PackExtent, 'pack' | 'bytes'>,
  to = bytes,
): Promise<void> {
  const from = core.items.known.get(pack) ?? 0;
  for await (const rows of core.packs.rows(pack, from)) {
    await takeInRows(
      core,
      rows.filter(({ place }) => place.offset < to),
    );
    await flushWhenFull(core);
  }
  const known = Math.min(to, bytes);
  const change = new CatalogChange(core.catalog);
  change.put(keys.pack(pack), values.u64(known));
  change.commit();
  core.items.known.set(pack, known);
}

async function takeInRows(core: VaultCore, rows: readonly PackRow[]): Promise<void> {
  if (rows.length === 0) return;
  const change = new CatalogChange(core.catalog);
  await prefetchItems(change, rows);
  await core.items.take(change, rows);
  // A second copy of an item is written only when the first was found damaged.
  for (const { id, sound } of rows) {
    if (!sound) core.items.setDamaged(id);
    else if (core.items.isDamaged(id)) core.items.mended(id);
  }
}

/**
 * From now on the catalog knows nothing of packs: it takes all of them in again, which finds what
 * lies in another pack, too. Noted first, so that a crash in the middle begins it again.
 */
async function beginForgetting(core: VaultCore): Promise<void> {
  const change = new CatalogChange(core.catalog);
  for (const pack of core.items.known.keys()) change.del(keys.pack(pack));
  change.commit();
  core.items.known.clear();
  core.catalog.note(keys.forgetting, Buffer.alloc(0));
  await core.catalog.flush();
}

async function forgetPlaces(core: VaultCore): Promise<void> {
  let change = new CatalogChange(core.catalog);
  let count = 0;
  for await (const [key, value] of core.catalog.scan(ranges.items)) {
    const row = read.item(value);
    if (isUnsaid(row)) change.del(key);
    else change.put(key, values.item({ ...row, kind: undefined, pieces: 0, places: [] }));
    count += 1;
    if (count % ROWS_AT_ONCE > 0) continue;
    change.commit();
    change = new CatalogChange(core.catalog);
    await flushWhenFull(core);
  }
  change.del(keys.itemSums);
  for await (const [key] of core.catalog.scan(ranges.packLive)) change.del(key);
  change.commit();
  core.catalog.note(keys.forgetting, undefined);
  await core.catalog.flush();
}

/** Whether lineages own anything that no pack holds. */
async function lookForLacking(core: VaultCore): Promise<void> {
  for await (const [, value] of core.catalog.scan(ranges.items)) {
    const row = read.item(value);
    if (!isOwned(row) || isHeld(row)) continue;
    core.items.setLacking(true);
    return;
  }
  core.items.setLacking(false);
}

async function flushWhenFull({ catalog }: VaultCore): Promise<void> {
  if (catalog.pendingChanges >= FLUSH_CHANGES) await catalog.flush();
}
