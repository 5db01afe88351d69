import type { KnownFile, Queue } from '../queue/queue.ts';
import { type BytePath, pathBytes, separator } from '../source/paths.ts';

/** What is known at and below a path, in byte order. */
export async function* knownAt(
  queue: Queue,
  at: BytePath,
): AsyncGenerator<readonly KnownFile[], void, void> {
  const self = await queue.known(pathBytes(at));
  if (self !== undefined) yield [self];
  // Not by the bare prefix: `/data/run` must not read through all of `/data/run-2024`.
  for await (const batch of queue.knownBatches(
    pathBytes(at.endsWith(separator) ? at : at + separator),
  ))
    yield batch;
}
