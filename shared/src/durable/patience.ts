import type { FilePort } from './file-port.ts';
import { errnoOf } from './system-errors.ts';

/**
 * On Windows a program that has a file open decides whether others may open, rename or remove it
 * meanwhile. Virus scanners, search and backup programs hold each new file for a moment, so what
 * fails with these errors is tried again before anybody hears of it.
 */
const momentary = new Set(['EPERM', 'EACCES', 'EBUSY']);

/** The pauses between two tries, in milliseconds: two seconds together. */
const pauses = [10, 20, 40, 80, 150, 200, 250, 250, 250, 250, 250, 250];

/** Errors that stood for as long as was waited. */
const stood = new WeakSet<object>();

/**
 * Whether this error was met again and again for two seconds: something holds the file, or this
 * account may not have it; Windows says not which.
 */
export function wasWaitedFor(error: unknown): boolean {
  return typeof error === 'object' && error !== null && stood.has(error);
}

/**
 * Runs a step until it succeeds, fails in another way than `passes` tells, or has failed for two
 * seconds.
 */
export async function patiently<T>(
  wait: Wait,
  passes: (error: unknown) => boolean | Promise<boolean>,
  step: () => Promise<T>,
): Promise<T> {
  for (const pause of [...pauses, undefined]) {
    try {
      return await step();
    } catch (error) {
      if (!(await passes(error))) throw error;
      if (pause === undefined) {
        stood.add(error as object);
        throw error;
      }
      await wait(pause);
    }
  }
  throw new Error('unreachable: the last try returns or throws');
}

/** Lets so many milliseconds pass. */
export type Wait = (ms: number) => Promise<void>;

/**
 * A port whose files may be held by others for a moment: opening, renaming and removing wait for
 * it. Nobody holds a name that is only being made, so there only EBUSY is waited for, and a folder
 * that this account may not write in is reported at once.
 */
export function patientFiles(port: FilePort, wait: Wait): FilePort {
  const held = (error: unknown): boolean => momentary.has(errnoOf(error) ?? '');
  const busy = (error: unknown): boolean => errnoOf(error) === 'EBUSY';
  return {
    ...port,
    open: (path, mode, permissions) =>
      patiently(wait, mode === 'createNew' ? busy : held, () => port.open(path, mode, permissions)),
    rename: (from, to) => patiently(wait, held, () => port.rename(from, to)),
    link: (existing, name) => patiently(wait, busy, () => port.link(existing, name)),
    unlink: (path) => patiently(wait, held, () => port.unlink(path)),
    rmdir: (path) => patiently(wait, held, () => port.rmdir(path)),
    mkdir: (path, permissions) => patiently(wait, busy, () => port.mkdir(path, permissions)),
  };
}
