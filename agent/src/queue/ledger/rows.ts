import { asChunkId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { LayoutReader } from '../log/codec.ts';
import { QueueError } from '../log/errors.ts';
import { numberKey } from '../log/index-rows.ts';
import type { CachedChunk } from './ledger.ts';

/** Bytes of an encoded cache value: layout, id, masked key, plain size, epoch. */
const CACHED_BYTES = 1 + 32 + 32 + 8 + 4;
const CACHE_INDEX_BYTES = 32;
const PAIR_BYTES = CACHE_INDEX_BYTES + CACHED_BYTES;

/** Cache indexes that stand one behind the other. */
export function cacheIndexes(joined: Uint8Array): Uint8Array[] {
  return Array.from({ length: joined.length / CACHE_INDEX_BYTES }, (_, at) =>
    joined.subarray(at * CACHE_INDEX_BYTES, (at + 1) * CACHE_INDEX_BYTES),
  );
}

/** What the cache is to remember, each behind its index: what `Capture.cachePut` takes. */
export function encodeCached(
  chunks: readonly { readonly index: Uint8Array; readonly chunk: CachedChunk }[],
): Uint8Array {
  const pairs = new Uint8Array(PAIR_BYTES * chunks.length);
  const numbers = new DataView(pairs.buffer);
  for (const [number, { index, chunk }] of chunks.entries()) {
    if (index.length !== CACHE_INDEX_BYTES || chunk.maskedKey.length !== 32)
      throw new QueueError('QUEUE_REFUSED', 'a cache index and a masked key have 32 bytes');
    const at = PAIR_BYTES * number;
    pairs.set(index, at);
    pairs[at + 32] = 1;
    pairs.set(chunk.id, at + 33);
    pairs.set(chunk.maskedKey, at + 65);
    numbers.setBigUint64(at + 97, BigInt(chunk.plainSize));
    numbers.setUint32(at + 105, chunk.epoch);
  }
  return pairs;
}

/** The pairs of `encodeCached`, as rows. */
export function* cachedRows(
  pairs: Uint8Array,
): Generator<{ readonly index: Uint8Array; readonly value: Uint8Array }> {
  for (let at = 0; at < pairs.length; at += PAIR_BYTES)
    yield {
      index: pairs.subarray(at, at + CACHE_INDEX_BYTES),
      value: pairs.subarray(at + CACHE_INDEX_BYTES, at + PAIR_BYTES),
    };
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
