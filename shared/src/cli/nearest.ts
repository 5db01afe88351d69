/** Longer texts are not compared: nobody mistypes them, and it would take long. */
const MAX_COMPARED = 4096;

/**
 * What a mistyped word was probably meant to be: the nearest of `known` by edit distance, if any is
 * near.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const guess = new Guess(word);
  for (const candidate of known) guess.consider(candidate);
  return guess.best;
}

/** The same of candidates that come one after the other. Cheap for those that cannot be near. */
export class Guess {
  readonly #word: string;
  #least: number;
  #best: string | undefined;

  constructor(word: string) {
    this.#word = word.toLowerCase();
    // A third of a short word, and never so much of a long one that it is another.
    this.#least = Math.min(5, Math.max(2, Math.floor(word.length / 3))) + 1;
  }

  get best(): string | undefined {
    return this.#best;
  }

  consider(candidate: string): void {
    if (
      Math.abs(candidate.length - this.#word.length) >= this.#least ||
      candidate.length > MAX_COMPARED
    )
      return;
    const away = distance(this.#word, candidate.toLowerCase(), this.#least);
    if (away >= this.#least) return;
    this.#least = away;
    this.#best = candidate;
  }
}

/** `; did you mean X?` for the end of a sentence, or nothing. */
export function didYouMean(guess: string | undefined): string {
  return guess === undefined ? '' : `; did you mean ${guess}?`;
}

/** Levenshtein distance; some number not below `limit` when it is not below it. */
function distance(a: string, b: string, limit: number): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    let least = i;
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const value = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost);
      next.push(value);
      least = Math.min(least, value);
    }
    if (least >= limit) return limit;
    row = next;
  }
  return row[b.length] ?? 0;
}
