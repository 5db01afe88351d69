/**
 * What is there already, or comes: the answer of a call that may be done when it returns. A promise
 * costs little, and a dozen of them in each other, for every call of a small file, as much as the
 * file.
 */
export type Soon<T> = T | Promise<T>;

/**
 * Work that waits only where it has to: written as a generator, it serves calls that are done at
 * once and calls that come. Each step is `yield* soon(call)`.
 */
export type Steps<T> = Generator<Promise<unknown>, T, never>;

/** The value of a call inside of `Steps`; its error is thrown there. */
export function* soon<T>(value: Soon<T>): Steps<T> {
  return value instanceof Promise ? ((yield value) as T) : value;
}

/** Does the work: at once as far as nothing waits. Throws what fails before that. */
export function inSteps<T>(steps: Steps<T>): Soon<T> {
  const step = steps.next(undefined as never);
  return step.done === true ? step.value : onwards(steps, step.value);
}

async function onwards<T>(steps: Steps<T>, first: Promise<unknown>): Promise<T> {
  for (let waiting = first; ; ) {
    const came = await waiting.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    const step = 'error' in came ? steps.throw(came.error) : steps.next(came.value as never);
    if (step.done === true) return step.value;
    waiting = step.value;
  }
}
