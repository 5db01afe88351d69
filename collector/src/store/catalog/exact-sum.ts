/**
 * A sum of sizes that is exact whatever agents claim: a number as long as that is exact, for there
 * is one addition for each version, and a bigint beyond.
 */
export class ExactSum {
  #beyond = 0n;
  #some = 0;

  /** Adds a safe integer, which may be negative. */
  add(size: number): void {
    const sum = this.#some + size;
    if (Number.isSafeInteger(sum)) {
      this.#some = sum;
      return;
    }
    this.#beyond += BigInt(this.#some);
    this.#some = size;
  }

  get value(): bigint {
    return this.#beyond + BigInt(this.#some);
  }
}
