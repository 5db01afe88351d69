import type { Term } from '@aliquot/proto';

/*
 * The calendar of retention, in UTC: terms added to instants, and which day, week, month and year
 * an instant lies in. Instants are milliseconds since 1970; none is before.
 */

const DAY_MS = 86_400_000;
const EPOCH_YEAR = 1970;
/** 1970 began on a Thursday; weeks begin on a Monday (ISO 8601). */
const DAYS_TO_MONDAY = 3;

/** Seconds have no leap here, as in POSIX: each day has 86,400. */
export type Period = 'day' | 'week' | 'month' | 'year';

/** The number of the period that an instant lies in; the next period has the next number. */
export function periodAt(period: Period, ms: number): number {
  switch (period) {
    case 'day':
      return Math.floor(ms / DAY_MS);
    case 'week':
      return Math.floor((ms / DAY_MS + DAYS_TO_MONDAY) / 7);
    case 'month':
      return monthAt(ms);
    case 'year':
      return EPOCH_YEAR + Math.floor(monthAt(ms) / 12);
  }
}

/** The first instant of a period; Infinity: behind the last that can be shown. */
export function periodStart(period: Period, number: number): number {
  switch (period) {
    case 'day':
      return number * DAY_MS;
    case 'week':
      return (number * 7 - DAYS_TO_MONDAY) * DAY_MS;
    case 'month':
      return shown(Date.UTC(EPOCH_YEAR, number, 1));
    case 'year':
      return shown(Date.UTC(number, 0, 1));
  }
}

/**
 * The end of a term that begins at an instant. Months and years go by the calendar, to the same day
 * and time of day; where the month is too short for that, to its end: a month after any time of 31
 * January ends with February. So what begins later never ends sooner, of which "every state of the
 * last month" depends.
 */
export function after(ms: number, { count, unit }: Term): number {
  if (unit === 'd') return ms + count * DAY_MS;
  if (unit === 'w') return ms + count * 7 * DAY_MS;
  const from = monthAt(ms);
  const month = from + (unit === 'mo' ? count : count * 12);
  const day = Math.floor(ms / DAY_MS) - periodStart('month', from) / DAY_MS;
  const sameDay = periodStart('month', month) + day * DAY_MS;
  return Math.min(sameDay + (ms % DAY_MS), periodStart('month', month + 1));
}

/** No number is later than NaN, so an end that is none would keep nothing. */
function shown(ms: number): number {
  return Number.isNaN(ms) ? Infinity : ms;
}

/** Months since January 1970. */
function monthAt(ms: number): number {
  const day = Math.floor(ms / DAY_MS);
  const place = Math.abs(day % REMEMBERED_DAYS);
  if (days[place] !== day) {
    const date = new Date(ms);
    months[place] = (date.getUTCFullYear() - EPOCH_YEAR) * 12 + date.getUTCMonth();
    days[place] = day;
  }
  return months[place] as number;
}

/** Millions of versions lie in some thousand days: of these it is known which months they are of. */
const REMEMBERED_DAYS = 4096;
const days = new Float64Array(REMEMBERED_DAYS).fill(Number.NaN);
const months = new Float64Array(REMEMBERED_DAYS);
