import { asChunkId } from '@aliquot/proto';
import { LayoutReader, LayoutWriter } from '../log/codec.ts';
import { QueueError } from '../log/errors.ts';
import type { CachedChunk } from './ledger.ts';

/** Bytes of an encoded cache value: layout, id, masked key, plain size, epoch. */
export const CACHED_BYTES = 1 + 32 + 32 + 8 + 4;
export const CACHE_INDEX_BYTES = 32;

export function encodeCached(chunk: CachedChunk): Uint8Array {
  if (chunk.maskedKey.length !== 32)
    throw new QueueError('QUEUE_REFUSED', 'a masked key has 32 bytes');
  return new LayoutWriter()
    .u8(1)
    .raw(chunk.id)
    .raw(chunk.maskedKey)
    .u53(chunk.plainSize)
    .u32(chunk.epoch)
    .done();
}

/** Undefined for anything unreadable: a cache may forget. */
export function decodeCached(bytes: Uint8Array): CachedChunk | undefined {
  if (bytes.length !== CACHED_BYTES || bytes[0] !== 1) return undefined;
  const reader = new LayoutReader(bytes.subarray(1), 'cached chunk');
  return {
    id: asChunkId(reader.raw(32)),
    maskedKey: reader.raw(32),
    plainSize: reader.u53(),
    epoch: reader.u32(),
  };
}
