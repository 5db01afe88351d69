import { decodeLogLeaf } from '@aliquot/proto';
import { keys } from '../../catalog/catalog-keys.ts';
import { read } from '../../catalog/row-codec.ts';
import {
  type EarlierVersion,
  type HeadRow,
  untilOf,
  type VersionPlace,
} from '../../catalog/version-rows.ts';
import type { VaultCore } from '../core.ts';
import { placeOf } from './file-facts.ts';
import { type DatedFacts, LOST, NONE, type VersionColumns } from './version-columns.ts';

/**
 * Enters what a version says of itself and of the one that it followed. `receivedMs` tells when the
 * commit of a leaf came.
 */
export async function link(
  columns: VersionColumns,
  version: VersionPlace,
  earlier: EarlierVersion,
  receivedMs: (leafIndex: number) => Promise<number>,
): Promise<void> {
  const [row, before] = [columns.rowOf(version), columns.rowOf(earlier)];
  if (row !== NONE) {
    columns.setTime(row, earlier.followedMs);
    columns.follow(row, before === NONE ? LOST : before);
  }
  if (before === NONE) return;
  columns.setTime(before, earlier.timeMs);
  // What took its place may have been dropped since.
  const { replacedBy = version } = earlier;
  const known = columns.rowOf(replacedBy);
  columns.replace(before, {
    untilMs: untilOf(earlier),
    replacedMs: known === NONE ? await receivedMs(replacedBy.leafIndex) : columns.receivedMs(known),
    replacedPlace: placeOf(replacedBy),
  });
}

/** When the leaves of a log came, by its catalog; remembers some thousands. */
export function receiptsIn({
  catalog,
  registry,
}: VaultCore): (leafIndex: number) => Promise<number> {
  let known = new Map<number, number>();
  return async (leafIndex) => {
    const before = known.get(leafIndex);
    if (before !== undefined) return before;
    const row = await catalog.get(keys.leaf(leafIndex));
    // Nothing is known to have come before a leaf that is not there.
    if (row === undefined) return Number.POSITIVE_INFINITY;
    const { timeMs } = decodeLogLeaf(read.leaf(row).bytes);
    if (known.size >= MOST_RECEIPTS) known = new Map();
    const receivedMs = registry.times.of(leafIndex, timeMs);
    known.set(leafIndex, receivedMs);
    return receivedMs;
  };
}

const MOST_RECEIPTS = 16_384;

/** The versions up to the newest, the oldest first; undefined where one of them is not in here. */
export function chainTo(columns: VersionColumns, head: HeadRow): DatedFacts[] | undefined {
  let row = columns.rowOf(head);
  if (row === NONE) return undefined;
  columns.setTime(row, head.timeMs);
  const chain: DatedFacts[] = [];
  for (; row !== NONE; row = columns.follows(row)) {
    if (row === LOST) return undefined;
    chain.push(columns.at(row));
  }
  return chain.reverse();
}
