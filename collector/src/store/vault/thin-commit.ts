import {
  type BlockFacts,
  type ChunkId,
  type CommitBlock,
  decodeBlock,
  decodeSignedCommit,
  encodeRowFacts,
  encodeSignedCommit,
  type StoredCommit,
} from '@aliquot/proto';
import { goneOf } from '@aliquot/shared/commit/held-block';
import { CommitRows } from '@aliquot/shared/commit/rows';

/** What becomes of blocks of a commit, by their numbers in it. */
export interface BlockChanges {
  /** Nothing of these is left but what the signature covers. */
  readonly gone: ReadonlySet<number>;
  /** These give way to others that hold fewer of their rows. */
  readonly replaced: ReadonlyMap<number, CommitBlock>;
}

/**
 * A commit as it stands in the history once some of its blocks are gone or replaced. Signature,
 * roots, receipt and leaf verify as before; of each row that is not left the facts stay from which
 * a replay makes the same catalog: which file or result, of what kind and size, captured when, and
 * which slab or chunk it had. Seam: for purges, and for the rewriting of the history.
 *
 * @param isNeeded whether any lineage still has a chunk. Of those that all have left nothing is
 *   said: naming one and leaving it again changes no row and no sum.
 * @throws FormatError
 */
export function thinned(
  stored: StoredCommit,
  { gone, replaced }: BlockChanges,
  isNeeded: (id: ChunkId) => boolean,
): StoredCommit {
  const commit = decodeSignedCommit(stored.commit);
  const left = new CommitRows(commit).blocks;
  const all = new CommitRows(commit, stored.facts).blocks;
  const facts: BlockFacts[] = [];
  const blocks = commit.blocks.map((block, at): CommitBlock => {
    const [held, known] = [left[at], all[at]];
    if (held === undefined || known === undefined) return block;
    const isGone = gone.has(at) || block.gone !== undefined;
    const after = isGone ? goneOf(held) : (replaced.get(at) ?? block);
    const numbers = isGone ? [] : after === block ? held.rows.numbers : numbersIn(after);
    const stays = new Set(numbers);
    const places = [...known.rows.numbers.keys()].filter((place) => {
      return !stays.has(known.rows.numbers[place] ?? 0);
    });
    if (places.length > 0)
      facts.push({ block: at, rows: encodeRowFacts(known.rows, places, isNeeded) });
    return after;
  });
  // Where no block is left there is nothing to open.
  const wraps = blocks.every((block) => block.gone !== undefined) ? [] : commit.wraps;
  const bytes = encodeSignedCommit({ ...commit, blocks, wraps });
  return { ...stored, commit: bytes, facts };
}

function numbersIn({ block }: CommitBlock): Uint16Array {
  return decodeBlock(block).numbers;
}
