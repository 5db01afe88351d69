import { decodePage, FormatError, type LineageId, MAX_SEALED_CHUNK_BYTES } from '@aliquot/proto';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { keys } from './catalog-keys.ts';
import type { VaultCore } from './core.ts';
import { StoreError } from './errors.ts';
import type { PendingUploads } from './pending-uploads.ts';
import type { PutItem } from './vault-store.ts';

/** Bytes placed in the journal in one go: a fraction of a pack, so that a batch always fits a fresh one. */
const BATCH_BYTES = 8 * 1024 * 1024;
/** Items placed in one go: bounds the time that other agents wait for the queue. */
const BATCH_ITEMS = 1024;

/** Throws `STORE_BAD_ITEM` unless the bytes are what id and kind say. */
export function checkItem({ id, kind, bytes }: PutItem): void {
  const refuse = (why: string, cause?: unknown): never => {
    throw new StoreError('STORE_BAD_ITEM', `${kind} ${Buffer.from(id).toString('hex').slice(0, 16)}: ${why}`, { cause });
  };
  if (bytes.length === 0 || bytes.length > MAX_SEALED_CHUNK_BYTES) refuse(`${bytes.length} bytes are not a sealed ${kind}`);
  if (!equalBytes(sha256(bytes), id)) refuse('its bytes do not have that id');
  if (kind === 'chunk') return;
  try {
    decodePage(bytes);
  } catch (error) {
    if (error instanceof FormatError) refuse(error.message, error);
    throw error;
  }
}

/** The items in runs that the journal takes in one go. */
export function* batches(items: readonly PutItem[]): Generator<PutItem[]> {
  let batch: PutItem[] = [];
  let bytes = 0;
  for (const item of items) {
    if (batch.length > 0 && (bytes + item.bytes.length > BATCH_BYTES || batch.length >= BATCH_ITEMS)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += item.bytes.length;
  }
  if (batch.length > 0) yield batch;
}

/** Stores those that are not held yet (or no longer sound), and notes all that are new to the lineage as uploaded by it. */
export async function storeItems(core: VaultCore, uploads: PendingUploads, lineageId: LineageId, items: readonly PutItem[]): Promise<void> {
  const ids = items.map(({ id }) => id);
  const rows = await core.catalog.getMany(ids.map((id) => keys.item(id)));
  const fresh = new Map<string, PutItem>();
  for (const [index, item] of items.entries()) {
    if (rows[index] === undefined || core.isDamaged(item.id)) fresh.set(Buffer.from(item.id).toString('latin1'), item);
  }
  if (fresh.size > 0) await core.appendItems([...fresh.values()]);
  const owned = await core.owned(lineageId, ids);
  uploads.add(
    lineageId,
    ids.filter((_, index) => owned[index] === undefined),
  );
  if (uploads.isFull(lineageId)) await uploads.appendTo(core, lineageId);
}
