import { decodePage, FormatError, MAX_SEALED_CHUNK_BYTES } from '@aliquot/proto';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { StoreError } from './errors.ts';
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
