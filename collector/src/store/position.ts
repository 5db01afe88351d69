/** A place in the journal: pack numbers grow from 1, offsets within a pack from its header on. */
export interface Position {
  readonly pack: number;
  readonly offset: number;
}

/** Negative when `a` comes before `b`. */
export function comparePositions(a: Position, b: Position): number {
  return a.pack === b.pack ? a.offset - b.offset : a.pack - b.pack;
}

/** The further of two; either may be unknown. */
export function furthest(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return comparePositions(a, b) < 0 ? b : a;
}
