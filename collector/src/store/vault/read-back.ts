import { type ChunkId, decodeStoredEvent } from '@aliquot/proto';
import { type ItemRow, placesToRead } from '../catalog/item-row.ts';
import { idName } from '../catalog/reference-walk.ts';
import { isDamaged } from '../errors.ts';
import { comparePlaces, ITEM_ROOM_BYTES, type Place } from '../packs/pack-store.ts';
import type { ItemRun, LeafRecord, ReadItem } from '../vault-records.ts';
import type { VaultCore } from './core.ts';
import { unlessLost } from './lost-commits.ts';

/** An item that a pack holds, and where it is read first. */
interface Held {
  readonly id: ChunkId;
  readonly row: ItemRow;
  readonly place: Place;
}

function heldAs(id: ChunkId, row: ItemRow | undefined): Held | undefined {
  const place = row && placesToRead(row)[0];
  return row === undefined || place === undefined ? undefined : { id, row, place };
}

/**
 * Items in the order of the packs, then the ids that are not held: see `VaultReading.readItems`.
 * `ready` gives the core again for each.
 */
export async function* readItems(
  ready: () => Promise<VaultCore>,
  ids: readonly ChunkId[],
): AsyncGenerator<ReadItem> {
  const rows = await (await ready()).items.rows(ids);
  const all = ids.map((id, index) => ({ id, held: heldAs(id, rows[index]) }));
  const held = all.flatMap((one) => one.held ?? []);
  held.sort((a, b) => comparePlaces(a.place, b.place));
  for (const { id, row } of held) yield await oneItem(await ready(), id, row);
  for (const one of all) if (one.held === undefined) yield { type: 'missing', id: one.id };
}

/** Of a damaged slab what is left of it: the other pieces prove without the damaged one. */
async function oneItem(core: VaultCore, id: ChunkId, row: ItemRow): Promise<ReadItem> {
  try {
    const item = await core.items.read(id, row);
    return item === undefined ? { type: 'missing', id } : { type: 'item', id, ...item };
  } catch (error) {
    if (!isDamaged(error)) throw error;
    const bytes = await core.items.salvage(id);
    return bytes === undefined
      ? { type: 'damaged', id }
      : { type: 'item', id, kind: 'slab', bytes };
  }
}

/**
 * Items in the order of the question, in runs that were read at once; see `VaultReading.readRuns`.
 * One that cannot be read where it lies may lie sound in another pack.
 */
export async function* readRuns(
  ready: () => Promise<VaultCore>,
  ids: readonly ChunkId[],
): AsyncGenerator<ItemRun, void, void> {
  const core = await ready();
  const rows = await core.items.rows(ids);
  const rowOf = new Map(ids.map((id, index) => [idName(id), rows[index]]));
  let held: Held[] = [];
  async function* read(): AsyncGenerator<ItemRun, void, void> {
    for await (const run of core.packs.readRuns(held)) {
      if (run.type === 'run') yield run;
      else for (const id of run.ids) yield await oneRun(await ready(), id, rowOf.get(idName(id)));
    }
    held = [];
  }
  for (const [index, id] of ids.entries()) {
    const one = heldAs(id, rows[index]);
    if (one !== undefined) {
      held.push(one);
      continue;
    }
    yield* read();
    yield { type: 'missing', ids: [id] };
  }
  yield* read();
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
  const record = await unlessLost(core, leafIndex, { versions: 0, onLost: undefined }, () =>
    core.leafRecord(leafIndex),
  );
  if (record === undefined) throw new TypeError('it is thrown where nobody listens');
  const { type, payload } = record;
  if (type === 'event') {
    const { event, leaf } = decodeStoredEvent(payload);
    return { leaf, record: { type, event } };
  }
  const { commit, leaf, receipt } = await core.servedCommit(leafIndex);
  return { leaf, record: { type, commit, receipt } };
}
