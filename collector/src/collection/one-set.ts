/** `referenced`, of pages alone: everything below it was proved to be in the set. */
export type Owned = 'uploaded' | 'referenced';

/**
 * What a lineage's own set answers for an item: to `have`, to a commit that names it, and to a
 * reader, always alike (I-C8). `undefined` is "missing".
 *
 * `owned` is what the rows say, `undefined` of what only others have: whether anybody else keeps
 * it changes nothing here. What is not `isSound` (rotted, or in no pack any more) counts as
 * missing, so that its owners send it again. `mustProve`: something was found lost since what lies
 * below was proved, so a page has to prove it once more.
 */
export function standingOf(
  owned: Owned | undefined,
  isSound: boolean,
  mustProve: boolean,
): Owned | undefined {
  if (owned === undefined || !isSound) return undefined;
  return owned === 'referenced' && mustProve ? 'uploaded' : owned;
}

/** What a walk through a commit's references has seen holds for this. */
export interface WalkSight {
  /** Which opening of the vault it looked at. */
  readonly opening: unknown;
  /** How often something had left the lineage's set until then: lost, or swept. */
  readonly shrunk: number;
}

/**
 * Whether what a walk has seen may still be relied on when its commit is judged. A set only grows,
 * but for what is lost or swept: then the walk begins anew.
 */
export function stillHolds(seen: WalkSight, now: WalkSight): boolean {
  return seen.opening === now.opening && seen.shrunk === now.shrunk;
}
