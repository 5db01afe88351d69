import { UsageError } from './errors.ts';

const SECOND_MS = 1000;
const unitMs: Record<string, number> = {
  s: SECOND_MS,
  m: 60 * SECOND_MS,
  h: 3600 * SECOND_MS,
  d: 86_400 * SECOND_MS,
  w: 7 * 86_400 * SECOND_MS,
};

/** Milliseconds of `90s`, `30m`, `12h`, `3d`, `2w`, or undefined when the text is no such thing. */
function durationMs(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  const each = unitMs[unit ?? ''];
  return count === undefined || each === undefined ? undefined : Number(count) * each;
}

/** A length of time such as `24h`, in milliseconds. `option` names it in the message. Error: `USAGE_INVALID`. */
export function parseDuration(text: string, option = 'the duration'): number {
  const ms = durationMs(text);
  if (ms === undefined)
    throw new UsageError('USAGE_INVALID', `${option} cannot be "${text}"; give a number and s, m, h, d or w, such as 24h`);
  return ms;
}

const datePattern = /^(\d{4})-(\d{2})-(\d{2})$/;
const instantPattern = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|z|[+-]\d{2}:\d{2})?$/;

/**
 * A TIME of the command line as milliseconds since 1970; undefined for `latest`.
 *
 * RFC 3339 (`2026-11-21T20:15:03Z`; without an offset it is local time), an age before `nowMs` (`3d`), or a date, which
 * means the end of that day in local time: "as the files were on Tuesday" includes what Tuesday brought.
 * Error: `USAGE_INVALID`.
 */
export function parseTime(text: string, nowMs: number, option = 'TIME'): number | undefined {
  if (text === 'latest') return undefined;
  const age = durationMs(text);
  if (age !== undefined) return nowMs - age;
  const date = datePattern.exec(text);
  const ms = date === null ? instantMs(text) : endOfDayMs(date);
  if (ms === undefined || Number.isNaN(ms)) {
    const accepted = 'RFC 3339 such as 2026-11-21T20:15:03Z, a date such as 2026-11-21, an age such as 3d, or latest';
    throw new UsageError('USAGE_INVALID', `${option} cannot be "${text}"; give ${accepted}`);
  }
  return ms;
}

function endOfDayMs(parts: readonly (string | undefined)[]): number | undefined {
  const [, year, month, day] = parts.map(Number);
  if (!isDay(year, month, day)) return undefined;
  return new Date(year ?? 0, (month ?? 1) - 1, (day ?? 1) + 1).getTime() - 1;
}

function instantMs(text: string): number | undefined {
  const parts = instantPattern.exec(text);
  if (parts === null) return undefined;
  const [, year, month, day, hour, minute, second = '0'] = parts.slice(0, 7).map((part) => part ?? '0');
  if (!isDay(Number(year), Number(month), Number(day))) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const fraction = (parts[7] ?? '').slice(0, 3).padEnd(3, '0');
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second.padStart(2, '0')}.${fraction}${(parts[8] ?? '').toUpperCase()}`);
}

/** Date would roll 30 February over into March without a word. */
function isDay(year = 0, month = 0, day = 0): boolean {
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}
