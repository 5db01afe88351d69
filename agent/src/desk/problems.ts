import { win32 } from 'node:path';
import type { ProblemBook } from '../capture/problem-book.ts';
import { type BytePath, fromText } from '../source/paths.ts';
import type { Problem } from '../source/problem.ts';
import type { DeskBook, Uncovered } from './book.ts';
import { DeskBook as Book } from './book.ts';

/**
 * Names what is wrong with the desk's settings, and what lost its cover by them, or that nothing is
 * any more (P6).
 */
export async function nameDeskProblems(
  desk: DeskBook,
  problems: ProblemBook,
  dataDir: string,
): Promise<void> {
  const at = fromText(Book.path(dataDir), '/');
  const { refused } = desk;
  if (refused === undefined) await problems.clear(at, 'settings-refused');
  else
    await problems.set(
      at,
      { code: 'settings-refused', message: refusedText(refused, desk.sequence) },
      refused.atMs,
    );
  const named = new Map(
    desk.uncovered.flatMap((one) => placesOf(one).map((path) => [path, one] as const)),
  );
  for (const path of problems.pathsWith('uncovered'))
    if (!named.has(path)) await problems.clear(path, 'uncovered');
  for (const [path, one] of named) await problems.set(path, uncoveredProblem(one), one.sinceMs);
}

function refusedText(
  { sequence, code, message }: NonNullable<DeskBook['refused']>,
  inForce: number,
): string {
  const stays = inForce === 0 ? 'agent.yaml is in force' : `settings ${inForce} stay in force`;
  return `${message}; ${stays} [${code}, settings ${sequence}]`.slice(0, 500);
}

/**
 * A folder that lost its cover; or the patterns that take something of one that stays, which may
 * have a problem of its own.
 */
function placesOf({ path, patterns }: Uncovered): readonly BytePath[] {
  if (patterns.length === 0) return [fromText(path, '/')];
  const windows = /^(?:[A-Za-z]:|\\\\)/.test(path);
  return patterns.map((pattern) =>
    fromText(
      windows
        ? win32.join(path, pattern)
        : pattern.startsWith('/')
          ? pattern
          : `${path}/${pattern}`,
      '/',
    ),
  );
}

function uncoveredProblem({ sequence, patterns }: Uncovered): Problem {
  const what = patterns.length === 0 ? 'is not backed up any more' : 'is left out from now on';
  const wayOut =
    'if that is right, say so: aliquot-agent settings --acknowledge; if not, tell central IT';
  return {
    code: 'uncovered',
    message: `${what}, by settings ${sequence} of central IT; what was backed up stays; ${wayOut}`,
  };
}
