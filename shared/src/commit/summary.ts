/**
 * SEALING.md, "Summary": which files and results a commit is about, in 8 bytes each. Whoever holds
 * the header has proof of it, and so of what is not in there, without the commit's rows.
 */
import { ID_BYTES, rowKind, SUMMARY_MARK_BYTES, type VersionBlock } from '@aliquot/proto';
import { labelled, sha256 } from '../crypto/primitives.ts';

const SUMMARY = 'aliquot/v1/commit-summary';

/** The two halves of a mark. */
export interface MarkWords {
  readonly high: number;
  readonly low: number;
}

/** The mark of the file, or of the result, whose id begins at a place; as when it is there. */
export function markOf(id: Uint8Array, at: number, isResult: boolean): MarkWords {
  const word = (from: number): number =>
    (((id[from] ?? 0) << 24) |
      ((id[from + 1] ?? 0) << 16) |
      ((id[from + 2] ?? 0) << 8) |
      (id[from + 3] ?? 0)) >>>
    0;
  return { high: word(at), low: ((word(at + 4) & ~KINDS) | (isResult ? RESULT : THERE)) >>> 0 };
}

/** What the two lowest bits of a mark say of its file, or that it is a result's. */
const THERE = 0;
const GONE = 1;
const RESULT = 2;
const KINDS = 3;

/** The mark at a place among others, as when its file is there, and the result's as it is. */
export function markAt(marks: Uint8Array, place: number): MarkWords {
  const at = place * SUMMARY_MARK_BYTES;
  const isResult = ((marks[at + SUMMARY_MARK_BYTES - 1] ?? 0) & KINDS) === RESULT;
  return markOf(marks, at, isResult);
}

/** The marks of the rows that are left of a block, in their order. */
export function blockMarks(block: VersionBlock): Uint8Array {
  const marks = new Uint8Array(block.kinds.length * SUMMARY_MARK_BYTES);
  for (let place = 0; place < block.kinds.length; place += 1) {
    const from = place * ID_BYTES;
    const at = place * SUMMARY_MARK_BYTES;
    marks.set(block.ids.subarray(from, from + SUMMARY_MARK_BYTES), at);
    const last = at + SUMMARY_MARK_BYTES - 1;
    const kind = rowKind(block, place);
    const bits = kind === 'gone' ? GONE : kind === 'result' ? RESULT : THERE;
    marks[last] = ((marks[last] ?? 0) & ~KINDS) | bits;
  }
  return marks;
}

/**
 * The summary of a commit from the marks of all its blocks: one for each file and each result, as
 * the last row about it says, rising.
 */
export function summaryOf(blocks: readonly Uint8Array[]): Uint8Array {
  const rows = wordsOf(blocks);
  const sorted = rows.slice().sort();
  const kept = new DataView(new ArrayBuffer(sorted.length * SUMMARY_MARK_BYTES));
  let count = 0;
  for (let at = 0; at < sorted.length; ) {
    let mark = sorted[at] ?? 0n;
    let next = at + 1;
    while (next < sorted.length && isSameThing(sorted[next] ?? 0n, mark)) next += 1;
    if (next > at + 1) mark = rows.findLast((row) => isSameThing(row, mark)) ?? mark;
    kept.setBigUint64(count * SUMMARY_MARK_BYTES, mark);
    count += 1;
    at = next;
  }
  return new Uint8Array(kept.buffer, 0, count * SUMMARY_MARK_BYTES);
}

export function summaryHash(summary: Uint8Array): Uint8Array {
  return sha256(labelled(SUMMARY), summary);
}

/** Marks one by one, those of all blocks behind each other. */
export function wordsOf(blocks: readonly Uint8Array[]): BigUint64Array {
  const bytes = blocks.reduce((sum, { length }) => sum + length, 0);
  const all = new BigUint64Array(bytes / SUMMARY_MARK_BYTES);
  let count = 0;
  for (const marks of blocks) {
    const view = new DataView(marks.buffer, marks.byteOffset, marks.length);
    for (let at = 0; at < marks.length; at += SUMMARY_MARK_BYTES)
      all[count++] = view.getBigUint64(at);
  }
  return all;
}

/** Two marks of one file, or of one result. Marks of one beginning stand in a row when sorted. */
function isSameThing(left: bigint, right: bigint): boolean {
  return thingOf(left) === thingOf(right);
}

/** A mark without what it says: which file, or which result, it is about. */
export function thingOf(mark: bigint): bigint {
  return mark & ~1n;
}
