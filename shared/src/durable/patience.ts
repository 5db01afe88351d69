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
