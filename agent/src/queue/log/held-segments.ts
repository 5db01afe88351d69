import { isItem } from './formats.ts';
import {
  decodeCommitPlace,
  decodeItemPlace,
  familyFrom,
  numberInKey,
  numberKey,
  rawKey,
} from './index-rows.ts';
import type { IndexStore } from './index-store.ts';
import type { QueueFiles } from './open-queue.ts';

/** Places of items that the index is asked about at once. */
const FORGOTTEN_AT_ONCE = 1000;

/**
 * The oldest segment that an unreceipted version needs; `from`: none before is needed, or is there.
 */
export async function firstHeldSegment(index: IndexStore, from = 0): Promise<number | undefined> {
  const first = await index.firstKey(familyFrom('h', from));
  return first === undefined ? undefined : numberInKey(first);
}

/**
 * The lowest number under which a hold may stand: none that was ended is stepped over to find the
 * first. `oldest` is the first segment that is there. A commit that the collector lost again may
 * name one that was dropped since its receipt, and holds those after it.
 */
export async function lowestHold(index: IndexStore, oldest: number): Promise<number> {
  let lowest = oldest;
  const { receiptedSequence, chainHead } = index.state;
  for (
    let sequence = receiptedSequence + 1;
    sequence <= (chainHead?.sequence ?? 0);
    sequence += 1
  ) {
    const value = await index.get(numberKey('c', sequence));
    if (value !== undefined) lowest = Math.min(lowest, decodeCommitPlace(value).holdSegment);
  }
  return lowest;
}

/** Segments below `heldFrom`, oldest first: they hold nothing that is not receipted. */
export function keptSegments(
  { segments }: QueueFiles,
  heldFrom: number,
): readonly { readonly number: number; readonly size: number }[] {
  const below = Math.min(heldFrom, segments.activeNumber);
  return segments.files().filter(({ number }) => number < below);
}

/**
 * Drops a segment that nobody needs; everything must be flushed before. The index forgets its items
 * durably before the file goes, so that no crash leaves it naming what is not there.
 */
export async function dropSegment({ segments, index }: QueueFiles, number: number): Promise<void> {
  let keys: Uint8Array[] = [];
  const forget = async (): Promise<void> => {
    for (const [at, value] of (await index.getMany(keys)).entries()) {
      if (value !== undefined && decodeItemPlace(value).file === number)
        index.del(keys[at] as Uint8Array);
    }
    keys = [];
  };
  for await (const item of segments.scanFile(number, { take: () => 'skip' })) {
    if (item.type !== 'record') continue;
    const { kind, digest } = item.header;
    if (!isItem(kind)) continue;
    keys.push(rawKey('i', digest));
    if (keys.length >= FORGOTTEN_AT_ONCE) await forget();
  }
  await forget();
  await index.write({ sync: true });
  await segments.drop(number);
}
