import type { VersionFacts } from '../../../retention/kept.ts';
import type { VersionPlace } from '../../catalog/version-rows.ts';

/** What stands in clear of one version, and when it came. */
export interface ClearFacts {
  readonly slot: number;
  readonly kind: VersionFacts['kind'];
  /** Stands for its class, source and PC (`RuledKinds`); `NONE` where no row says them. */
  readonly ruledBy: number;
  readonly size: number;
  /** Stands for the folder result that it is a member of; `NONE`: of none. */
  readonly result: number;
}

/** What took the place of a version; Infinity: nothing did (`VersionFacts`). */
export type Replacement = Pick<VersionFacts, 'untilMs' | 'replacedMs' | 'replacedPlace'>;

/** A version with all that bears on whether it stays. */
export interface DatedFacts extends ClearFacts, VersionPlace, Replacement {
  readonly timeMs: number;
  readonly receivedMs: number;
}

export const NONE = -1;
/** In the place of a version that another followed: it cannot be read. */
export const LOST = -2;
/** Of the times of a version about which no row of the catalog has said anything. */
const UNSAID = -1;

const kinds = ['whole', 'growing', 'gone'] as const;
const FIRST_ROWS = 1024;

/**
 * Facts of many versions, some 60 bytes each: the rows of commits in the order of acceptance, which
 * the rows of the catalog then join to the chains of their files. A version is known by its row in
 * here.
 */
export class VersionColumns {
  #commits = {
    leaves: new Float64Array(64),
    receivedMs: new Float64Array(64),
    from: new Uint32Array(64),
  };
  #commitCount = 0;
  #rows: Rows;
  #rowCount = 0;

  /** @param expected room for so many versions, that it need not be made as they come. */
  constructor(expected = FIRST_ROWS) {
    this.#rows = newRows(expected);
  }

  get rows(): number {
    return this.#rowCount;
  }

  /** What follows are rows of this leaf, which stands behind all before it. */
  begin(leafIndex: number, receivedMs: number): void {
    const at = this.#commitCount;
    if (at === this.#commits.leaves.length) {
      const { leaves, receivedMs: received, from } = this.#commits;
      this.#commits = {
        leaves: grown(leaves, new Float64Array(2 * at)),
        receivedMs: grown(received, new Float64Array(2 * at)),
        from: grown(from, new Uint32Array(2 * at)),
      };
    }
    this.#commits.leaves[at] = leafIndex;
    this.#commits.receivedMs[at] = receivedMs;
    this.#commits.from[at] = this.#rowCount;
    this.#commitCount = at + 1;
  }

  /** By rising slot. */
  add({ slot, kind, ruledBy, size, result }: ClearFacts): void {
    const at = this.#rowCount;
    if (at === this.#rows.slots.length) this.#rows = moreRows(this.#rows);
    const rows = this.#rows;
    rows.slots[at] = slot;
    rows.kinds[at] = kinds.indexOf(kind);
    rows.ruledBy[at] = ruledBy;
    rows.sizes[at] = size;
    rows.results[at] = result;
    rows.times[at] = UNSAID;
    rows.untils[at] = Infinity;
    rows.replacedMs[at] = Infinity;
    rows.replacedPlaces[at] = Infinity;
    rows.follows[at] = NONE;
    this.#rowCount = at + 1;
  }

  /** The row of a version; `NONE` where it is not in here. */
  rowOf({ leafIndex, slot }: VersionPlace): number {
    const { leaves, from } = this.#commits;
    const commit = lastNotAbove(leaves, 0, this.#commitCount, leafIndex);
    if (commit < 0 || leaves[commit] !== leafIndex) return NONE;
    const first = from[commit] ?? 0;
    const end = commit + 1 < this.#commitCount ? (from[commit + 1] ?? 0) : this.#rowCount;
    const row = lastNotAbove(this.#rows.slots, first, end, slot);
    return row >= first && this.#rows.slots[row] === slot ? row : NONE;
  }

  setTime(row: number, timeMs: number): void {
    this.#rows.times[row] = timeMs;
  }

  /** When something was received, by its row. */
  receivedMs(row: number): number {
    return this.#commits.receivedMs[this.#commitOf(row)] ?? 0;
  }

  /** Says what took the place of a version. */
  replace(row: number, by: Replacement): void {
    this.#rows.untils[row] = by.untilMs;
    this.#rows.replacedMs[row] = by.replacedMs;
    this.#rows.replacedPlaces[row] = by.replacedPlace;
  }

  /** Says which version it followed; `LOST` where that is not in here. */
  follow(row: number, before: number): void {
    this.#rows.follows[row] = before;
  }

  follows(row: number): number {
    return this.#rows.follows[row] ?? LOST;
  }

  /** @throws RangeError */
  at(row: number): DatedFacts {
    const rows = this.#rows;
    if (row < 0 || row >= this.#rowCount) throw new RangeError(`there is no row ${row}`);
    const commit = this.#commitOf(row);
    return {
      leafIndex: this.#commits.leaves[commit] ?? 0,
      receivedMs: this.#commits.receivedMs[commit] ?? 0,
      slot: rows.slots[row] ?? 0,
      kind: kinds[rows.kinds[row] ?? 0] ?? 'whole',
      ruledBy: rows.ruledBy[row] ?? NONE,
      size: rows.sizes[row] ?? 0,
      result: rows.results[row] ?? NONE,
      timeMs: rows.times[row] ?? UNSAID,
      untilMs: rows.untils[row] ?? Infinity,
      replacedMs: rows.replacedMs[row] ?? Infinity,
      replacedPlace: rows.replacedPlaces[row] ?? Infinity,
    };
  }

  #commitOf(row: number): number {
    return lastNotAbove(this.#commits.from, 0, this.#commitCount, row);
  }
}

interface Rows {
  readonly slots: Uint16Array;
  readonly kinds: Uint8Array;
  readonly ruledBy: Int32Array;
  readonly sizes: Float64Array;
  readonly results: Int32Array;
  readonly times: Float64Array;
  readonly untils: Float64Array;
  readonly replacedMs: Float64Array;
  readonly replacedPlaces: Float64Array;
  readonly follows: Int32Array;
}

function newRows(count: number): Rows {
  return {
    slots: new Uint16Array(count),
    kinds: new Uint8Array(count),
    ruledBy: new Int32Array(count),
    sizes: new Float64Array(count),
    results: new Int32Array(count),
    times: new Float64Array(count),
    untils: new Float64Array(count),
    replacedMs: new Float64Array(count),
    replacedPlaces: new Float64Array(count),
    follows: new Int32Array(count),
  };
}

/** Half as many more: twice as many would double the most that a pass takes. */
function moreRows(rows: Rows): Rows {
  const more = newRows(Math.ceil(rows.slots.length * 1.5) + FIRST_ROWS);
  for (const name of Object.keys(rows) as (keyof Rows)[]) grown(rows[name], more[name]);
  return more;
}

function grown<T extends { set(from: T): void }>(from: T, into: T): T {
  into.set(from);
  return into;
}

/** The last place from `low` on, below `high`, whose value is not above; `low - 1`: none is. */
function lastNotAbove(
  values: Float64Array | Uint32Array | Uint16Array,
  low: number,
  high: number,
  value: number,
): number {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((values[middle] ?? Infinity) <= value) from = middle + 1;
    else to = middle;
  }
  return from - 1;
}
