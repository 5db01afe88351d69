import {
  decodeWrittenResult,
  encodeWrittenResult,
  familyRange,
  prefixRange,
  rawKey,
  type WrittenResult,
} from './index-rows.ts';
import type { IndexStore } from './index-store.ts';
import type { VersionHead, VersionRow } from './payloads.ts';

/*
 * What the index says of folder results: a row or two for each, none for their members.
 */

/** Members have changed since the newest row, or there is none. */
const CHANGED = new Uint8Array(0);
/** The newest row still says how it is, and that it is open. */
const OPEN = Uint8Array.of(1);

/** What a version record means for results: members that come after a row make it old. */
export function markResults(index: IndexStore, { entry, rows }: VersionHead): void {
  let last: Uint8Array | undefined;
  for (let place = 0; place < rows.length; place += 1) {
    const { path, resultPathLength: length, result } = rows[place] as VersionRow;
    if (result !== undefined) {
      const at = rawKey('R', path);
      // When nothing is left of it, its row says that to others; here it is forgotten.
      if (result.members === 0) index.del(at);
      else index.put(at, encodeWrittenResult({ entry: entry + place, ...result }));
      if (result.progress === 'closed') index.del(rawKey('o', path));
      else index.put(rawKey('o', path), OPEN);
      last = undefined;
    } else if (length > 0 && !(last !== undefined && isRootOf(last, path, length))) {
      last = path.subarray(0, length);
      oweResult(index, path, length);
    }
  }
}

/** The row of the result that a file is a member of is owed; none for length 0. */
export function oweResult(index: IndexStore, path: Uint8Array, resultPathLength: number): void {
  if (resultPathLength > 0) index.put(rawKey('o', path.subarray(0, resultPathLength)), CHANGED);
}

/** This version is lost: if it was a result's row, it is owed again. */
export async function forgetResult(
  index: IndexStore,
  entry: number,
  path: Uint8Array,
): Promise<void> {
  const value = path.length === 0 ? undefined : await index.get(rawKey('R', path));
  if (value === undefined || decodeWrittenResult(value).entry !== entry) return;
  index.del(rawKey('R', path));
  oweResult(index, path, path.length);
}

/** How a result stands, with what waits to be written. */
export interface ResultStanding {
  /** Its newest row; undefined: none that is known. */
  readonly row: WrittenResult | undefined;
  /** Members have changed since. */
  readonly changed: boolean;
}

export async function resultStanding(index: IndexStore, root: Uint8Array): Promise<ResultStanding> {
  const [row, owed] = await index.getMany([rawKey('R', root), rawKey('o', root)]);
  return {
    row: row === undefined ? undefined : decodeWrittenResult(row),
    changed: owed !== undefined && owed.length === 0,
  };
}

/** Folders whose row is owed, of those whose path begins so; of what was written. */
export async function* owedResults(
  index: IndexStore,
  prefix: Uint8Array,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const [key] of index.iterate(prefixRange(rawKey('o', prefix)))) yield key.slice(1);
}

/** Folders by the numbers of their rows, where those are among these. */
export async function resultNames(
  index: IndexStore,
  wanted: ReadonlySet<number>,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const found = new Map<number, Uint8Array>();
  for await (const [key, value] of index.iterate(familyRange('R'))) {
    const { entry } = decodeWrittenResult(value);
    if (wanted.has(entry)) found.set(entry, key.slice(1));
  }
  return found;
}

function isRootOf(root: Uint8Array, path: Uint8Array, length: number): boolean {
  return root.length === length && Buffer.compare(root, path.subarray(0, length)) === 0;
}
