import type { KnownVersion } from '../catalog/version-rows.ts';

/** Places of versions, a column for each part. */
export interface Places {
  readonly leaves: Float64Array;
  readonly slots: Float64Array;
  readonly times: Float64Array;
}

/** A growing column of numbers, 8 bytes each. */
class Column {
  #values = new Float64Array(1024);
  #length = 0;

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length] = value;
    this.#length += 1;
  }

  get values(): Float64Array {
    return this.#values.subarray(0, this.#length);
  }
}

/** Places of versions, as they are found. */
export class FoundVersions implements Places {
  readonly #leaves = new Column();
  readonly #slots = new Column();
  readonly #times = new Column();

  add({ leafIndex, slot, timeMs }: KnownVersion): void {
    this.#leaves.push(leafIndex);
    this.#slots.push(slot);
    this.#times.push(timeMs);
  }

  get leaves(): Float64Array {
    return this.#leaves.values;
  }

  get slots(): Float64Array {
    return this.#slots.values;
  }

  get times(): Float64Array {
    return this.#times.values;
  }
}
