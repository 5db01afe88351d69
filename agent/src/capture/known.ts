import type { KnownFile, KnownFiles } from '../queue/ledger/ledger.ts';
import { type BytePath, pathBytes, separator } from '../source/paths.ts';

/** What is known at and below a path, in byte order. */
export async function* knownAt(
  known: Pick<KnownFiles, 'known' | 'knownBatches'>,
  at: BytePath,
): AsyncGenerator<readonly KnownFile[], void, void> {
  const self = await known.known(pathBytes(at));
  if (self !== undefined) yield [self];
  // Not by the bare prefix: `/data/run` must not read through all of `/data/run-2024`.
  for await (const batch of known.knownBatches(
    pathBytes(at.endsWith(separator) ? at : at + separator),
  ))
    yield batch;
}
