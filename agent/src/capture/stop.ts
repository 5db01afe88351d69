/**
 * The reason why a capture ended before its end: somebody wants the program to stop. Never a fault.
 */
export class CaptureStopped extends Error {
  constructor() {
    super('the capture was stopped; what it had not finished is captured next time');
  }
}

/** Throws `CaptureStopped` once the signal is aborted. */
export function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new CaptureStopped();
}

/**
 * The same items, until the signal is aborted; then it throws, for a stream that merely ended would
 * mean that all was seen.
 */
export async function* unlessStopped<Item>(
  items: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item, void, void> {
  for await (const item of items) {
    throwIfStopped(signal);
    yield item;
  }
}
