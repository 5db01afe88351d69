import { familyFrom, numberInKey, numberKey, rawKey } from '../log/index-keys.ts';
import type { IndexStore } from '../log/index-store.ts';
import type { QueueFiles } from '../log/open-queue.ts';
import { decodeCommitPlace, decodeItemPlace } from '../log/places.ts';

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

/** Bytes of segments below `heldFrom`: they hold nothing that is not receipted. */
export function keptBytesBelow(files: QueueFiles, heldFrom: number): number {
  return keptSegments(files, heldFrom).reduce((sum, { size }) => sum + size, 0);
}

/**
 * Segments below `heldFrom` hold nothing that is not receipted; they are kept to be sent again if
 * the collector loses it, the oldest dropped first when together they are above the budget.
 */
export async function dropKeptSegments(
  files: QueueFiles,
  heldFrom: number,
  budgetBytes: number,
): Promise<void> {
  const kept = keptSegments(files, heldFrom);
  let total = kept.reduce((sum, { size }) => sum + size, 0);
  for (const { number, size } of kept) {
    if (total <= budgetBytes) return;
    total -= size;
    await dropSegment(files, number);
  }
}

/** Drops the oldest kept segment; false when there is none. */
export async function dropOldestKept(files: QueueFiles, heldFrom: number): Promise<boolean> {
  const [oldest] = keptSegments(files, heldFrom);
  if (oldest === undefined) return false;
  await dropSegment(files, oldest.number);
  return true;
}

/**
 * The index forgets a segment's items durably before the file goes, so that no crash leaves it
 * naming what is not there.
 */
async function dropSegment({ segments, index }: QueueFiles, number: number): Promise<void> {
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
    if (kind !== 'chunk' && kind !== 'page') continue;
    keys.push(rawKey('i', digest));
    if (keys.length >= FORGOTTEN_AT_ONCE) await forget();
  }
  await forget();
  await index.write({ sync: true });
  await segments.drop(number);
}

function keptSegments(
  { segments }: QueueFiles,
  heldFrom: number,
): readonly { readonly number: number; readonly size: number }[] {
  const below = Math.min(heldFrom, segments.activeNumber);
  return segments.files().filter(({ number }) => number < below);
}
