/** Numbers from one to another, both included. */
interface NumberRun {
  readonly from: number;
  readonly to: number;
}

/** A set of counters that mostly stand in a row: it holds the rows, not the counters. */
export class NumberSet {
  /** Ascending; none touches the next. */
  #runs: NumberRun[] = [];

  /** Adds one, or all from one to another; mostly behind the last. */
  add(from: number, to = from): void {
    const at = this.#firstEndingAt(from - 1);
    let [low, high, end] = [from, to, at];
    for (let near = this.#runs[at]; near !== undefined && near.from <= to + 1; ) {
      [low, high] = [Math.min(low, near.from), Math.max(high, near.to)];
      end += 1;
      near = this.#runs[end];
    }
    this.#runs.splice(at, end - at, { from: low, to: high });
  }

  /** Adds these, which ascend. */
  addAll(numbers: readonly number[]): void {
    let from = 0;
    for (let to = 0; to < numbers.length; to += 1) {
      if (numbers[to + 1] === (numbers[to] ?? 0) + 1) continue;
      this.add(numbers[from] ?? 0, numbers[to]);
      from = to + 1;
    }
  }

  /** The lowest; beyond all numbers when there is none. */
  get first(): number {
    return this.firstFrom(0);
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
