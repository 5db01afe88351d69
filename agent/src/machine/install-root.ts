import { basename, dirname } from 'node:path';

/**
 * The folder of the install that a program lies in: three above `versions/0.1.0/program`. Undefined
 * for a clone, and for packages of a Linux distribution, which have no versions beside each other.
 */
export function installRoot(programFolder: string): string | undefined {
  const versions = dirname(dirname(programFolder));
  return basename(programFolder) === 'program' && basename(versions) === 'versions'
    ? dirname(versions)
    : undefined;
}
