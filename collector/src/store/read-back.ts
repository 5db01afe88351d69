import { type ChunkId, decodeStoredCommit, decodeStoredEvent } from '@aliquot/proto';
import type { VaultCore } from './core.ts';
import { StoreError } from './errors.ts';
import { comparePositions } from './position.ts';
import type { LeafRecord, ReadItem } from './vault-records.ts';

/**
 * Items in the order of the packs, then the ids that are not held: see `VaultReading.readItems`.
 * `ready` gives the core anew for each.
 */
export async function* readItems(
  ready: () => Promise<VaultCore>,
  ids: readonly ChunkId[],
): AsyncGenerator<ReadItem> {
  const rows = await (await ready()).items(ids);
  const held = ids.flatMap((id, index) => {
    const row = rows[index];
    return row === undefined ? [] : [{ id, row }];
  });
  held.sort((a, b) => comparePositions(a.row.position, b.row.position));
  for (const { id } of held) {
    try {
      const item = await (await ready()).readItem(id);
      if (item !== undefined) yield { type: 'item', id, kind: item.row.kind, bytes: item.bytes };
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_DAMAGED') throw error;
      yield { type: 'damaged', id };
    }
  }
  for (const [index, id] of ids.entries())
    if (rows[index] === undefined) yield { type: 'missing', id };
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
