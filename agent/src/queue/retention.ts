import { decodeItemPlace } from './apply.ts';
import { familyRange, numberInKey, rawKey } from './index-keys.ts';
import type { IndexStore } from './index-store.ts';
import type { QueueFiles } from './open-queue.ts';

/** The oldest segment that an unreceipted version needs. */
export async function firstHeldSegment(index: IndexStore): Promise<number | undefined> {
  const first = await index.firstKey(familyRange('h'));
  return first === undefined ? undefined : numberInKey(first);
}

/**
 * Segments below `heldFrom` hold nothing that is not receipted; they are kept to be sent again if the collector loses it,
 * the oldest dropped first when together they are above the budget.
 *
 * The index forgets a segment's items durably before the file goes, so that no crash leaves it naming what is not there.
 */
export async function dropKeptSegments(files: QueueFiles, heldFrom: number, budgetBytes: number): Promise<void> {
  const { segments, index } = files;
  const kept = segments.files().filter(({ number }) => number < heldFrom && number < segments.activeNumber);
  let total = kept.reduce((sum, { size }) => sum + size, 0);
  for (const { number, size } of kept) {
    if (total <= budgetBytes) return;
    total -= size;
    for await (const { header } of segments.headers(number)) {
      if (header.kind !== 'chunk' && header.kind !== 'page') continue;
      const key = rawKey('i', header.digest);
      const value = await index.get(key);
      if (value !== undefined && decodeItemPlace(value).file === number) index.del(key);
    }
    await index.write({ sync: true });
    await segments.drop(number);
  }
}
