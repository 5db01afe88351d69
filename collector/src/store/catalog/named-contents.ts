import { asChunkId, type ChunkId, MAX_SLAB_PIECES, type References, rowKind } from '@aliquot/proto';
import type { CommitRows } from '@aliquot/shared/commit/rows';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { ExactSum } from './exact-sum.ts';
import { isSet } from './item-row.ts';

const NO_SLOTS: Uint8Array = new Uint8Array(0);

/** A slab of which versions name pieces. */
export interface NamedSlab {
  readonly id: ChunkId;
  /** Plaintext bytes of the pieces that are named, by their place from 0 on; else 0. */
  readonly plainSizes: Uint32Array;
}

/** What the versions of a commit refer to. */
export interface NamedContents {
  /** Each once, in the order of their first use. */
  readonly slabs: readonly NamedSlab[];
  /** Of those versions that are no pieces, in the order of their slots. */
  readonly lists: readonly References[];
  /** The sizes of all versions together. */
  readonly bytes: bigint;
}

/**
 * What the versions of a commit refer to, in one look over its columns: it may have thousands.
 * Their sizes are those of their references (`decodeBlock` saw to that). `dropped` has a bit for
 * each slot that does not count. @throws FormatError
 */
export function contentsOf(rows: CommitRows, dropped: Uint8Array = NO_SLOTS): NamedContents {
  const slabs = new Map<string, NamedSlab>();
  const lists: References[] = [];
  const bytes = new ExactSum();
  let block: object | undefined;
  let ofBlock: NamedSlab[] = [];
  rows.each((columns, place, slot) => {
    if (columns !== block) [block, ofBlock] = [columns, []];
    if (rowKind(columns, place) === 'result' || isSet(dropped, slot)) return;
    const size = columns.sizes[place] ?? 0;
    bytes.add(size);
    const list = columns.references.get(place);
    if (list !== undefined) lists.push(list);
    const at = columns.slabOf[place] ?? -1;
    const named = columns.slabs[at];
    if (named === undefined) return;
    const slab = ofBlock[at] ?? slabOf(slabs, asChunkId(named.id));
    ofBlock[at] = slab;
    const piece = columns.pieceOf[place] ?? 0;
    if (slab.plainSizes[piece] === 0) slab.plainSizes[piece] = size;
  });
  return { slabs: [...slabs.values()], lists, bytes: bytes.value };
}

function slabOf(slabs: Map<string, NamedSlab>, id: ChunkId): NamedSlab {
  const name = mapKey(id);
  const slab = slabs.get(name) ?? { id, plainSizes: new Uint32Array(MAX_SLAB_PIECES) };
  slabs.set(name, slab);
  return slab;
}
