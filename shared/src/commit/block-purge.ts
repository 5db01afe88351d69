/**
 * SEALING.md, "Version block", "Purge": a block sealed anew without some of its rows. What is left
 * proves itself as before; what went cannot be guessed from what stays.
 */
import type { PurgedRow } from '@aliquot/proto';
import { concat } from '../crypto/bytes.ts';
import type { Random } from '../ports.ts';
import { blockClearHashes, blockHashes, type OpenBlock, openRow } from './block-open.ts';
import { assemble, type BlockKeys, type RowDraft } from './block-seal.ts';

/**
 * The block without the rows of these numbers, under fresh keys: the old ones have sealed their one
 * message. Root and clear hashes stay what they were. Pieces are keyed singly from here on, because
 * the slab's key would open what was purged: a purge does the same to other blocks whose rows name
 * that slab, without any numbers.
 */
export function withoutRows(
  open: OpenBlock,
  numbers: ReadonlySet<number>,
  random: Random,
): BlockKeys & { readonly bytes: Uint8Array } {
  const { block, names, read } = open;
  const { leaves } = blockHashes(block, names, read);
  const clearHashes = blockClearHashes(block);
  const known = new Set(block.purged.map(({ number }) => number));
  const purged: PurgedRow[] = [];
  const drafts: RowDraft[] = [];
  const salts: Uint8Array[] = [];
  for (let number = 0; number < block.count; number += 1) {
    if (!known.has(number) && !numbers.has(number)) continue;
    const [clearHash, leaf] = [clearHashes[number] as Uint8Array, leaves[number] as Uint8Array];
    purged.push({ number, clearHash, leaf });
  }
  for (const [place, number] of block.numbers.entries()) {
    if (numbers.has(number)) continue;
    drafts.push(openRow(open, place));
    salts.push(read.salt(place));
  }
  return assemble(
    { count: block.count, purged, isAnew: true, drafts, salts: concat(...salts) },
    random,
  );
}
