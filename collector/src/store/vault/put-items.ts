import {
  decodePage,
  FormatError,
  type LineageId,
  MAX_SEALED_CHUNK_BYTES,
  type StoredItem,
  splitItems,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { digestAt, type Hasher, type Span } from '@aliquot/shared/hashing/hasher';
import { isHeld } from '../catalog/catalog-rows.ts';
import { idName } from '../catalog/reference-walk.ts';
import { StoreError } from '../errors.ts';
import type { PutItem } from '../vault-records.ts';
import type { VaultCore } from './core.ts';
import type { PendingUploads } from './pending-uploads.ts';

/**
 * Bytes put in one go: a fraction of a pack, so that a batch always fits a fresh one.
 */
const BATCH_BYTES = 8 * 1024 * 1024;
/** Items put in one go: bounds the time that other agents wait for the queue. */
const BATCH_ITEMS = 1024;

/**
 * Throws `STORE_BAD_ITEM` unless the bytes, whose SHA-256 is `digest`, are what id and kind say.
 */
export function checkItem({ id, kind, bytes }: PutItem, digest: Uint8Array): void {
  const refuse = (why: string, cause?: unknown): never => {
    throw new StoreError(
      'STORE_BAD_ITEM',
      `${kind} ${Buffer.from(id).toString('hex').slice(0, 16)}: ${why}`,
      { cause },
    );
  };
  if (bytes.length === 0 || bytes.length > MAX_SEALED_CHUNK_BYTES)
    refuse(`${bytes.length} bytes are not a sealed ${kind}`);
  if (!equalBytes(digest, id)) refuse('its bytes do not have that id');
  if (kind === 'chunk') return;
  try {
    decodePage(bytes);
  } catch (error) {
    if (error instanceof FormatError) refuse(error.message, error);
    throw error;
  }
}

/**
 * The items of one body, in order and proved, as views of `bytes`. The body is taken over: these
 * bytes are what the hasher gave back.
 */
export async function checkedItems(
  hasher: Hasher,
  items: readonly StoredItem[],
  body: Uint8Array,
): Promise<{ readonly items: readonly PutItem[]; readonly bytes: Uint8Array }> {
  const spans: Span[] = [];
  let offset = 0;
  for (const { size } of items) {
    spans.push({ offset, length: size });
    offset += size;
  }
  const hashed = await hasher.hash(body, spans);
  const put = [...splitItems(items, hashed.bytes)];
  for (const [index, item] of put.entries()) checkItem(item, digestAt(hashed, index));
  return { items: put, bytes: hashed.bytes };
}

/** The items in runs that are put in one go. */
export function* batches(items: readonly PutItem[]): Generator<PutItem[]> {
  let batch: PutItem[] = [];
  let bytes = 0;
  for (const item of items) {
    if (
      batch.length > 0 &&
      (bytes + item.bytes.length > BATCH_BYTES || batch.length >= BATCH_ITEMS)
    ) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += item.bytes.length;
  }
  if (batch.length > 0) yield batch;
}

/**
 * Stores those that are not held yet (or no longer sound), and notes all that are new to the
 * lineage as uploaded by it.
 */
export async function storeItems(
  core: VaultCore,
  uploads: PendingUploads,
  lineageId: LineageId,
  items: readonly PutItem[],
): Promise<void> {
  const ids = items.map(({ id }) => id);
  const rows = await core.items.rows(ids);
  const fresh = new Map<string, PutItem>();
  for (const [index, item] of items.entries()) {
    if (!isHeld(rows[index]) || core.items.isDamaged(item.id)) fresh.set(idName(item.id), item);
  }
  if (fresh.size > 0) await core.items.put([...fresh.values()]);
  const owned = await core.items.owned(lineageId, ids);
  uploads.add(
    lineageId,
    ids.filter((_, index) => owned[index] === undefined),
    core.items.puts,
  );
}
