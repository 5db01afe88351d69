import { isUtf8 } from 'node:buffer';
import { escaped } from './terminal.ts';

const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `0 B`, `1.5 KiB`, `20 MiB`: at most three digits that mean something. */
export function formatBytes(count: number): string {
  if (count < 1024) return `${Math.round(count)} B`;
  let value = count;
  let unit = '';
  for (const next of units) {
    if (value < 1023.5) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/**
 * `1,234,567`. Not by `toLocaleString`, which would load the tables of all languages into each
 * command: 30 ms.
 */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 file`, `1,234 files`. */
export function formatCounted(count: number, what: string): string {
  return `${formatCount(count)} ${what}${count === 1 ? '' : 's'}`;
}

/** `12 s`, `3 min 20 s`, `5 h 10 min`, `12 d 3 h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400)
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/**
 * `12s`, `3m`, `5h`, `12d`: whole units, rounded down; a TIME of the command line is an age like
 * these.
 */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 2 * 86_400
    ? `${Math.floor(seconds / 3600)}h`
    : `${Math.floor(seconds / 86_400)}d`;
}

/**
 * `2026-11-21 20:15:03.123 UTC`: for tables; JSON carries `formatInstant`. `parseTime` reads it
 * back to the millisecond.
 */
export function formatTime(ms: number): string {
  return formatInstant(ms).replace('T', ' ').replace('Z', ' UTC');
}

/**
 * `2026-11-21 21:15:03 +01:00`: for a person at the PC, by its clock. `parseTime` reads it back as
 * that whole second.
 */
export function formatLocalTime(ms: number): string {
  return localText(ms, 'seconds');
}

/** `2026-11-21 21:15:03.123 +01:00`: the same to the millisecond, for a version's own time. */
export function formatLocalInstant(ms: number): string {
  return localText(ms, 'milliseconds');
}

function localText(ms: number, precision: 'seconds' | 'milliseconds'): string {
  const minutes = -new Date(ms).getTimezoneOffset();
  const offset = [Math.abs(minutes) / 60, Math.abs(minutes) % 60]
    .map((part) => String(Math.floor(part)).padStart(2, '0'))
    .join(':');
  const clock = formatInstant(ms + minutes * 60_000)
    .slice(0, precision === 'seconds' ? 19 : 23)
    .replace('T', ' ');
  return `${clock} ${minutes < 0 ? '-' : '+'}${offset}`;
}

/** RFC 3339 in UTC to the millisecond. */
export function formatInstant(ms: number): string {
  return new Date(ms).toISOString();
}

/**
 * A path's bytes as text for tables, JSON and `--path`: UTF-8 as it is, bytes that are no UTF-8 as
 * `\xNN`. It is what the globs match, so what a listing prints can be pasted back.
 */
export function pathText(path: Uint8Array): string {
  const bytes = Buffer.from(path.buffer, path.byteOffset, path.byteLength);
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    text +=
      length === 0
        ? `\\x${bytes.subarray(at, at + 1).toString('hex')}`
        : bytes.toString('utf8', at, at + length);
    at += Math.max(1, length);
  }
  return text;
}

/** The length of the valid UTF-8 sequence at `at`; 0 when there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1)
    if (isUtf8(bytes.subarray(at, at + length))) return length;
  return 0;
}

/**
 * A value within a line that cannot steer a terminal, nor hide in it: control characters (a file
 * name may hold any) and what shows nothing become `\xNN` or `\u{…}`.
 */
export function printable(text: string): string {
  return escaped(text);
}

/**
 * The cells of one row of a list, two blanks between. On a terminal that is too narrow for them it
 * goes on in the next line, indented, before a cell and never in one: a path or an id that is to be
 * pasted stays whole. `columns` is undefined where nobody looks.
 */
export function formatRow(cells: readonly string[], columns: number | undefined): string {
  const whole = cells.join('  ').trimEnd();
  if (columns === undefined || widthOf(whole) <= columns) return whole;
  const lines: string[] = [];
  let line = '';
  for (const cell of cells) {
    const next = line === '' ? cell : `${line}  ${cell}`;
    if (line !== '' && widthOf(next.trimEnd()) > columns) {
      lines.push(line.trimEnd());
      line = `    ${cell.trim()}`;
    } else line = next;
  }
  return [...lines, line.trimEnd()].join('\n');
}

/**
 * Rows under headings, columns aligned by two spaces; numbers (and a column whose heading ends in
 * `>`) to the right.
 */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const right = headings.map(
    (heading, column) =>
      heading.endsWith('>') ||
      (rows.length > 0 && rows.every((row) => typeof row[column] === 'number')),
  );
  const cells = [
    headings.map((heading) => heading.replace(/>$/, '')),
    ...rows.map((row) => row.map((cell) => printable(String(cell)))),
  ];
  const widths = headings.map((_, column) =>
    Math.max(...cells.map((row) => widthOf(row[column] ?? ''))),
  );
  return cells
    .map((row) =>
      row
        .map((cell, column) => {
          const fill = ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)));
          return right[column] ? fill + cell : cell + fill;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Characters as people count them; good enough for columns. */
export function widthOf(text: string): number {
  return /^[\u0020-\u007e]*$/.test(text)
    ? text.length
    : [...new Intl.Segmenter().segment(text)].length;
}
