import { mapKey } from '../crypto/bytes.ts';
import type { NamedChanges, Row } from './derived-index.ts';
import type { KeyRange } from './level-port.ts';

/** A row that waits; undefined: its removal does. */
export type Waiting = readonly [key: Buffer, value: Buffer | undefined];

/**
 * Changes that wait in memory: the newest word on each key. Keys and values are kept as text, one
 * character a byte, since buffers of their own would take more memory than most rows; names sort as
 * the keys do.
 */
export class Overlay {
  readonly #changes = new Map<string, string | null>();

  get size(): number {
    return this.#changes.size;
  }

  set(key: Uint8Array, value: Uint8Array | undefined): void {
    this.#changes.set(mapKey(key), value === undefined ? null : mapKey(value));
  }

  take(changes: NamedChanges): void {
    for (const [name, value] of changes) this.#changes.set(name, value);
  }

  /** What waits under a key: `null` for a removal, undefined where nothing does. */
  get(key: Uint8Array): Buffer | null | undefined {
    const value = this.#changes.get(mapKey(key));
    return value === undefined || value === null ? value : bytesOf(value);
  }

  *all(): Iterable<Waiting> {
    for (const [name, value] of this.#changes) yield waiting(name, value);
  }

  clear(): void {
    this.#changes.clear();
  }

  /** Forgets what waits in a range. */
  forget(range: KeyRange): void {
    for (const name of this.#namesIn(range)) this.#changes.delete(name);
  }

  /** What waits in a range, as it is now, in key order. */
  within(range: KeyRange): readonly Waiting[] {
    const names = this.#namesIn(range);
    names.sort((left, right) => (left < right ? -1 : 1));
    return names.map((name) => waiting(name, this.#changes.get(name) ?? null));
  }

  #namesIn({ gte, lt }: KeyRange): string[] {
    const first = mapKey(gte);
    const end = lt === undefined ? undefined : mapKey(lt);
    const names: string[] = [];
    for (const name of this.#changes.keys())
      if (name >= first && (end === undefined || name < end)) names.push(name);
    return names;
  }
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function waiting(name: string, value: string | null): Waiting {
  return [bytesOf(name), value === null ? undefined : bytesOf(value)];
}

/** The same bytes, not copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Whether a key is in a range. Test only: the index in memory compares what it has written. */
export function isIn(key: Uint8Array, { gte, lt }: KeyRange): boolean {
  return Buffer.compare(key, gte) >= 0 && (lt === undefined || Buffer.compare(key, lt) < 0);
}

/** Written rows with what waits laid over them, in key order. */
export async function* overlaid(
  written: AsyncIterable<readonly Row[]>,
  waiting: readonly Waiting[],
): AsyncGenerator<readonly Row[], void, void> {
  let next = 0;
  for await (const rows of written) {
    const merged: Row[] = [];
    for (const row of rows) {
      let order = -1;
      for (; next < waiting.length && order < 0; next += 1) {
        const [key, value] = waiting[next] as Waiting;
        order = Buffer.compare(key, row[0]);
        if (order > 0) break;
        if (value !== undefined) merged.push([key, value]);
      }
      if (order !== 0) merged.push(row);
    }
    yield merged;
  }
  const rest: Row[] = [];
  for (const [key, value] of waiting.slice(next)) if (value !== undefined) rest.push([key, value]);
  if (rest.length > 0) yield rest;
}
