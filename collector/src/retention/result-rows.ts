/*
 * A folder result goes or stays whole: its row keeps the versions of its members that it names. The
 * other way round a member keeps no row, or one file that never changes would keep every state of
 * its result.
 */

/** One row of a folder result, and until when it stays (`keptFor`). */
export interface RowEnd {
  /**
   * Where it stands in the order of acceptance: any number that rises with leaf and slot. Times do
   * not tell, for those of one commit need not rise.
   */
  readonly place: number;
  readonly untilMs: number;
}

/**
 * The rows of one result, asked for the versions of its members. A row names the newest versions
 * that stand before it, so a version is named by the rows between itself and what replaced it; the
 * latest end among them is looked up at once, however many there are.
 */
export class ResultRows {
  readonly #places: readonly number[];
  /** In row `n`, at `i`: the latest end of the 2^n rows from `i` on. */
  readonly #latest: (readonly number[])[];

  /** @param rows by rising place. */
  constructor(rows: readonly RowEnd[]) {
    this.#places = rows.map(({ place }) => place);
    let level = rows.map(({ untilMs }) => untilMs);
    this.#latest = [level];
    for (let span = 1; span * 2 <= rows.length; span *= 2) {
      const below = level;
      level = below
        .slice(0, below.length - span)
        .map((end, at) => Math.max(end, below[at + span] ?? -Infinity));
      this.#latest.push(level);
    }
  }

  /**
   * Until when the rows keep a member's version that stands at `place` and was replaced at
   * `replacedPlace` (Infinity: it was not). Undefined: none names it.
   */
  untilFor(place: number, replacedPlace: number): number | undefined {
    const from = this.#firstAfter(place);
    const to = replacedPlace === Infinity ? this.#places.length : this.#firstAfter(replacedPlace);
    if (from >= to) return undefined;
    const power = Math.floor(Math.log2(to - from));
    const level = this.#latest[power] ?? [];
    return Math.max(level[from] ?? -Infinity, level[to - 2 ** power] ?? -Infinity);
  }

  /** The first row behind a place; its number in the list. */
  #firstAfter(place: number): number {
    let [low, high] = [0, this.#places.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] ?? Infinity) <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
