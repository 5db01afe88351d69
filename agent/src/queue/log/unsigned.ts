import {
  decodeCommitPlace,
  decodeUnsigned,
  numberInKey,
  numberKey,
  type UnsignedVersions,
  unsignedEntries,
} from './index-rows.ts';
import type { IndexStore } from './index-store.ts';
import { MOST_ROWS } from './payloads.ts';

/*
 * Unsigned versions stand in the index by the first of their record.
 */

/** Where the rows begin among which the one with this version must be. */
export function unsignedFrom(entry: number): Uint8Array {
  return numberKey('q', Math.max(0, entry - MOST_ROWS + 1));
}

/** The record of an unsigned version; undefined when it waits no more, or is lost. */
export async function unsignedWith(
  index: IndexStore,
  entry: number,
): Promise<{ readonly first: number; readonly versions: UnsignedVersions } | undefined> {
  let first: number | undefined;
  for await (const [key] of index.iterate({
    gte: unsignedFrom(entry),
    lt: numberKey('q', entry + 1),
  }))
    first = numberInKey(key);
  // What was staged since counts.
  const value = first === undefined ? undefined : await index.get(numberKey('q', first));
  if (first === undefined || value === undefined) return undefined;
  const versions = decodeUnsigned(value);
  return unsignedEntries(first, versions).includes(entry) ? { first, versions } : undefined;
}

/** When the oldest version without a receipt was captured. */
export async function oldestMsIn(index: IndexStore): Promise<number | undefined> {
  const signed = await index.get(numberKey('c', index.state.receiptedSequence + 1));
  if (signed !== undefined) return decodeCommitPlace(signed).oldestMs;
  for await (const [, value] of index.unsigned({ limit: 1 }))
    return decodeUnsigned(value).capturedAtMs;
  return undefined;
}
