import { asChunkId, type ChunkId, type Content } from '@aliquot/proto';
import { unwritten } from '@aliquot/shared/crypto/bytes';
import type { CaptureResult, CaptureWindow } from './window.ts';

/**
 * Sealed items from here on that own their memory are handed over without a copy; smaller ones
 * share a buffer, for a transfer costs 20 µs.
 */
const OWN_FROM_BYTES = 64 << 10;

/**
 * Byte strings one behind the other in one buffer: the other thread then makes one buffer of all of
 * them, instead of one of each.
 */
class Gathered {
  readonly bytes: Uint8Array;
  #used = 0;

  constructor(length: number) {
    this.bytes = unwritten(length);
  }

  add(part: Uint8Array): Uint8Array {
    this.bytes.set(part, this.#used);
    this.#used += part.length;
    return this.bytes.subarray(this.#used - part.length, this.#used);
  }

  addId(id: ChunkId): ChunkId {
    return asChunkId(this.add(id));
  }
}

/**
 * The same window over a few buffers that may all be handed over: the small sealed items in one;
 * ids, hashes and keys in another, because they are remembered for longer.
 */
export function packWindow(window: CaptureWindow): {
  readonly packed: CaptureWindow;
  readonly transfer: ArrayBuffer[];
} {
  const { items, cached, results } = window;
  const owned = items.map(
    ({ sealed }) => sealed.length >= OWN_FROM_BYTES && sealed.length === sealed.buffer.byteLength,
  );
  const sealedItems = new Gathered(
    items.reduce((sum, { sealed }, at) => sum + (owned[at] === true ? 0 : sealed.length), 0),
  );
  const names = new Gathered(namesLength(window));
  const transfer = [sealedItems.bytes.buffer, names.bytes.buffer] as ArrayBuffer[];
  const packed: CaptureWindow = {
    ...window,
    items: items.map((item, at) => {
      const own = owned[at] === true;
      if (own) transfer.push(item.sealed.buffer as ArrayBuffer);
      return {
        ...item,
        id: names.addId(item.id),
        sealed: own ? item.sealed : sealedItems.add(item.sealed),
      };
    }),
    cached: cached.map(({ attempt, job, index, chunk }) => ({
      ...{ attempt, job, index: names.add(index) },
      chunk: { ...chunk, id: names.addId(chunk.id), maskedKey: names.add(chunk.maskedKey) },
    })),
    results: results.map((result) => packResult(result, names)),
  };
  return { packed, transfer };
}

function packResult(result: CaptureResult, names: Gathered): CaptureResult {
  if (result.type !== 'captured') return result;
  const content: Content = {
    ...result.content,
    refs: result.content.refs.map((ref) => ({ ...ref, id: names.addId(ref.id) })),
  };
  return {
    ...result,
    sha256: names.add(result.sha256),
    content,
    keys: result.keys.map((key) => names.add(key)),
  };
}

function namesLength({ items, cached, results }: CaptureWindow): number {
  let length = items.reduce((sum, { id }) => sum + id.length, 0);
  for (const { index, chunk } of cached)
    length += index.length + chunk.id.length + chunk.maskedKey.length;
  for (const result of results) {
    if (result.type !== 'captured') continue;
    length += result.sha256.length;
    for (const { id } of result.content.refs) length += id.length;
    for (const key of result.keys) length += key.length;
  }
  return length;
}
