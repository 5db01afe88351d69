/**
 * SEALING.md, "Version block", "Grant": one row with all that proves and opens it, and nothing that
 * opens another.
 */
import type { BlockRow, ListRow, ReadPart } from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { pathTo, rootByPath } from '../log/hashing.ts';
import { clearHashOf, leafOf } from './block-leaf.ts';
import { blockHashes, type OpenBlock, openRow } from './block-open.ts';
import { CommitError } from './errors.ts';

/** Where a row stands: in its block by number, and its block in the commit. */
export interface ProofPlace {
  readonly number: number;
  readonly count: number;
  readonly block: number;
  readonly blocks: number;
}

/**
 * One version by value, as it is sealed to somebody who shall have it. Its keys open its own chunks
 * or its own piece of a slab; no key of the block, the slab or the commit is in it.
 */
export interface RowProof extends ListRow {
  readonly row: BlockRow;
  readonly read: ReadPart | undefined;
  readonly salt: Uint8Array;
  readonly place: ProofPlace;
  /** From the row's leaf to the root of its block, then to the entries root. */
  readonly path: readonly Uint8Array[];
  readonly blockPath: readonly Uint8Array[];
}

/**
 * The proof of the row at a place of an open block.
 *
 * @param roots The roots of all blocks of the commit, in order. Seam: for grants.
 */
export function proveRow(
  open: OpenBlock,
  place: number,
  roots: readonly Uint8Array[],
  blockIndex: number,
): RowProof {
  const { leaves } = blockHashes(open.block, open.names, open.read);
  const number = open.block.numbers[place] as number;
  return {
    ...openRow(open, place),
    salt: open.read.salt(place).slice(),
    place: { number, count: leaves.length, block: blockIndex, blocks: roots.length },
    path: pathTo(leaves, number),
    blockPath: pathTo(roots, blockIndex),
  };
}

/**
 * Checks a proof against the entries root of a commit whose signature holds: this very version was
 * signed. Its content proves itself by the SHA-256 that the leaf covers. Seam: for grants.
 *
 * @throws CommitError `COMMIT_ENTRIES`.
 */
export function verifyRowProof(proof: RowProof, entriesRoot: Uint8Array): void {
  const { row, read, salt, place } = proof;
  const hash = read === undefined || read.sha256.length === 0 ? undefined : read.sha256;
  const leaf = leafOf(clearHashOf(row), salt, proof, hash);
  const root = rootByPath(leaf, place.number, place.count, proof.path);
  const whole =
    root === undefined ? undefined : rootByPath(root, place.block, place.blocks, proof.blockPath);
  if (whole === undefined || !equalBytes(whole, entriesRoot))
    throw new CommitError('COMMIT_ENTRIES', 'a granted version is not one that was signed');
}
