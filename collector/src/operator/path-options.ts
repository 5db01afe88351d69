import type { Platform } from '@aliquot/proto';
import { PartialError, UsageError } from '@aliquot/shared/cli/errors';
import { formatCount, printable } from '@aliquot/shared/cli/format';
import type { PathMatcher } from '@aliquot/shared/cli/glob';
import type { Output } from '@aliquot/shared/cli/output';
import { isOnePath, PathSet, parsePathFile } from '@aliquot/shared/cli/path-set';
import { readWholeFile } from '@aliquot/shared/durable/durable';
import type { Command } from 'commander';
import { CommandError } from '../cli/command-error.ts';
import type { CommandContext } from '../cli/context.ts';

/** Which paths a command is about. */
export interface PathOptions {
  readonly path?: string;
  readonly pathFile?: string;
  /** Whether `-0` was given. */
  readonly null?: boolean;
}

const MAX_PATH_FILE_BYTES = 256 * 1024 * 1024;
/**
 * So many rows that only the pattern matches are kept while it is not known whether the path is
 * there as it is spelled.
 */
const MAX_HELD = 1000;

/** Adds `--path` and `--path-file`. */
export function withPaths(command: Command): Command {
  return command
    .option(
      '--path <GLOB>',
      'only this path, and what lies below it; else paths that match the pattern, or lie below a folder that matches',
    )
    .option('--path-file <FILE>', 'only the whole paths in this file, one a line, taken literally')
    .option('-0, --null', 'in that file each path is ended by a NUL, as find -print0 writes them');
}

/** The rows of a listing that a command is about. */
export interface WantedPaths {
  /** Whether that is everything. */
  readonly all: boolean;
  /**
   * Those of one history's rows that are meant. A path that is there as it is spelled means itself,
   * whatever signs it holds; only where there is none is it a pattern. `rows` may be walked through
   * twice; `passedBy` gets the paths that are not meant. Error: `USAGE_INVALID`, for what is
   * neither.
   */
  of<Row>(
    rows: () => AsyncIterable<Row>,
    nameOf: (row: Row) => { path: string; platform: Platform },
    passedBy?: (path: string) => void,
  ): AsyncIterable<Row>;
  /**
   * Names the paths of a file that nothing was found for. Errors: `PARTIAL`, or
   * `COMMAND_NO_SUCH_FILE` when nothing at all was.
   */
  requireFound(output: Output, found: boolean): Promise<void>;
}

/** What `--path` and `--path-file` mean. Errors: `USAGE_INVALID`, file errors. */
export async function wantedPaths(
  context: CommandContext,
  { path, pathFile, null: byNul }: PathOptions,
): Promise<WantedPaths> {
  if (path !== undefined && pathFile !== undefined)
    throw new UsageError('USAGE_INVALID', 'give --path or --path-file, not both');
  if (pathFile === undefined && byNul === true)
    throw new UsageError('USAGE_INVALID', '-0 says how --path-file is written; give that too');
  if (pathFile !== undefined) {
    return inFile(
      new PathSet(
        parsePathFile(
          await readWholeFile(context.files, pathFile, MAX_PATH_FILE_BYTES),
          pathFile,
          byNul === true,
        ),
      ),
    );
  }
  if (path === '')
    throw new UsageError(
      'USAGE_INVALID',
      'a path cannot be empty; leave the option out for everything',
    );
  const requireFound = async () => undefined;
  return path === undefined
    ? { all: true, of: (rows) => rows(), requireFound }
    : { all: false, of: await literalFirst(path), requireFound };
}

function inFile(paths: PathSet): WantedPaths {
  return {
    all: false,
    async *of(rows, nameOf) {
      for await (const row of rows()) {
        const { path, platform } = nameOf(row);
        if (paths.has(path, platform)) yield row;
      }
    },
    async requireFound(output, found) {
      const { missing } = paths;
      for (const path of missing) {
        await output.result({ event: 'missing', path });
        if (!output.json) output.note(`not there: ${printable(path)}`);
      }
      if (missing.length === 0) return;
      const says = `${formatCount(missing.length)} of the paths in the file ${missing.length === 1 ? 'is' : 'are'} not there, each named above`;
      throw found
        ? new PartialError('PARTIAL', says)
        : new CommandError('COMMAND_NO_SUCH_FILE', says);
    },
  };
}

async function literalFirst(text: string): Promise<WantedPaths['of']> {
  const literal = literally(text);
  // Without signs that mean something, the pattern matches what the path does; a bad one is
  // reported only where there is no such path.
  let pattern: PathMatcher | undefined;
  let fault: UsageError | undefined;
  try {
    // Loaded here: most commands that take a path get none, or a whole one.
    if (!isOnePath(text)) pattern = (await import('@aliquot/shared/cli/glob')).globMatcher(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    fault = error;
  }
  return async function* of(rows, nameOf, passedBy) {
    const held: Parameters<typeof nameOf>[0][] = [];
    let tooMany = false;
    let there = false;
    for await (const row of rows()) {
      const { path, platform } = nameOf(row);
      if (literal(path, platform)) {
        there = true;
        held.length = 0;
        yield row;
      } else if (!there && !tooMany && pattern?.(path, platform) === true) {
        tooMany = held.push(row) > MAX_HELD;
        if (tooMany) held.length = 0;
      } else passedBy?.(path);
    }
    if (there) return;
    if (fault !== undefined) throw fault;
    if (!tooMany) yield* held;
    else {
      for await (const row of rows()) {
        const { path, platform } = nameOf(row);
        if (pattern?.(path, platform) === true) yield row;
      }
    }
  };
}

/** A whole path and what is below it; without a slash, a name anywhere. */
function literally(text: string): PathMatcher {
  if (/[\\/]/.test(text)) {
    const set = new PathSet([text]);
    return (path, platform) => set.has(path, platform);
  }
  const folded = text.toLowerCase();
  return (path, platform) =>
    platform === 'windows'
      ? path.toLowerCase().split(/[\\/]/).includes(folded)
      : path.split('/').includes(text);
}
