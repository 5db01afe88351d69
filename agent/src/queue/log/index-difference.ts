import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { firstHeldSegment } from './held-segments.ts';
import { decodeItemPlace, type Family, familyRange } from './index-rows.ts';
import type { IndexStore } from './index-store.ts';
import { decodeColumns } from './known-block.ts';

/**
 * Families that must be equal in a rebuilt index, and those of which it may hold less (their
 * segments are gone), as it may of known files.
 */
const exact: readonly Family[] = ['q', 'h', 'c', 'l', 'r', 's'];
const partial: readonly Family[] = ['p'];
/** Those which older members may change that only a segment that should be gone still has. */
const partialWithoutGap: readonly Family[] = ['o', 'R'];

/**
 * What differs between the queue's index and one built anew from the logs, named by its family;
 * undefined when nothing does. `gap`: a segment that should have been dropped is still there, so
 * the fresh one may know older states of files.
 */
export async function indexDifference(
  index: IndexStore,
  fresh: IndexStore,
  gap: boolean,
): Promise<string | undefined> {
  const items = await itemDifference(index, fresh);
  if (items !== undefined) return items;
  for (const family of exact) {
    const theirs = index.iterate(familyRange(family))[Symbol.asyncIterator]();
    for await (const [key, value] of fresh.iterate(familyRange(family))) {
      const other = await theirs.next();
      const same =
        other.done !== true && equalBytes(other.value[0], key) && equalBytes(other.value[1], value);
      if (!same) return `its part ${family} differs from segments and chain log`;
    }
    if ((await theirs.next()).done !== true)
      return `its part ${family} names what segments and chain log do not hold`;
  }
  for (const family of gap ? partial : [...partial, ...partialWithoutGap]) {
    for await (const [key, value] of fresh.iterate(familyRange(family))) {
      const other = await index.getWritten(key);
      if (other === undefined || !equalBytes(other, value))
        return `its part ${family} differs from the segments`;
    }
  }
  const known = await knownDifference(index, fresh, gap);
  if (known !== undefined) return known;
  const counters = ({ state }: IndexStore): string =>
    JSON.stringify([
      state.nextEntry,
      state.signedEntry,
      state.receiptedEntry,
      state.pendingEntries,
      state.pendingBytes,
      Object.entries(state.classBytes).sort(),
      state.signedBytes,
      state.chainHead,
      state.fork,
      state.receiptedSequence,
      state.lastReceipt,
      state.gcEpoch,
      state.referenceFiles,
      state.referenceBytes,
    ]);
  return counters(index) === counters(fresh)
    ? undefined
    : 'its counters differ from segments and chain log';
}

/** What differs in the known files: which of them share a block says nothing. */
async function knownDifference(
  index: IndexStore,
  fresh: IndexStore,
  gap: boolean,
): Promise<string | undefined> {
  const disorder = await index.known.disorder();
  if (disorder !== undefined) return `its part K is in disorder: ${disorder}`;
  const theirs = index.known.rows();
  try {
    let next = await theirs.next();
    for await (const mine of fresh.known.rows()) {
      while (next.done !== true && next.value.name < mine.name) next = await theirs.next();
      const other = next.done !== true && next.value.name === mine.name ? next.value : undefined;
      if (
        other !== undefined &&
        equalBytes(other.path, mine.path) &&
        equalBytes(other.columns, mine.columns)
      )
        continue;
      const isLater =
        other === undefined || decodeColumns(other).entry >= decodeColumns(mine).entry;
      if (!gap || !isLater) return 'its part K differs from the segments';
    }
  } finally {
    await theirs.return();
  }
  return undefined;
}

/**
 * What differs in the places of sealed items. A crash between forgetting a kept segment and
 * removing its file leaves items that only the file knows; nobody needs them, and the next start
 * removes the rest.
 */
async function itemDifference(index: IndexStore, fresh: IndexStore): Promise<string | undefined> {
  const differs = 'its part i differs from segments and chain log';
  const heldFrom = (await firstHeldSegment(index)) ?? Number.MAX_SAFE_INTEGER;
  const range = familyRange('i');
  const forgotten = new Set<number>();
  for await (const [key, value] of fresh.iterate(range)) {
    const other = await index.getWritten(key);
    const { file } = decodeItemPlace(value);
    if (other === undefined && file < heldFrom) forgotten.add(file);
    else if (other === undefined || !equalBytes(other, value)) return differs;
  }
  for await (const [key, value] of index.iterate(range)) {
    if ((await fresh.getWritten(key)) === undefined)
      return 'its part i names what segments and chain log do not hold';
    // A segment is forgotten as a whole.
    if (forgotten.has(decodeItemPlace(value).file)) return differs;
  }
  return undefined;
}
