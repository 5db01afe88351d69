import { type ChunkId, decodeStoredCommit, decodeStoredEvent } from '@aliquot/proto';
import type { ItemRow } from '../catalog/catalog-rows.ts';
import { idName } from '../catalog/reference-walk.ts';
import { StoreError } from '../errors.ts';
import { comparePlaces, ITEM_ROOM_BYTES, type Place } from '../packs/pack-store.ts';
import type { ItemRun, LeafRecord, ReadItem } from '../vault-records.ts';
import type { VaultCore } from './core.ts';

/** An item that a pack holds: the first of its places is where it is read. */
interface Held {
  readonly id: ChunkId;
  readonly row: ItemRow;
  readonly place: Place;
}

/** What is held of `ids`, in the order of the packs, and what is not. */
async function sorted(
  core: VaultCore,
  ids: readonly ChunkId[],
): Promise<{ readonly held: readonly Held[]; readonly missing: readonly ChunkId[] }> {
  const rows = await core.items.rows(ids);
  const held = ids.flatMap((id, index): Held[] => {
    const row = rows[index];
    const place = row?.places[0];
    return row === undefined || place === undefined ? [] : [{ id, row, place }];
  });
  held.sort((a, b) => comparePlaces(a.place, b.place));
  const missing = ids.filter((_, index) => (rows[index]?.places.length ?? 0) === 0);
  return { held, missing };
}

/**
 * Items in the order of the packs, then the ids that are not held: see `VaultReading.readItems`.
 * `ready` gives the core again for each.
 */
export async function* readItems(
  ready: () => Promise<VaultCore>,
  ids: readonly ChunkId[],
): AsyncGenerator<ReadItem> {
  const { held, missing } = await sorted(await ready(), ids);
  for (const { id, row } of held) yield await oneItem(await ready(), id, row);
  for (const id of missing) yield { type: 'missing', id };
}

async function oneItem(core: VaultCore, id: ChunkId, row: ItemRow): Promise<ReadItem> {
  try {
    const item = await core.items.read(id, row);
    return item === undefined ? { type: 'missing', id } : { type: 'item', id, ...item };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'STORE_DAMAGED') throw error;
    return { type: 'damaged', id };
  }
}

/**
 * Items in the order of the packs, in runs that were read at once, then those that are not there:
 * see `VaultReading.readRuns`. One that does not prove itself may lie sound in another pack.
 */
export async function* readRuns(
  ready: () => Promise<VaultCore>,
  ids: readonly ChunkId[],
): AsyncGenerator<ItemRun, void, void> {
  const core = await ready();
  const { held, missing } = await sorted(core, ids);
  const rows = new Map(held.map(({ id, row }) => [idName(id), row]));
  for await (const run of core.packs.readRuns(held)) {
    if (run.type === 'run') yield run;
    else for (const id of run.ids) yield await oneRun(await ready(), id, rows.get(idName(id)));
  }
  if (missing.length > 0) yield { type: 'missing', ids: missing };
}

async function oneRun(core: VaultCore, id: ChunkId, row: ItemRow | undefined): Promise<ItemRun> {
  const found = row === undefined ? undefined : await oneItem(core, id, row);
  if (found?.type !== 'item') return { type: found?.type ?? 'missing', ids: [id] };
  const bytes = Buffer.concat([Buffer.alloc(ITEM_ROOM_BYTES), found.bytes]);
  const { kind } = found;
  const item = { id, kind, offset: ITEM_ROOM_BYTES, length: found.bytes.length };
  return { type: 'run', bytes, items: [item] };
}

/** The bytes of one leaf, and of the event or commit that it names. */
export async function leafAt(core: VaultCore, leafIndex: number): Promise<LeafRecord> {
  const { type, payload } = await core.leafRecord(leafIndex);
  if (type === 'event') {
    const { event, leaf } = decodeStoredEvent(payload);
    return { leaf, record: { type, event } };
  }
  const { commit, leaf, receipt } = decodeStoredCommit(payload);
  return { leaf, record: { type, commit, receipt } };
}
