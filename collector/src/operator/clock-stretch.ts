import type { ClockCorrectionBody } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant } from '@aliquot/shared/cli/format';
import { parseDuration, parseTime } from '@aliquot/shared/cli/time';

/** What an operator says of the time in which the collector's clock was wrong. */
interface WrongClock {
  /** What it said then: later than the one, up to the other (undefined: to the end of the log). */
  readonly fromMs: number;
  readonly toMs: number | undefined;
}

/** Leaves of a log: the first, and one behind the last. */
interface Stretch {
  readonly from: number;
  readonly end: number;
}

/** `FROM..TO`, two TIMEs. `tell` hears how they are understood. Error: `USAGE_INVALID`. */
export function parseSpan(text: string, nowMs: number, tell: (note: string) => void): WrongClock {
  const [from, to, ...rest] = text.split('..');
  if (from === undefined || to === undefined || from === '' || to === '' || rest.length > 0)
    throw new UsageError(
      'USAGE_INVALID',
      `--correct cannot be "${text}"; give what the clock said then as FROM..TO, such as 2036-11-01..2036-11-03`,
    );
  const fromMs = parseTime(from, nowMs, '--correct', tell);
  const toMs = parseTime(to, nowMs, '--correct', tell);
  if (fromMs === undefined || fromMs >= (toMs ?? Number.POSITIVE_INFINITY))
    throw new UsageError('USAGE_INVALID', `--correct "${text}" must end after it begins`);
  return { fromMs, toMs };
}

/** `-20h`, `+3652d`, `-1y2d30m` in milliseconds. Error: `USAGE_INVALID`. */
export function parseOffset(text: string): number {
  const [, sign, parts = ''] = /^([+-])((?:\d{1,9}[smhdwy])+)$/.exec(text) ?? [];
  if (sign === undefined)
    throw new UsageError(
      'USAGE_INVALID',
      `--by cannot be "${text}"; give what has to be added to what the clock said, such as -20h, +3652d or -1y2d30m`,
    );
  const all = [...parts.matchAll(/\d+[smhdwy]/g)].map(([part]) => parseDuration(part));
  return (sign === '-' ? -1 : 1) * all.reduce((sum, ms) => sum + ms, 0);
}

/** An offset as `parseOffset` reads it, to the second. */
export function offsetText(ms: number): string {
  const parts: string[] = [];
  let rest = Math.round(Math.abs(ms) / 1000);
  for (const [unit, seconds] of units) {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return `${ms < 0 ? '-' : '+'}${parts.length === 0 ? '0s' : parts.join('')}`;
}

const units = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;

/**
 * The leaves that were recorded in a span. Where it ends with leaves of one time, only the first of
 * them is meant: the clock had been set back by then, and the log waited until it was as late
 * again. Error: `USAGE_INVALID`.
 */
export function stretchIn(
  recorded: readonly number[],
  { fromMs, toMs = Number.POSITIVE_INFINITY }: WrongClock,
): Stretch {
  const isMeant = (ms: number) => fromMs < ms && ms <= toMs;
  const from = recorded.findIndex(isMeant);
  let last = recorded.findLastIndex(isMeant);
  if (from === -1)
    throw new UsageError(
      'USAGE_INVALID',
      'the log has nothing that was received in that time, by what its clock said then; `aliquot versions` and `ls --json` show times',
    );
  const between = recorded.slice(from, last + 1).findIndex((ms) => !isMeant(ms));
  if (between !== -1)
    throw new UsageError(
      'USAGE_INVALID',
      `the log has those times twice, from leaf ${from} and up to leaf ${last}: give a span that has only the one or the other`,
    );
  while (last > from && recorded[last] === recorded[last - 1]) last -= 1;
  return { from, end: last + 1 };
}

/** Between which times those of a stretch count. */
type Bounds = Pick<ClockCorrectionBody, 'notBeforeMs' | 'notAfterMs'>;

/** Those of the leaves beside a stretch, as they count; nothing is later than now. */
export function boundsOf(
  [before, after]: readonly [number | undefined, number | undefined],
  nowMs: number,
): Bounds {
  const notBeforeMs = before ?? 0;
  return { notBeforeMs, notAfterMs: Math.max(notBeforeMs, Math.min(after ?? nowMs, nowMs)) };
}

/** Error: `USAGE_INVALID` where nothing of a stretch would lie between its bounds. */
export function requireBetween(
  { notBeforeMs, notAfterMs }: Bounds,
  [firstMs, lastMs]: readonly [number, number],
): void {
  const isEarly = lastMs < notBeforeMs;
  if (!isEarly && firstMs <= notAfterMs) return;
  const than = isEarly
    ? `before ${formatInstant(notBeforeMs)}, when what stands before it was received`
    : `after ${formatInstant(notAfterMs)}, when what stands behind it was received, or now`;
  throw new UsageError(
    'USAGE_INVALID',
    `that offset would put all of it ${than}: give another --by`,
  );
}
