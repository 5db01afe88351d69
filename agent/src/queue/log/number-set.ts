/** Numbers from one to another, both included. */
interface NumberRun {
  readonly from: number;
  readonly to: number;
}

/** A set of counters that mostly stand in a row: it holds the rows, not the counters. */
export class NumberSet {
  /** Ascending; none touches the next. */
  #runs: NumberRun[] = [];

  /** Mostly the next one behind the last. */
  add(number: number): void {
    const at = this.#firstEndingAt(number - 1);
    const near = this.#runs[at];
    if (near === undefined || number + 1 < near.from) {
      this.#runs.splice(at, 0, { from: number, to: number });
      return;
    }
    const after = this.#runs[at + 1];
    const joins = number === near.to + 1 && after?.from === number + 1;
    const to = joins ? after.to : Math.max(near.to, number);
    this.#runs.splice(at, joins ? 2 : 1, { from: Math.min(near.from, number), to });
  }

  has(number: number): boolean {
    return this.covers(number, number);
  }

  /** Whether all from one to another are in it; true when `to` is before `from`. */
  covers(from: number, to: number): boolean {
    if (to < from) return true;
    const run = this.#runs[this.#firstEndingAt(from)];
    return run !== undefined && run.from <= from && to <= run.to;
  }

  /** The number behind the run that a number is in; the number itself when it is in none. */
  behind(number: number): number {
    const run = this.#runs[this.#firstEndingAt(number)];
    return run !== undefined && run.from <= number ? run.to + 1 : number;
  }

  /** The first number of the set from this one on; beyond all numbers when there is none. */
  firstFrom(number: number): number {
    const run = this.#runs[this.#firstEndingAt(number)];
    return run === undefined ? Number.MAX_SAFE_INTEGER : Math.max(run.from, number);
  }

  /** The first run that ends at a number or behind it. */
  #firstEndingAt(number: number): number {
    let [low, high] = [0, this.#runs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#runs[middle]?.to ?? 0) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
