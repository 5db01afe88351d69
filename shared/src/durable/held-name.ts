import { readlinkSync } from 'node:fs';
import { errnoOf } from './system-errors.ts';

/** Where this process finds what it has open; undefined where a system has no such place. */
const descriptors = process.platform === 'linux' ? ownDescriptors() : undefined;

/**
 * By the number that this process has in the mounted `/proc`, which need not be the one it knows
 * itself by; `/proc/self` would be another link for each name that is looked up.
 */
function ownDescriptors(): string | undefined {
  try {
    return `/proc/${readlinkSync('/proc/self')}/fd/`;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined; // a machine without /proc
  }
}

/** Whether names can be reached below an open folder: Node has no openat, but Linux has `/proc`. */
export const canHold = descriptors !== undefined;

/** The path by which what is open is reached, and names in it; undefined unless `canHold`. */
export function belowDescriptor(descriptor: number): string | undefined {
  return descriptors === undefined ? undefined : `${descriptors}${descriptor}`;
}
