import { UsageError } from './errors.ts';
import { formatInstant, formatLocalTime, formatTime } from './format.ts';

const SECOND_MS = 1000;
const unitMs = {
  s: SECOND_MS,
  m: 60 * SECOND_MS,
  h: 3600 * SECOND_MS,
  d: 86_400 * SECOND_MS,
  w: 7 * 86_400 * SECOND_MS,
  y: 365 * 86_400 * SECOND_MS,
} as const;

/**
 * Milliseconds of `90s`, `30m`, `12h`, `3d`, `2w`, `1y` (365 days), or undefined when the text is
 * nothing of the kind.
 */
function durationMs(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9})([smhdwy])$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * unitMs[unit as keyof typeof unitMs];
}

/**
 * A length of time such as `24h`, in milliseconds. `option` names it in the message. Error:
 * `USAGE_INVALID`.
 */
export function parseDuration(text: string, option = 'the duration'): number {
  const ms = durationMs(text);
  if (ms === undefined)
    throw new UsageError(
      'USAGE_INVALID',
      `${option} cannot be "${text}"; give a number and s, m, h, d, w or y, such as 24h`,
    );
  return ms;
}

const dayWords = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/** What every option that takes a TIME says in its help. */
export const TIME_HELP =
  'such as "2026-11-21 14:10", yesterday, 3d, latest, or as another command prints it';

/**
 * A TIME of the command line as milliseconds since 1970; undefined for `latest`.
 *
 * It may be a day, a time of day, or both, and then a zone (`UTC`, `Z`, `+01:00`); or an age before
 * `nowMs` (`3d`), or `now`. A day is a date, `today`, `yesterday`, or a weekday (the last one
 * before today). Without a day the last such time of day is meant; without a zone, this computer's
 * zone. So RFC 3339 and all that the commands print are understood.
 *
 * A time means the end of what it names: a date its whole day, `14:10` its whole minute, `14:10:03`
 * its whole second. "As the files were at 14:10:03" includes what that second brought; a version's
 * own time, which has milliseconds, means that version.
 *
 * `tell` hears which instant is meant, in one line, unless the text has date, seconds and zone:
 * nobody reads that in two ways. Error: `USAGE_INVALID`.
 */
export function parseTime(
  text: string,
  nowMs: number,
  option = 'TIME',
  tell: (note: string) => void = () => undefined,
): number | undefined {
  if (text === 'latest') return undefined;
  const age = text === 'now' ? 0 : durationMs(text);
  const meant = age === undefined ? instantOf(text, nowMs) : { ms: nowMs - age, exact: false };
  if (meant === undefined) {
    const accepted =
      'a time such as "2026-11-21 14:10 UTC", 2026-11-21T14:10:03.123Z, 14:10, yesterday, 2026-11-21, 3d, or latest';
    throw new UsageError('USAGE_INVALID', `${option} cannot be "${text}"; give ${accepted}`);
  }
  if (!meant.exact) {
    tell(
      `${option} "${text}" means ${formatTime(meant.ms)}, here ${formatLocalTime(meant.ms)}${meant.clockChange ?? ''}`,
    );
  }
  return meant.ms;
}

/** The instant that a text means; `exact` when nobody could read it in another way. */
interface Meant {
  readonly ms: number;
  readonly exact: boolean;
  readonly clockChange?: string;
}

/** A date of the calendar, month from 1. */
interface Day {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

const ZONE_PATTERN = /^(.+?) ?(UTC|GMT|Z|[+-]\d{2}:\d{2})$/i;
const CLOCK_PATTERN = /^(?:(.+)[T ])?(\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)$/i;
const DATE_PATTERN = /^\d{4}-\d{2}-\d{2}$/;

function instantOf(text: string, nowMs: number): Meant | undefined {
  const [, zoned = text, zone] = ZONE_PATTERN.exec(text) ?? [];
  const [, dayText = '', clock] = CLOCK_PATTERN.exec(zoned) ?? ['', zoned];
  const offsetMs = zone === undefined ? undefined : zoneMs(zone);
  if (Number.isNaN(offsetMs)) return undefined;
  const today = dayAt(nowMs, offsetMs);
  const isDate = DATE_PATTERN.test(dayText);
  if (dayText === '' && clock === undefined) return undefined;
  const day = isDate
    ? dayOfDate(dayText)
    : dayText === ''
      ? today
      : dayOfWord(dayText.toLowerCase(), today);
  if (day === undefined) return undefined;
  if (clock === undefined) return { ms: endOfDay(day, offsetMs), exact: false };
  const span = clockSpan(clock);
  if (span === undefined) return undefined;
  const first = atClock(day, span.startMs, offsetMs);
  // A time of day alone means the last one: at 08:00, `14:10` is yesterday's.
  const begins =
    dayText === '' && first.ms > nowMs ? atClock(addDays(day, -1), span.startMs, offsetMs) : first;
  return {
    ...begins,
    ms: begins.ms + span.lengthMs - 1,
    exact: isDate && zone !== undefined && span.lengthMs <= SECOND_MS,
  };
}

/** Milliseconds that a zone is ahead of UTC; NaN for an offset that no clock has. */
function zoneMs(zone: string): number {
  if (!/^[+-]/.test(zone)) return 0;
  const [hours = 0, minutes = 0] = zone.slice(1).split(':').map(Number);
  if (hours > 23 || minutes > 59) return Number.NaN;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60 * SECOND_MS;
}

/** The date in a zone, in the local one without `offsetMs`. */
function dayAt(ms: number, offsetMs: number | undefined): Day {
  const date = new Date(offsetMs === undefined ? ms : ms + offsetMs);
  if (offsetMs === undefined)
    return { year: date.getFullYear(), month: date.getMonth() + 1, day: date.getDate() };
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

function dayOfDate(text: string): Day | undefined {
  const [year = 0, month = 0, day = 0] = text.split('-').map(Number);
  // `Date` would roll 30 February over into March silently.
  const found = addDays({ year, month, day }, 0);
  return found.month === month && found.day === day && year >= 1000 ? found : undefined;
}

function dayOfWord(word: string, today: Day): Day | undefined {
  if (word === 'today') return today;
  if (word === 'yesterday') return addDays(today, -1);
  const weekday = dayWords.indexOf(word);
  if (weekday === -1) return undefined;
  const passed =
    (new Date(Date.UTC(today.year, today.month - 1, today.day)).getUTCDay() - weekday + 7) % 7;
  return addDays(today, -(passed === 0 ? 7 : passed));
}

function addDays({ year, month, day }: Day, days: number): Day {
  const date = new Date(Date.UTC(year, month - 1, day + days));
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

/** The last millisecond of a day; `Date` knows days that have no midnight, or two. */
function endOfDay({ year, month, day }: Day, offsetMs: number | undefined): number {
  const next =
    offsetMs === undefined
      ? new Date(year, month - 1, day + 1).getTime()
      : Date.UTC(year, month - 1, day + 1) - offsetMs;
  return next - 1;
}

/**
 * From when in the day, and how long, a time of day lasts: `14:10` a minute, `14:10:03` a second,
 * `14:10:03.1` a tenth of it.
 */
function clockSpan(text: string): { startMs: number; lengthMs: number } | undefined {
  const [hour = '', minute = '', second, fraction] = text.split(/[:.]/);
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second ?? 0) > 59) return undefined;
  const millis = (fraction ?? '').slice(0, 3);
  const startMs =
    ((Number(hour) * 60 + Number(minute)) * 60 + Number(second ?? 0)) * SECOND_MS +
    Number(millis.padEnd(3, '0'));
  return { startMs, lengthMs: second === undefined ? 60 * SECOND_MS : 10 ** (3 - millis.length) };
}

/**
 * The instant at which a clock shows a time of a day. Where local clocks were set back and showed
 * it twice, the later one, which includes the earlier; where they were set forward and never showed
 * it, as if they had not been.
 */
function atClock(
  { year, month, day }: Day,
  clockMs: number,
  offsetMs: number | undefined,
): { ms: number; clockChange?: string } {
  const shown = Date.UTC(year, month - 1, day) + clockMs;
  if (offsetMs !== undefined) return { ms: shown - offsetMs };
  const before = shown - localOffsetMs(shown - unitMs.d);
  const after = shown - localOffsetMs(shown + unitMs.d);
  const [beforeHolds, afterHolds] = [before, after].map((ms) => ms + localOffsetMs(ms) === shown);
  if (!beforeHolds && !afterHolds)
    return { ms: before, clockChange: '; the clocks skipped that time' };
  if (beforeHolds && afterHolds && before !== after) {
    const earlier = formatInstant(Math.min(before, after));
    return {
      ms: Math.max(before, after),
      clockChange: `; the clocks showed it twice, first from ${earlier}`,
    };
  }
  return { ms: beforeHolds ? before : after };
}

/** How far the local clock is ahead of UTC at about an instant. */
function localOffsetMs(ms: number): number {
  return -new Date(ms).getTimezoneOffset() * 60 * SECOND_MS;
}
