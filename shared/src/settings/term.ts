import { maxTermCounts, type Term, type TermUnit } from '@aliquot/proto';

/** How terms are written, for messages. */
const TERM_FORMS = 'a number of days, weeks, months or years, such as 30d, 12w, 6mo or 10y';

/**
 * Reads a term. `mistake` says what is wrong with it, and the way out. `m` is refused: elsewhere it
 * is a minute, and a rule must not mean sixty of them where somebody meant months.
 */
export function readTerm(value: unknown): { readonly term: Term } | { readonly mistake: string } {
  if (typeof value === 'number') return { mistake: `needs its unit: ${TERM_FORMS}` };
  const [, digits, unit] =
    (typeof value === 'string' && /^(\d{1,9}) ?([A-Za-z]+)$/.exec(value)) || [];
  if (digits === undefined) return { mistake: `must be ${TERM_FORMS}` };
  if (unit === 'm')
    return {
      mistake: `cannot be "${value}": m is a minute elsewhere; write ${digits}mo for months`,
    };
  if (!isUnit(unit)) return { mistake: `cannot be "${value}"; give ${TERM_FORMS}` };
  const count = Number(digits);
  if (count < 1) return { mistake: `must be 1${unit} or more` };
  if (count > maxTermCounts[unit]) return { mistake: `must be ${maxTermCounts.y}y or less` };
  return { term: { count, unit } };
}

function isUnit(unit: string | undefined): unit is TermUnit {
  return unit !== undefined && Object.hasOwn(maxTermCounts, unit);
}

/** Whether a term may be shorter than so many days. A month has 28 days or more. */
export function isShorterThanDays({ count, unit }: Term, days: number): boolean {
  const least = { d: 1, w: 7, mo: 28, y: 365 } as const;
  return count * least[unit] < days;
}
