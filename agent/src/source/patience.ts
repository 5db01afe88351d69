/** How long the agent waits for a result to come to rest before it does something about it. */
export interface Patience {
  /** After this it is captured as it is, and then again at doubling intervals. */
  readonly captureAfterMs: number;
  /** After this it is a named problem, here and at the collector. */
  readonly nameAfterMs: number;
}

/** A person asked for the paths as they are: nothing waits. */
export const endlessPatience: Patience = {
  captureAfterMs: Number.POSITIVE_INFINITY,
  nameAfterMs: Number.POSITIVE_INFINITY,
};

/** What pauses for less than this many quiet periods in a row is not waited for any longer. */
const QUIET_PERIODS_TO_CAPTURE = 10;
/** What grows for days is captured at least this often. */
const LONGEST_BETWEEN_MS = 3_600_000;

/**
 * Two limits, because two people wait. The one whose run grows wants it safe soon: ten quiet
 * periods. Central IT wants to hear of what is not as it should be, and not of every run of twenty
 * minutes: `maxUnsettledSeconds`, which bounds the first limit too.
 */
export function patienceOf(quietPeriodSeconds: number, maxUnsettledSeconds: number): Patience {
  const nameAfterMs = maxUnsettledSeconds * 1000;
  return {
    captureAfterMs: Math.min(quietPeriodSeconds * QUIET_PERIODS_TO_CAPTURE * 1000, nameAfterMs),
    nameAfterMs,
  };
}

/**
 * When what has not rested since `sinceMs`, and is captured as it is now, is captured next: each
 * interval is as long as all before it.
 */
export function nextCaptureMs(
  { captureAfterMs }: Patience,
  sinceMs: number,
  nowMs: number,
): number {
  return nowMs + Math.min(Math.max(nowMs - sinceMs, captureAfterMs), LONGEST_BETWEEN_MS);
}
