import { SUMMARY_MARK_BYTES, type VersionBlock } from '@aliquot/proto';
import type { CommitRows } from './rows.ts';
import { blockMarks, thingOf, wordsOf } from './summary.ts';

/**
 * The marks of a summary of which no row is left, because their content is lost: what its agent
 * declared so. Rows that are missing for another reason are not lost.
 */
export function lostMarks(rows: CommitRows): Uint8Array {
  if (rows.lacking === 0) return new Uint8Array(0);
  const marksOf = mapBlocks();
  const left: Uint8Array[] = [];
  rows.each((block, place) => left.push(marksOf(block, place)));
  const kept = new Set([...wordsOf(left)].map(thingOf));
  rows.eachMissing(({ high, low }) => {
    kept.add(thingOf((BigInt(high) << 32n) | BigInt(low)));
  });
  const lost = wordsOf([rows.summary]).filter((mark) => !kept.has(thingOf(mark)));
  const bytes = new DataView(new ArrayBuffer(lost.length * SUMMARY_MARK_BYTES));
  for (const [at, mark] of lost.entries()) bytes.setBigUint64(at * SUMMARY_MARK_BYTES, mark);
  return new Uint8Array(bytes.buffer);
}

/** The mark of a row; those of a block are made once while its rows come in a row. */
function mapBlocks(): (block: VersionBlock, place: number) => Uint8Array {
  let [last, marks]: [VersionBlock | undefined, Uint8Array] = [undefined, new Uint8Array(0)];
  return (block, place) => {
    if (block !== last) [last, marks] = [block, blockMarks(block)];
    return marks.subarray(place * SUMMARY_MARK_BYTES, (place + 1) * SUMMARY_MARK_BYTES);
  };
}
