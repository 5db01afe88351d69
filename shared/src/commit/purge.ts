/**
 * SEALING.md, "Version block", "Purge": a commit without some of its versions. Signature, roots and
 * the other rows stay what they were.
 */
import {
  type CommitBlock,
  decodeBlock,
  decodeSignedCommit,
  encodeSignedCommit,
} from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import type { Random } from '../ports.ts';
import { blockHashes, type OpenBlock, openBlock } from './block-open.ts';
import { withoutRows } from './block-purge.ts';
import type { BlockKeys } from './block-seal.ts';

import { CommitError } from './errors.ts';
import { formerOf, type HeldBlock } from './held-block.ts';
import { type CommitKeys, openBlockKey, sealBlockKey } from './keys.ts';
import type { ReadCommit } from './rows.ts';

/** What goes of a commit. */
export interface CommitPurge {
  readonly slots: ReadonlySet<number>;
  /** Whether a piece of a slab is purged: then no key of the whole slab may stay. */
  opensPurged(slabId: Uint8Array): boolean;
}

/** Whether a block has a key of a whole slab of which a piece is purged. */
export function keysWholeSlab(
  { slabs }: HeldBlock['rows'],
  opensPurged: CommitPurge['opensPurged'],
): boolean {
  return slabs.some(({ id, keyedSingly }) => !keyedSingly && opensPurged(id));
}

/**
 * The commit with those blocks sealed anew that have something to lose; undefined where none has.
 * What was made is opened again and proved before it is returned.
 *
 * @param bytes A verified commit, which the keys open. @throws OpeningError
 */
export function purgedCommit(
  bytes: Uint8Array,
  { rows }: Pick<ReadCommit, 'rows'>,
  keys: CommitKeys,
  purge: CommitPurge,
  random: Random,
): Uint8Array | undefined {
  let isAnew = false;
  const commit = decodeSignedCommit(bytes);
  const blocks = rows.blocks.map((held, at): CommitBlock => {
    const numbers = new Set<number>();
    for (const number of held.rows.numbers)
      if (purge.slots.has(held.from + number)) numbers.add(number);
    if (numbers.size === 0 && !keysWholeSlab(held.rows, purge.opensPurged))
      return commit.blocks[at] ?? held;
    isAnew = true;
    return sealedAnew(held, keys, numbers, random);
  });
  return isAnew ? encodeSignedCommit({ ...commit, blocks }) : undefined;
}

function sealedAnew(
  held: HeldBlock,
  keys: CommitKeys,
  numbers: ReadonlySet<number>,
  random: Random,
): CommitBlock {
  const open = openBlock(held.rows, {
    listKey: openBlockKey('list', keys.listKey, held.listBox),
    readKey: openBlockKey('read', keys.readKey, held.readBox),
  });
  requireRoot(open, held.root);
  const { bytes, listKey, readKey } = withoutRows(open, numbers, random);
  requireRoot(openedAgain(bytes, { listKey, readKey }), held.root);
  return {
    ...{ block: bytes, root: held.root },
    listBox: sealBlockKey('list', keys.listKey, listKey, random),
    readBox: sealBlockKey('read', keys.readKey, readKey, random),
    ...formerOf(held),
  };
}

function openedAgain(bytes: Uint8Array, keys: BlockKeys): OpenBlock {
  return openBlock(decodeBlock(bytes), keys);
}

/** The root covers each row that is left, and the leaf of each that is not. */
function requireRoot({ block, names, read }: OpenBlock, root: Uint8Array): void {
  if (!equalBytes(blockHashes(block, names, read).root, root))
    throw new CommitError('COMMIT_ENTRIES', 'the rows of a block are not those that were signed');
}
