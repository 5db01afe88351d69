/*
 * Whether there is space, and what may be dropped for it: the two decisions of the queue about
 * space (I-A10). Pure: `SpaceMeter` gathers the figures and acts.
 */

/** How much the queue may take. */
export interface QueueBudget {
  /** Bytes of what has no receipt yet. */
  readonly maxBytes: number;
  /** Bytes that stay free on the disk, as long as that is in the queue's hands. */
  readonly minFreeBytes: number;
  /**
   * Share of `maxBytes`, 0 to 1, that a policy class may fill; 1 for classes that are not named.
   */
  readonly classes: Readonly<Record<string, number>>;
}

/** Why there is not more space: the budget (of all or of the class), or the disk's floor. */
export type SpaceLimit = 'budget' | 'disk';

/** The queue and its disk as they stand. */
export interface Occupancy {
  /** Segments that are needed, and signed commits without a receipt. */
  readonly usedBytes: number;
  /** What the disk has free. */
  readonly freeBytes: number;
}

/** What a class may add. */
export interface LimitedSpace {
  readonly bytes: number;
  /** What binds, also while there is space. */
  readonly limit: SpaceLimit;
}

/**
 * Below the floor no more than this share of what the disk has is on its way to a collector that
 * takes it, and no more than so much.
 */
const PASSING_SHARE = 0.5;
const MOST_PASSING_BYTES = 2 ** 30;
/** A budget is at least so many segments, as long as these are not smaller than a file is worth. */
const SEGMENTS_IN_BUDGET = 8;
const LEAST_SEGMENT_BYTES = 4096;

/**
 * What a policy class may add. `classBytes` is what it has in the queue and in open captures;
 * `passing`: the collector takes what is queued, so a part of what is free is let through below the
 * disk's floor.
 */
export function spaceFor(
  budget: QueueBudget,
  { usedBytes, freeBytes }: Occupancy,
  className: string,
  classBytes: number,
  passing: boolean,
): LimitedSpace {
  const share = Math.floor(budget.maxBytes * (budget.classes[className] ?? 1));
  const allowed = Math.min(budget.maxBytes - usedBytes, share - classBytes);
  const through = passing ? passingBytes(freeBytes, usedBytes) - usedBytes : 0;
  const disk = Math.max(freeBytes - budget.minFreeBytes, through);
  return { bytes: Math.max(0, Math.min(allowed, disk)), limit: disk < allowed ? 'disk' : 'budget' };
}

/** How much may be on its way through the queue at a time while the disk is below its floor. */
export function passingBytes(freeBytes: number, usedBytes: number): number {
  return Math.min(Math.floor((freeBytes + usedBytes) * PASSING_SHARE), MOST_PASSING_BYTES);
}

/**
 * Whether the oldest of the kept segments (receipted, and only there to be sent again if the
 * collector loses them) is to go: they stay within `mostKept`, and never take what the budget or
 * the disk's floor has left for the rest. `wanted`: bytes that something else waits to add. What is
 * not receipted may never be dropped.
 */
export function dropsOldestKept(
  budget: QueueBudget | undefined,
  { usedBytes, freeBytes }: Occupancy,
  keptBytes: number,
  mostKept: number,
  wanted: number,
): boolean {
  if (keptBytes > mostKept) return true;
  if (budget === undefined || keptBytes === 0) return false;
  return usedBytes + keptBytes > budget.maxBytes || freeBytes - wanted < budget.minFreeBytes;
}

/**
 * Where segments rotate. One counts as a whole as long as anything in it is needed, so it must be
 * small beside the budget.
 */
export function segmentBytesFor(wanted: number, budget: QueueBudget | undefined): number {
  if (budget === undefined) return wanted;
  const most = Math.floor(budget.maxBytes / SEGMENTS_IN_BUDGET);
  return Math.min(wanted, Math.max(LEAST_SEGMENT_BYTES, most));
}
