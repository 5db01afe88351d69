import type { Platform } from '@aliquot/proto';
import picomatch from 'picomatch';
import { UsageError } from './errors.ts';

/** Whether a path (as `pathText` gives it) is meant. */
export type PathMatcher = (path: string, platform?: Platform) => boolean;

/**
 * What a GLOB of the command line means:
 *
 * - the whole path, or a folder above it: `/data/run1` takes everything below that folder;
 * - `*` and `?` stay within a name, `**` crosses folders, `[…]` and `{a,b}` as in a shell; names
 *   that begin with a dot count;
 * - without a slash it is tried on every name of the path: `*.tmp`, `node_modules`;
 * - on a PC with Windows, `\` and `/` are the same and case does not matter;
 * - a path that is spelled exactly like the pattern always matches, whatever signs it holds.
 */
export function globMatcher(pattern: string): PathMatcher {
  if (pattern === '')
    throw new UsageError(
      'USAGE_INVALID',
      'a path pattern cannot be empty; leave the option out for everything',
    );
  const byPlatform: Record<Platform, (path: string) => boolean> = {
    posix: matcherFor(pattern, false),
    windows: matcherFor(pattern.replaceAll('\\', '/'), true),
  };
  return (path, platform = 'posix') => {
    if (path === pattern) return true;
    return platform === 'windows'
      ? byPlatform.windows(path.replaceAll('\\', '/'))
      : byPlatform.posix(path);
  };
}

function matcherFor(pattern: string, nocase: boolean): (path: string) => boolean {
  const trimmed = pattern.length > 1 ? pattern.replace(/\/+$/, '') : pattern;
  const matches = compile(trimmed, nocase);
  if (!trimmed.includes('/'))
    return (path) => path.split('/').some((name) => name !== '' && matches(name));
  const below = compile(trimmed === '/' ? '/**' : `${trimmed}/**`, nocase);
  const literal = `${trimmed}/`;
  return (path) => matches(path) || below(path) || path.startsWith(literal);
}

function compile(pattern: string, nocase: boolean): (text: string) => boolean {
  try {
    // `windows: false`: separators were made `/` above, on every host.
    return picomatch(pattern, { dot: true, nocase, strictBrackets: true, windows: false });
  } catch (error) {
    // Any error: picomatch has no class of errors, and whatever it says is about the pattern.
    throw new UsageError(
      'USAGE_INVALID',
      `"${pattern}" is not a path pattern: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
