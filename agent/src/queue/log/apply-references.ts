import type { FileReference } from '../queue.ts';
import { decodeReference, encodeReference } from './chain-payloads.ts';
import { numberedRawKey, rawKey } from './index-keys.ts';
import type { IndexStore } from './index-store.ts';

/** Stages a reference in both orders; an earlier one of the path goes. */
export async function applyReference(index: IndexStore, reference: FileReference): Promise<void> {
  await removeReference(index, reference.path);
  index.put(rawKey('r', reference.path), encodeReference(reference));
  index.put(numberedRawKey('s', reference.settledAtMs, reference.path), new Uint8Array());
  index.state.referenceFiles += 1;
  index.state.referenceBytes += reference.size;
}

/** Stages the removal of a path's reference; false when there is none. */
export async function removeReference(index: IndexStore, path: Uint8Array): Promise<boolean> {
  // Nearly always there is none at all, and then nobody waits for the disk.
  if (index.state.referenceFiles === 0) return false;
  const value = await index.get(rawKey('r', path));
  if (value === undefined) return false;
  const { size, settledAtMs } = decodeReference(value);
  index.del(rawKey('r', path));
  index.del(numberedRawKey('s', settledAtMs, path));
  index.state.referenceFiles -= 1;
  index.state.referenceBytes -= size;
  return true;
}
