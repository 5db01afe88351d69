/** Lines of one kind in one minute: enough to see what happens, too few to fill a disk. */
const LINES_A_MINUTE = 60;
const MINUTE_MS = 60_000;

/** Lines that count together: one code or sentence, of one agent where that is known. */
export interface LineKind {
  readonly [field: string]: string;
}

/**
 * Others can cause lines as fast as they can connect, and a log that fills the disk costs what it
 * should tell: so of lines of one kind only so many a minute are written, and then how many were
 * left out.
 */
export class LineLimit {
  #minute = 0;
  readonly #counts = new Map<string, { readonly kind: LineKind; count: number }>();

  /** The kinds of which lines were left out in a minute that is over now, once. */
  turn(nowMs: number): LeftOut[] {
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute === this.#minute) return [];
    this.#minute = minute;
    return this.over();
  }

  /** The kinds of which lines were left out until now; from here on they are counted anew. */
  over(): LeftOut[] {
    const over = [...this.#counts.values()].flatMap(({ kind, count }) =>
      count > LINES_A_MINUTE ? [{ ...kind, leftOut: count - LINES_A_MINUTE }] : [],
    );
    this.#counts.clear();
    return over;
  }

  /** Counts a line; false when it should be left out. */
  admits(kind: LineKind): boolean {
    const key = JSON.stringify(kind);
    const known = this.#counts.get(key) ?? { kind, count: 0 };
    known.count += 1;
    this.#counts.set(key, known);
    return known.count <= LINES_A_MINUTE;
  }
}

/** A kind of lines, and how many of them were left out. */
type LeftOut = { readonly leftOut: number } & { readonly [field: string]: string | number };
