import { parseArgs } from 'node:util';
import type { RunPart } from './runner.ts';

/** What `npm run test:torture` can be told. */
export interface TortureOptions {
  readonly seed: number;
  /** Undefined: until everything is done. */
  readonly minutes: number | undefined;
  /** Globs of names; none: all. */
  readonly only: readonly string[];
  readonly onlyCase: number | undefined;
  /** Processes that share the cases. */
  readonly jobs: number;
  /** What this one of them does. */
  readonly part: RunPart;
  readonly list: boolean;
  readonly help: boolean;
}

export const HELP = `Usage: npm run test:torture -- [options]

Proves by enumeration and by random trials that nothing is lost. Runs every scenario of
torture/scenarios.ts and ends with a table and a line "N passed, N failed"; the exit code is 0
only when nothing failed. docs/reliability.md says what each scenario proves.

Options:
  --seed N      repeats a run: the same seed draws the same cases in the same order (default: drawn, and printed)
  --minutes M   the time limit of all together; each scenario gets a fair share, and what one does not
                use goes to the others; every scenario does its first case (default: no limit, all cases)
  --only GLOB   only scenarios of such a name, as in 'outside-*'; may be given more than once
  --case K      only this case of the scenario that --only names: to repeat a failure
  --jobs N      N processes share the cases: the same cases, sooner; with --minutes they share the scenarios (default: 1)
  --part I/N    only the cases of process I of N, counted from 0: to share a run between machines
  --list        print the scenarios and end
  --help        print this and end

Examples:
  npm run test:torture -- --minutes 10
  npm run test:torture -- --seed 7 --jobs 4
  npm run test:torture -- --seed 7 --only 'outside-agent-*' --minutes 30
  npm run test:torture -- --seed 7 --only outside-agent-flush --case 41
`;

/** Reads the command line. Throws with a sentence that says what is accepted. */
export function readOptions(args: readonly string[], drawSeed: () => number): TortureOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      case: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      part: { type: 'string', default: '0/1' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const seed = values.seed === undefined ? drawSeed() : wholeNumber('--seed', values.seed);
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
  if (minutes !== undefined && !(minutes > 0 && minutes <= 10_000)) {
    throw new Error(`--minutes takes a number above 0, such as 10 or 0.5, not ${values.minutes}`);
  }
  const onlyCase = values.case === undefined ? undefined : wholeNumber('--case', values.case);
  if (onlyCase !== undefined && values.only.length === 0)
    throw new Error('--case needs --only NAME: say of which scenario');
  const jobs = wholeNumber('--jobs', values.jobs);
  if (jobs < 1 || jobs > 64)
    throw new Error(`--jobs takes a number from 1 to 64, not ${values.jobs}`);
  const part = partOf(values.part);
  if (jobs > 1 && (part.of > 1 || onlyCase !== undefined))
    throw new Error('--jobs shares all cases: it goes neither with --part nor with --case');
  return {
    seed,
    minutes,
    only: values.only,
    onlyCase,
    jobs,
    part,
    list: values.list,
    help: values.help,
  };
}

function partOf(text: string): RunPart {
  const [, index = '', of = ''] = /^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? [];
  if (of === '' || Number(index) >= Number(of))
    throw new Error(`--part takes I/N with I from 0 to N - 1, such as 0/4, not ${text}`);
  return { index: Number(index), of: Number(of) };
}

function wholeNumber(option: string, text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number))
    throw new Error(`${option} takes a whole number from 0 on, not ${text}`);
  return number;
}

/** Whether a name is meant by one of these globs, of which only `*` and `?` mean anything. */
export function isMeant(name: string, globs: readonly string[]): boolean {
  const literal = (text: string): string => text.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return (
    globs.length === 0 ||
    globs.some((glob) =>
      new RegExp(`^${literal(glob).replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name),
    )
  );
}
