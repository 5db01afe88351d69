import { asChunkId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { LayoutReader, LayoutWriter } from '../log/codec.ts';
import { QueueError } from '../log/errors.ts';
import { numberKey } from '../log/index-rows.ts';
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

/**
 * So many files can be continued at a time; a state has some 10 KB. Two paths that share a place
 * take turns: the other is read whole.
 */
const GROWTH_SLOTS = 4096;
const NAME_BYTES = 32;

/** Where the state of a path is kept, and what it begins with. */
export function growthSlot(path: Uint8Array): {
  readonly key: Uint8Array;
  readonly name: Uint8Array;
} {
  const name = sha256(path);
  const slot =
    new DataView(name.buffer, name.byteOffset, name.byteLength).getUint32(0) % GROWTH_SLOTS;
  return { key: numberKey('g', slot), name };
}

/** The state in a place, if it is this path's. */
export function growthIn(value: Uint8Array | undefined, name: Uint8Array): Uint8Array | undefined {
  if (value === undefined || Buffer.compare(value.subarray(0, NAME_BYTES), name) !== 0)
    return undefined;
  return new Uint8Array(value.subarray(NAME_BYTES));
}
