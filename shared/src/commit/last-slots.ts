import { ID_BYTES, rowKind } from '@aliquot/proto';
import type { CommitRows } from './rows.ts';
import { type MarkWords, markOf } from './summary.ts';

/**
 * The last slot of each file and result in a commit, by its mark's name. Rows that are not left in
 * it count, or an older one would pass for the newest without them. @throws FormatError
 */
export function lastSlots(rows: CommitRows): ReadonlyMap<string, number> {
  const last = new Map<string, number>();
  const enter = (mark: MarkWords, slot: number): void => {
    const name = markName(mark);
    last.set(name, Math.max(slot, last.get(name) ?? slot));
  };
  rows.each((block, place, slot) => {
    enter(markOf(block.ids, ID_BYTES * place, rowKind(block, place) === 'result'), slot);
  });
  rows.eachMissing(enter);
  return last;
}

/** A mark as a word, to look it up by. */
export function markName({ high, low }: MarkWords): string {
  return `${high} ${low}`;
}
