/** Warnings of one code in one minute: enough to see what happens, too few to fill a disk. */
const WARNINGS_A_MINUTE = 60;
const MINUTE_MS = 60_000;

/**
 * Somebody without any rights can cause warnings as fast as he can connect, and a log that fills
 * the disk costs what it should tell: so of warnings with one code only so many a minute are
 * written, and then how many were left out.
 */
export class WarningLimit {
  #minute = 0;
  readonly #counts = new Map<string, number>();

  /** The codes of which warnings were left out in a minute that is over now, once. */
  turn(nowMs: number): { readonly code: string; readonly leftOut: number }[] {
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute === this.#minute) return [];
    this.#minute = minute;
    const over = [...this.#counts].map(([code, count]) => ({
      code,
      leftOut: count - WARNINGS_A_MINUTE,
    }));
    this.#counts.clear();
    return over.filter(({ leftOut }) => leftOut > 0);
  }

  /** Counts a warning; false when it should be left out. */
  admits(code: string): boolean {
    const count = (this.#counts.get(code) ?? 0) + 1;
    this.#counts.set(code, count);
    return count <= WARNINGS_A_MINUTE;
  }
}
