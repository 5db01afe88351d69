import { familyRange, numberInKey } from './index-keys.ts';
import { addClassBytes } from './index-state.ts';
import type { IndexStore } from './index-store.ts';
import { decodeCommitPlace, decodeUnsigned, encodeCommitPlace, encodeUnsigned } from './places.ts';
import type { RecordLog } from './record-log.ts';

/** Changes that are written at once. */
const UPGRADE_BATCH = 2000;

/**
 * Brings an index of the first release to what a rebuild would make of the same logs: everything it
 * counted was of one class. Not a rebuild, which would forget known files whose segments are gone.
 * May be repeated after a crash.
 */
export async function upgradeIndex(index: IndexStore, chain: RecordLog): Promise<void> {
  const { state } = index;
  const classBytes = new Map<string, number>();
  const count = (name: string, bytes: number): void => {
    classBytes.set(name, (classBytes.get(name) ?? 0) + bytes);
  };
  const put = async (key: Uint8Array, value: Uint8Array): Promise<void> => {
    index.put(key, value);
    if (index.staged >= UPGRADE_BATCH) await index.write();
  };
  for await (const [key, value] of index.iterate(familyRange('q'))) {
    const entry = decodeUnsigned(value);
    count(entry.class, entry.itemBytes);
    await put(key, encodeUnsigned(entry));
  }
  let signedBytes = 0;
  for await (const [key, value] of index.iterate(familyRange('c'))) {
    const place = decodeCommitPlace(value);
    const recordBytes = (await chain.read(place.at)).header.length;
    const classes = place.classes.filter(({ bytes }) => bytes > 0);
    if (numberInKey(key) > state.receiptedSequence) {
      signedBytes += recordBytes;
      for (const { name, bytes } of classes) count(name, bytes);
    }
    await put(key, encodeCommitPlace({ ...place, recordBytes, classes }));
  }
  state.classBytes = {};
  for (const [name, bytes] of classBytes) addClassBytes(state, name, bytes);
  state.signedBytes = signedBytes;
  state.layout = 2;
  await index.write({ sync: true });
}
