/** What waits in memory for Level, in key order; null is a deletion. */
export type Waiting = readonly (readonly [Buffer, Buffer | null])[];

/**
 * The waiting changes of a range, as they are now: the newest word on a key is in the last of
 * `sources` that has it.
 */
export function waitingIn(
  sources: readonly ReadonlyMap<string, Buffer | null>[],
  { gte, lt }: { readonly gte: Buffer; readonly lt: Buffer },
): Waiting {
  const [from, to] = [gte.toString('latin1'), lt.toString('latin1')];
  const found = new Map<string, Buffer | null>();
  for (const changes of sources) {
    for (const [key, value] of changes) if (key >= from && key < to) found.set(key, value);
  }
  // Each character is one byte, so the order of the texts is the order of the keys.
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => [Buffer.from(key, 'latin1'), value]);
}

/** Level's rows with what waits for it laid over them, in key order. */
export async function* overlaid(
  rows: AsyncIterable<[Buffer, Buffer]>,
  waiting: Waiting,
): AsyncGenerator<[Buffer, Buffer]> {
  let next = 0;
  for await (const row of rows) {
    let order = -1;
    for (; next < waiting.length; next += 1) {
      const [key, value] = waiting[next] ?? row;
      order = Buffer.compare(key, row[0]);
      if (order > 0) break;
      if (value !== null) yield [key, value];
      if (order === 0) {
        next += 1;
        break;
      }
    }
    if (order !== 0) yield row;
  }
  for (const [key, value] of waiting.slice(next)) if (value !== null) yield [key, value];
}
