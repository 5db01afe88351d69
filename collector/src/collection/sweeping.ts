/** Where a version stands on its way out. */
export type VersionStage = 'kept' | 'expired' | 'dropped';

/**
 * Whether a mark begins from a version. Expired is not gone: until it is dropped, everything that
 * it refers to stays. Of every history alike: the agent's own, one held apart, a clone's.
 *
 * Seam: the store's mark keeps to it: it reads all commits, and leaves out what was dropped.
 */
export function isRoot(stage: VersionStage): boolean {
  return stage !== 'dropped';
}

/** What a mark was made on. */
export interface MarkGround {
  /** Which opening of the vault. */
  readonly opening: unknown;
  readonly logEpoch: number;
  /**
   * How many of the lineage's commits, and of its records of proved pages, were walked: by the mark
   * or since. A page is proved before its commit is accepted, and relied on from then on.
   */
  readonly walked: number;
}

/** How things stand as the next record of a sweep is to be appended. */
export interface SweepGround {
  readonly opening: unknown;
  readonly logEpoch: number;
  /** How many of these there are, on whichever branch. */
  readonly came: number;
  /** Whether the announcement is on stable storage. */
  readonly isAnnounced: boolean;
  /** Who has not answered: see `awaitedOf`. */
  readonly waits: number;
}

/**
 * Why nothing may be swept now: `undefined` when it may. Decided in the very job that appends the
 * record, and anew for each one. `unwalked`: something came since the mark, and what it reaches is
 * to be taken off the list first. `reopened`: the mark was of another opening, or of a log that was
 * reopened since: it is made again.
 */
export function sweepRefusal(
  mark: MarkGround,
  now: SweepGround,
): 'not-announced' | 'waits' | 'reopened' | 'unwalked' | undefined {
  if (!now.isAnnounced) return 'not-announced';
  if (mark.opening !== now.opening || mark.logEpoch !== now.logEpoch) return 'reopened';
  if (now.waits > 0) return 'waits';
  return mark.walked < now.came ? 'unwalked' : undefined;
}

/** Something of a lineage's set, as a mark has left it. */
export interface MarkedItem {
  /** Of a page: of what its references name, 0 for chunks. `undefined` of chunks and slabs. */
  readonly depth: number | undefined;
  /**
   * Whether anything that was walked refers to it; of chunks perhaps only as far as one can see.
   */
  readonly isReached: boolean;
}

/**
 * What becomes of an item. What an agent has just sent, or heard that it is here (`isTouched`), is
 * spared, for it is about to be committed. A page that is spared and that nothing reaches has to
 * prove anew what lies below it, though that was proved once: it may be leaving.
 */
export function fateOf(
  { depth, isReached }: MarkedItem,
  isTouched: boolean,
): 'stays' | 'unwalked' | 'leaves' {
  if (isReached) return 'stays';
  if (!isTouched) return 'leaves';
  return depth === undefined ? 'stays' : 'unwalked';
}

/**
 * The order in which items leave: pages of the greatest depth first, chunks and slabs last. So
 * wherever a sweep stops, everything below a page that is left is left.
 */
export function compareLeaving(a: Pick<MarkedItem, 'depth'>, b: Pick<MarkedItem, 'depth'>): number {
  return (b.depth ?? -1) - (a.depth ?? -1);
}
