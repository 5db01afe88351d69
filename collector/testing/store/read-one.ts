import type { ChunkId } from '@aliquot/proto';
import type { ReadItem } from '../../src/store/vault-records.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';

/** One item, as a store answers it to who asks for many. */
export async function readOne(
  { reading }: Pick<VaultStore, 'reading'>,
  id: ChunkId,
): Promise<ReadItem> {
  for await (const item of reading.readItems([id])) return item;
  throw new Error('the store said nothing of an item');
}

/** The bytes of an item that must be held and sound. */
export async function heldBytes(
  store: Pick<VaultStore, 'reading'>,
  id: ChunkId,
): Promise<Uint8Array> {
  const item = await readOne(store, id);
  if (item.type !== 'item') throw new Error(`an item is ${item.type}`);
  return item.bytes;
}
