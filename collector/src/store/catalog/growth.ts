const DAY_MS = 24 * 3_600_000;
/** Long enough for a weekend not to count, short enough to follow a new instrument. */
const WINDOW_DAYS = 14;

/** How large a vault was on each of the last days: what it grows by follows from it. */
export class Growth {
  readonly #days = new Map<number, number>();

  /** Enters what a day's row says. */
  set(day: number, bytes: number): void {
    this.#days.set(day, bytes);
  }

  /**
   * The days whose rows change with a look at the size now: `undefined` bytes remove a row. Empty
   * when today is known already.
   */
  note(
    nowMs: number,
    bytes: number,
  ): { readonly day: number; readonly bytes: number | undefined }[] {
    const today = Math.floor(nowMs / DAY_MS);
    if (this.#days.has(today)) return [];
    const old = [...this.#days.keys()].filter((day) => day < today - WINDOW_DAYS || day > today);
    for (const day of old) this.#days.delete(day);
    this.#days.set(today, bytes);
    return [...old.map((day) => ({ day, bytes: undefined })), { day: today, bytes }];
  }

  /**
   * Bytes a day, over the last two weeks or as much as is known of them; `undefined` before a whole
   * day is.
   */
  perDay(nowMs: number, bytes: number): number | undefined {
    const first = Math.min(...this.#days.keys());
    const days = nowMs / DAY_MS - first;
    const then = this.#days.get(first);
    // The row was written some time during its day.
    return then === undefined || days < 2 ? undefined : Math.max(0, (bytes - then) / days);
  }
}
