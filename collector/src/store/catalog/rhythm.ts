const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;

/** The longest silence that ended in one week (weeks since 1970). */
export interface WeekGap {
  readonly week: number;
  readonly longestMs: number;
}

/**
 * How an agent is usually heard: learnt from the gaps between its signs of life, in a few numbers.
 */
export interface Rhythm {
  readonly beganMs: number;
  /** Only weeks in which it was heard again after a silence, oldest first, at most `MAX_WEEKS`. */
  readonly weeks: readonly WeekGap[];
}

/**
 * Two months of a PC that is used every week; eight months of one that is used once a month. Test
 * only: that no more are kept.
 */
export const MAX_WEEKS = 8;
/** A restart, a slow scan or a collector that was being updated is no silence. */
const LEAST_MS = HOUR_MS;
/** Nothing is known of nights and weekends yet. */
const UNKNOWN_MS = DAY_MS;
/**
 * What is believed while no weekend was seen: longer than from Friday evening to Tuesday morning.
 */
const LEARNING_MOST_MS = 4 * DAY_MS;
const LEARNING_FACTOR = 5;
const FACTOR = 1.5;

/** The rhythm after a sign of life at `nowMs`; the very same object when that taught nothing. */
export function learn(
  rhythm: Rhythm | undefined,
  lastSeenMs: number | undefined,
  nowMs: number,
): Rhythm {
  if (rhythm === undefined || lastSeenMs === undefined)
    return rhythm ?? { beganMs: nowMs, weeks: [] };
  const week = Math.floor(nowMs / WEEK_MS);
  const gapMs = nowMs - lastSeenMs;
  // A clock that was put back teaches nothing.
  if (gapMs <= 0) return rhythm;
  // What was learnt in the future, a clock taught that was ahead.
  if (rhythm.beganMs > nowMs) return { beganMs: nowMs, weeks: [] };
  const weeks = rhythm.weeks.filter((known) => known.week <= week);
  const newest = weeks.at(-1);
  if (newest?.week === week && gapMs <= newest.longestMs) return rhythm;
  const before = newest?.week === week ? weeks.slice(0, -1) : weeks;
  return { ...rhythm, weeks: [...before, { week, longestMs: gapMs }].slice(-MAX_WEEKS) };
}

/**
 * After which silence somebody should look, in milliseconds.
 *
 * Once two weeks are known: one and a half times the usual longest gap, which is the second longest
 * of the weekly longest gaps: weekends and nights count as usual because each week has them, one
 * outage or one holiday does not. Before that a few nights must do, and on the first day nothing is
 * known.
 */
export function silenceLimitMs(rhythm: Rhythm | undefined, lastSeenMs: number | undefined): number {
  const knownMs =
    rhythm === undefined || lastSeenMs === undefined ? 0 : lastSeenMs - rhythm.beganMs;
  if (rhythm === undefined || knownMs < DAY_MS) return UNKNOWN_MS;
  const lastWeek = Math.floor((lastSeenMs ?? 0) / WEEK_MS);
  const gaps = rhythm.weeks
    .filter(({ week }) => week <= lastWeek)
    .map(({ longestMs }) => longestMs)
    .sort((a, b) => b - a);
  const [longest = 0, second = longest] = gaps;
  const learnt = knownMs >= 2 * WEEK_MS && gaps.length > 1;
  const limit = learnt
    ? FACTOR * second
    : Math.max(FACTOR * longest, Math.min(LEARNING_FACTOR * longest, LEARNING_MOST_MS));
  return Math.max(LEAST_MS, Math.round(limit));
}
