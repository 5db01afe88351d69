import { posix, win32 } from 'node:path';
import type { Platform } from '@aliquot/proto';

/**
 * For which system settings are read: a PC reads its own kind of paths only; central IT writes for
 * PCs of both kinds, and there each path says by its beginning for which it is.
 */
export type Where = Platform | 'anywhere';

/** The system of this process. */
export const here: Platform = process.platform === 'win32' ? 'windows' : 'posix';

/** For which system an absolute path is; undefined for what is absolute nowhere. */
export function platformOf(path: string): Platform | undefined {
  if (path.startsWith('/')) return 'posix';
  return /^(?:[A-Za-z]:[\\/]|\\\\)/.test(path) ? 'windows' : undefined;
}

/**
 * What is said of a path that is not absolute where the settings are for; one of another system's
 * kind is named as that.
 */
export function notAbsolute(path: unknown, where: Where, examples: string): string {
  const foreign =
    where !== 'anywhere' && typeof path === 'string' && platformOf(path) === 'windows';
  return foreign
    ? `is a path of Windows, and this PC has another system; write it as ${examples.split(' ', 1)[0]}`
    : `must be an absolute path, such as ${examples}`;
}

/** Whether a path is absolute where the settings are for. */
export function absoluteHere(path: string, where: Where): boolean {
  if (where === 'anywhere') return platformOf(path) !== undefined;
  return (where === 'windows' ? win32 : posix).isAbsolute(path);
}

/** The functions for paths of the system that an absolute path is for. */
export function pathsOf(path: string, where: Where): typeof posix {
  const platform = where === 'anywhere' ? platformOf(path) : where;
  return platform === 'windows' ? win32 : posix;
}
