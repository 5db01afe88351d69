/** Pieces of slabs, from 1 on, by the slab's id in latin1. */
export type PiecesByName = Map<string, Set<number>>;

export function addPiece(pieces: PiecesByName, name: string, piece: number): void {
  const known = pieces.get(name) ?? new Set();
  pieces.set(name, known);
  known.add(piece);
}
