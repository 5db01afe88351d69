import { jsonOf } from '@aliquot/shared/json';

/** Fields of a log line whose texts are words of this program. */
const shownFields = new Set(['level', 'time', 'code', 'state', 'op']);
const WORD = /^[A-Za-z0-9_.:+-]{1,64}$/;
/** A line of a stack: only where in the program. */
const FRAME =
  /^\s+at (?:async )?(?:([\w.#<>$ ]{1,80}) \()?(?:.*[\\/])?([\w.-]{1,64}):(\d+):(\d+)\)?$/;
const MOST_FRAMES = 20;

/**
 * What of a log line a diagnosis shows: undefined for what is no line of ours. Sentences without a
 * `code` are fixed words of the program, and stay (`docs/logs.md`, and a test, know them all);
 * those with one may name a file and go, for the code says what happened. Of the rest numbers and
 * switches stay, and of a stack where in the program it was.
 */
export function hideLine(line: string): Readonly<Record<string, unknown>> | undefined {
  const fields = jsonOf(line.replace(/^<\d>/, ''));
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return undefined;
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!/^[A-Za-z]{1,32}$/.test(name)) continue;
    if (typeof value === 'number' || typeof value === 'boolean') shown[name] = value;
    else if (typeof value === 'string' && shownFields.has(name) && WORD.test(value))
      shown[name] = value;
    else if (name === 'msg' && typeof value === 'string' && !('code' in fields))
      shown[name] = value;
    else if (name === 'stack' && typeof value === 'string') shown[name] = framesOf(value);
  }
  return shown;
}

function framesOf(stack: string): string[] {
  return stack
    .split('\n')
    .flatMap((line) => {
      const [, name = '', file, row, column] = FRAME.exec(line) ?? [];
      return file === undefined ? [] : [`${name} ${file}:${row}:${column}`.trim()];
    })
    .slice(0, MOST_FRAMES);
}
