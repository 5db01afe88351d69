import {
  decodeSlab,
  encodeSlab,
  FormatError,
  pieceOf,
  SLAB_HEADER_BYTES,
  type SlabOutline,
  type StoredKind,
  slabOutline,
} from '@aliquot/proto';

/** What a stored slab has of its pieces. */
export interface PiecesHeld {
  readonly count: number;
  /** Bit i mod 8 of byte i / 8 is set where piece i, from 0 on, is here; undefined: all are. */
  readonly here: Uint8Array | undefined;
}

/** What an item that was proved has of its pieces; undefined when it is no slab. */
export function piecesIn(kind: StoredKind, bytes: Uint8Array): PiecesHeld | undefined {
  if (kind !== 'slab') return undefined;
  const { count, marks } = slabOutline(bytes);
  const { offset, length } = marks ?? { offset: 0, length: 0 };
  const here = marks && new Uint8Array(bytes.subarray(offset, offset + length));
  return { count, here };
}

/** What an index says of it. */
export function indexedPieces(held: PiecesHeld | undefined): {
  readonly pieces: number;
  readonly hasHoles: boolean;
} {
  return { pieces: held?.count ?? 0, hasHoles: held?.here !== undefined };
}

/** Bytes of an item, fewer where its pack ends. */
export type ReadInItem = (offset: number, length: number) => Promise<Uint8Array>;

/**
 * The same of a slab in a pack that nobody has proved: little of it is read. Undefined when it has
 * rotted there.
 */
export async function readPieces(read: ReadInItem): Promise<PiecesHeld | undefined> {
  const outline = outlineIn(await read(0, SLAB_HEADER_BYTES));
  if (outline === undefined) return undefined;
  const { count, marks } = outline;
  if (marks === undefined) return { count, here: undefined };
  const here = await read(marks.offset, marks.length);
  return here.length === marks.length ? { count, here: new Uint8Array(here) } : undefined;
}

/** What is said of a slab that has rotted where this stands: it counts as damaged. */
export const rottenPieces: PiecesHeld = { count: 1, here: undefined };

function outlineIn(head: Uint8Array): SlabOutline | undefined {
  try {
    return slabOutline(head);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/**
 * A slab that proves, with holes where a piece does not live: a bit is set in `live` for each that
 * does, from piece 0 on. Its id stays the same. The slab itself where there is nothing to take out,
 * and where nothing would be left.
 */
export function thinnedSlab(bytes: Uint8Array, live: Uint8Array): Uint8Array {
  const slab = decodeSlab(bytes);
  let [left, taken] = [0, 0];
  const pieces = Array.from({ length: slab.count }, (_, index) => {
    const piece = pieceOf(slab, index);
    const lives = ((live[index >>> 3] ?? 0) >>> (index & 7)) & 1;
    if (piece.sealed === undefined || lives === 1) {
      left += piece.sealed === undefined ? 0 : 1;
      return piece;
    }
    taken += 1;
    return { ...piece, sealed: undefined };
  });
  return left === 0 || taken === 0 ? bytes : encodeSlab(pieces);
}
