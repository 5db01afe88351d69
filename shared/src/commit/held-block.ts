/**
 * FORMAT.md, "StoredCommit": rows of a commit that are not left in its blocks, because they were
 * dropped and thinned away, or purged.
 */
import {
  type BlockFacts,
  type CommitBlock,
  decodeRowFacts,
  FormatError,
  ID_BYTES,
  SUMMARY_MARK_BYTES,
  type VersionBlock,
} from '@aliquot/proto';
import { equalBytes, labelled, sha256 } from '../crypto/primitives.ts';
import { blockRowsHash } from './block-open.ts';
import { blockMarks } from './summary.ts';

/** A block of a commit, taken apart. */
export interface HeldBlock extends CommitBlock {
  readonly rows: VersionBlock;
  /** The slot of its first row. */
  readonly from: number;
}

const BLOCK_DIGEST = 'aliquot/v1/commit-block';
const NOTHING: Uint8Array = new Uint8Array(0);

/** What a commit's signature covers of a block: of the one that was signed, whatever is left. */
export function blockDigest({ block, listBox, readBox, formerDigest }: CommitBlock): Uint8Array {
  return formerDigest ?? sha256(labelled(BLOCK_DIGEST), listBox, readBox, block);
}

/**
 * The marks of all rows that a block had when it was signed, which the signature covers: whatever
 * is left of it, nobody can say that another row went.
 */
export function signedMarks({
  rows,
  formerMarks,
}: Pick<HeldBlock, 'rows' | 'formerMarks'>): Uint8Array {
  return formerMarks ?? blockMarks(rows);
}

/** What a block says of the one that was signed, when its rows go, or some of them. */
export function formerOf(block: HeldBlock): Pick<CommitBlock, 'formerDigest' | 'formerMarks'> {
  return { formerDigest: blockDigest(block), formerMarks: signedMarks(block) };
}

/** A block of which nothing is left, as readers see it: no row of it is there. */
export function noRowsOf({
  formerMarks = NOTHING,
}: Pick<CommitBlock, 'formerMarks'>): VersionBlock {
  const count = formerMarks.length / SUMMARY_MARK_BYTES;
  return {
    ...{ bytes: NOTHING, count, isPurged: true, purged: [], numbers: new Uint16Array(0) },
    ...{ clear: NOTHING, list: NOTHING, read: NOTHING, sources: [], slabs: [], results: [] },
    ...{ kinds: NOTHING, sourceOf: NOTHING, ids: NOTHING, sizes: new Float64Array(0) },
    ...{ capturedMs: new Float64Array(0), slabOf: new Int16Array(0), pieceOf: NOTHING },
    ...{ resultOf: new Int16Array(0), references: new Map(), resultRows: new Map() },
  };
}

/** What stands in the place of a block that goes: all that the signature covers of it. */
export function goneOf(block: HeldBlock): CommitBlock {
  const { root, rows, gone } = block;
  return {
    ...{ block: NOTHING, root, listBox: NOTHING, readBox: NOTHING },
    ...formerOf(block),
    gone: gone ?? { rowsHash: blockRowsHash(rows) },
  };
}

/**
 * Blocks with the facts of rows that are not left in them, in the order of their numbers.
 *
 * @throws FormatError where facts are about rows that are there, or of another block.
 */
export function withFacts(
  blocks: readonly HeldBlock[],
  facts: readonly BlockFacts[],
): readonly HeldBlock[] {
  if (facts.length === 0) return blocks;
  const all = [...blocks];
  for (const { block: at, rows } of facts) {
    const held = all[at];
    const known = decodeRowFacts(rows);
    if (held === undefined || held.rows.count !== known.count)
      throw new FormatError('FORMAT_MALFORMED', 'a commit has facts of a block that it has not');
    all[at] = { ...held, rows: joined(held.rows, known) };
  }
  return all;
}

/** The rows of two parts of one block, by rising number. */
function joined(left: VersionBlock, facts: VersionBlock): VersionBlock {
  if (left.numbers.length === 0) return facts;
  const parts = [left, facts] as const;
  const rows = parts
    .flatMap((from, part) => [...from.numbers].map((number, place) => ({ number, part, place })))
    .sort((a, b) => a.number - b.number);
  if (rows.some(({ number }, at) => number === rows[at - 1]?.number))
    throw new FormatError('FORMAT_MALFORMED', 'a commit has facts of a row that it has');
  const column = <T>(of: (from: VersionBlock, place: number, part: number) => T): T[] =>
    rows.map(({ part, place }) => of(parts[part] as VersionBlock, place, part));
  const slabs = joinedTable(left.slabs, facts.slabs, ({ id }) => id);
  const results = joinedTable(left.results, facts.results, (id) => id);
  const indexIn = (
    { newPlaces }: { readonly newPlaces: readonly number[] },
    at: number | undefined,
    part: number,
  ): number => (part === 0 ? (at ?? -1) : (newPlaces[at ?? -1] ?? -1));
  const byPlace = <T>(of: (from: VersionBlock) => ReadonlyMap<number, T>): Map<number, T> => {
    const all = new Map<number, T>();
    for (const [at, { part, place }] of rows.entries()) {
      const value = of(parts[part] as VersionBlock).get(place);
      if (value !== undefined) all.set(at, value);
    }
    return all;
  };
  const ids = new Uint8Array(rows.length * ID_BYTES);
  for (const [at, { part, place }] of rows.entries())
    ids.set(idOf(parts[part] as VersionBlock, place), at * ID_BYTES);
  return {
    ...left,
    ids,
    numbers: Uint16Array.from(rows, ({ number }) => number),
    kinds: Uint8Array.from(column(({ kinds }, place) => kinds[place] ?? 0)),
    // Which source a row is of, its facts do not say.
    sourceOf: Uint8Array.from(column(({ sourceOf }, place) => sourceOf[place] ?? 0)),
    sizes: Float64Array.from(column(({ sizes }, place) => sizes[place] ?? 0)),
    capturedMs: Float64Array.from(column(({ capturedMs }, place) => capturedMs[place] ?? 0)),
    slabs: slabs.all,
    slabOf: Int16Array.from(
      column(({ slabOf }, place, part) => indexIn(slabs, slabOf[place], part)),
    ),
    pieceOf: Uint8Array.from(column(({ pieceOf }, place) => pieceOf[place] ?? 0)),
    results: results.all,
    resultOf: Int16Array.from(
      column(({ resultOf }, place, part) => indexIn(results, resultOf[place], part)),
    ),
    references: byPlace(({ references }) => references),
    resultRows: byPlace(({ resultRows }) => resultRows),
  };
}

/** Both tables in one, each id once, and where those of the second stand now. */
function joinedTable<T>(
  first: readonly T[],
  second: readonly T[],
  id: (one: T) => Uint8Array,
): { readonly all: readonly T[]; readonly newPlaces: readonly number[] } {
  const all = [...first];
  const newPlaces = second.map((one) => {
    const at = all.findIndex((known) => equalBytes(id(known), id(one)));
    return at >= 0 ? at : all.push(one) - 1;
  });
  return { all, newPlaces };
}

function idOf({ ids }: VersionBlock, place: number): Uint8Array {
  return ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES);
}
