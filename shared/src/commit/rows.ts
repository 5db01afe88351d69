import {
  type BlockFacts,
  type BlockRow,
  blockRow,
  blockRowCount,
  type CommitBlock,
  type CommitHash,
  type CommitHeader,
  decodeBlock,
  decodeCommitHeader,
  decodeSignedCommit,
  type Entry,
  FormatError,
  type ResultRow,
  type SignedCommit,
  SUMMARY_MARK_BYTES,
  type VersionBlock,
  type Wrap,
} from '@aliquot/proto';
import { labelled, sha256 } from '../crypto/primitives.ts';
import { type HeldBlock, noRowsOf, signedMarks, withFacts } from './held-block.ts';
import { type MarkWords, markAt, summaryOf } from './summary.ts';

export type { HeldBlock } from './held-block.ts';

const COMMIT_HASH = 'aliquot/v1/commit-hash';

/**
 * The name of a commit: labelled SHA-256 of its header's exact bytes. The signature takes no part.
 */
export function commitHash(header: Uint8Array): CommitHash {
  return sha256(labelled(COMMIT_HASH), header) as CommitHash;
}

/** One version of a commit as far as it stands in clear; `slot` is its number there. */
export interface CommitRow {
  readonly slot: number;
  readonly entry: Entry;
}

/** Where a slot stands: the block by its index, and the row's place among those left in it. */
export interface SlotPlace {
  readonly index: number;
  readonly place: number;
}

/**
 * The versions of a commit, by slot: the rows of its blocks, counted through. The one way in which
 * readers see them. A block is taken apart when somebody asks for a row of it.
 */
export class CommitRows {
  readonly #commit: Pick<SignedCommit, 'blocks' | 'lacking'>;
  readonly #lacking: ReadonlySet<number>;
  readonly #facts: readonly BlockFacts[];
  #held: readonly HeldBlock[] | undefined;
  /** The slot of each block's first row. */
  #starts: readonly number[] | undefined;
  /** Those that were taken apart by themselves, by their index. */
  readonly #some = new Map<number, HeldBlock>();

  /** @param facts of rows that are not left, to be gone through like those that are. */
  constructor(commit: Pick<SignedCommit, 'blocks' | 'lacking'>, facts: readonly BlockFacts[] = []) {
    this.#commit = commit;
    this.#lacking = new Set(commit.lacking);
    this.#facts = facts;
  }

  /** The blocks in their order. @throws FormatError */
  get blocks(): readonly HeldBlock[] {
    this.#held ??= withFacts(heldBlocks(this.#commit.blocks), this.#facts);
    return this.#held;
  }

  /** Slots, also of what was purged or is lost. @throws FormatError */
  get count(): number {
    const last = this.blocks.at(-1);
    return last === undefined ? 0 : last.from + last.rows.count;
  }

  /** How many are purged, gone or lost. @throws FormatError */
  get lacking(): number {
    const gone = this.blocks.reduce((sum, { rows }) => sum + rows.count - rows.numbers.length, 0);
    return gone + this.#lacking.size;
  }

  /** What the header's summary hash covers, whatever rows are left. @throws FormatError */
  get summary(): Uint8Array {
    return summaryOf(this.blocks.map(signedMarks));
  }

  /** The same as it was signed: rows of lost versions stand in their blocks. */
  get asSigned(): CommitRows {
    const { blocks } = this.#commit;
    return this.#lacking.size === 0 ? this : new CommitRows({ blocks, lacking: [] }, this.#facts);
  }

  /** Undefined when it was purged, is lost, never was, or is a result's. @throws FormatError */
  entry(slot: number): Entry | undefined {
    const row = this.#row(slot);
    return row?.kind === 'result' ? undefined : row;
  }

  /**
   * Shows each row that is there by its columns, in the order of the slots: where a commit is
   * looked at whole, values of its own for each row would cost more than the rest. @throws
   * FormatError
   */
  each(visit: (block: VersionBlock, place: number, slot: number) => void): void {
    const lost = this.#lacking.size > 0;
    for (const { rows, from } of this.blocks)
      for (let place = 0; place < rows.kinds.length; place += 1) {
        const slot = from + (rows.numbers[place] ?? 0);
        if (!lost || !this.#lacking.has(slot)) visit(rows, place, slot);
      }
  }

  /**
   * Shows what each row was about that is not left in its block, though nobody declared it lost; in
   * the order of the slots. @throws FormatError
   */
  eachMissing(visit: (mark: MarkWords, slot: number) => void): void {
    for (const { rows, from, formerMarks } of this.blocks) {
      if (formerMarks === undefined) continue;
      const left = new Set(rows.numbers);
      for (let number = 0; number < rows.count; number += 1)
        if (!left.has(number) && !this.#lacking.has(from + number))
          visit(markAt(formerMarks, number), from + number);
    }
  }

  /** Undefined when it was purged, is lost, never was, or is a file's. @throws FormatError */
  result(slot: number): ResultRow | undefined {
    const row = this.#row(slot);
    return row?.kind === 'result' ? row : undefined;
  }

  /** Shows one row by its columns, as `each` does, where it is there. @throws FormatError */
  show(slot: number, visit: (block: VersionBlock, place: number, slot: number) => void): void {
    const at = this.placeOf(slot);
    const block = at === undefined ? undefined : this.#blockAt(at.index);
    if (at !== undefined && block !== undefined) visit(block.rows, at.place, slot);
  }

  #row(slot: number): BlockRow | undefined {
    const at = this.placeOf(slot);
    const block = at === undefined ? undefined : this.#blockAt(at.index);
    return at === undefined || block === undefined ? undefined : blockRow(block.rows, at.place);
  }

  /** Undefined where there is no version. @throws FormatError */
  placeOf(slot: number): SlotPlace | undefined {
    if (this.#lacking.has(slot)) return undefined;
    const index = this.#indexOf(slot);
    const block = this.#blockAt(index);
    if (block === undefined) return undefined;
    const number = slot - block.from;
    if (!block.rows.isPurged)
      return number < block.rows.count ? { index, place: number } : undefined;
    const place = block.rows.numbers.indexOf(number);
    return place < 0 ? undefined : { index, place };
  }

  /** The block that begins at or before a slot. */
  #indexOf(slot: number): number {
    this.#starts ??= startsOf(this.#commit.blocks);
    const starts = this.#starts;
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((starts[middle] ?? 0) <= slot) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** One block; what others say is not looked at for it. */
  #blockAt(index: number): HeldBlock | undefined {
    if (this.#held !== undefined || this.#facts.length > 0) return this.blocks[index];
    const [block, from] = [this.#commit.blocks[index], this.#starts?.[index]];
    if (block === undefined || from === undefined) return undefined;
    const known = this.#some.get(index);
    const held = known ?? heldBlock(block, from);
    this.#some.set(index, held);
    return held;
  }
}

function startsOf(blocks: readonly CommitBlock[]): number[] {
  let from = 0;
  return blocks.map((block) => {
    const start = from;
    from += block.gone === undefined ? blockRowCount(block.block) : noRowsOf(block).count;
    return start;
  });
}

function heldBlocks(blocks: readonly CommitBlock[]): HeldBlock[] {
  let from = 0;
  return blocks.map((block) => {
    const held = heldBlock(block, from);
    from += held.rows.count;
    return held;
  });
}

function heldBlock(block: CommitBlock, from: number): HeldBlock {
  const rows = block.gone === undefined ? decodeBlock(block.block) : noRowsOf(block);
  if (rows.isPurged !== (block.formerDigest !== undefined))
    throw new FormatError('FORMAT_MALFORMED', 'a commit has a purged block without its digest');
  const marks = block.formerMarks?.length;
  if (marks !== undefined && marks !== SUMMARY_MARK_BYTES * rows.count)
    throw new FormatError('FORMAT_MALFORMED', 'a commit has a block with marks of other rows');
  return { ...block, rows, from };
}

/** Those of files that are there, in their order. @throws FormatError */
export function* rowsIn(rows: CommitRows): Generator<CommitRow, void, void> {
  for (let slot = 0; slot < rows.count; slot += 1) {
    const entry = rows.entry(slot);
    if (entry !== undefined) yield { slot, entry };
  }
}

/** The rows of results by their slots, in their order. @throws FormatError */
export function resultsBySlot(rows: CommitRows): ReadonlyMap<number, ResultRow> {
  const results = new Map<number, ResultRow>();
  for (const { rows: block, from } of rows.blocks)
    for (const place of block.resultRows.keys()) {
      const slot = from + (block.numbers[place] ?? 0);
      const row = rows.result(slot);
      if (row !== undefined) results.set(slot, row);
    }
  return results;
}

/** A commit taken apart. */
export interface ReadCommit {
  readonly header: CommitHeader;
  readonly hash: CommitHash;
  readonly wraps: readonly Wrap[];
  readonly rows: CommitRows;
  /** Versions that the agent declared lost when it sent it. */
  readonly lostVersions: number;
}

/**
 * A commit from the own store or chain log, or one whose word is only a hint: nothing is verified.
 *
 * @param facts of rows that are not left in it, where they are to be gone through as well.
 * @throws FormatError
 */
export function readCommit(bytes: Uint8Array, facts: readonly BlockFacts[] = []): ReadCommit {
  const commit = decodeSignedCommit(bytes);
  const { wraps } = commit;
  const header = decodeCommitHeader(commit.header);
  const rows = new CommitRows(commit, facts);
  const lostVersions = lostIn(commit, header);
  return { header, hash: commitHash(commit.header), wraps, rows, lostVersions };
}

/** How many versions of a commit its agent declared lost. */
export function lostIn(commit: SignedCommit, { entryCount }: CommitHeader): number {
  return commit.headerOnly && commit.lossSignature !== undefined
    ? entryCount
    : commit.lacking.length;
}
