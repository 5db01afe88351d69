/** What a name costs in memory besides its bytes: the string's header and its place in a list. */
const NAME_COST = 32;

/**
 * The names of one folder in byte order  of which only a part is in memory: at most about twice `budgetBytes`. A folder that
 * has more is read again for each part, so that a million names cost a few listings and no memory.
 *
 * What appears in the folder between two listings may or may not come; what was there all the time
 * comes exactly once.
 */
export class SortedNames {
  readonly #list: () => Iterable<string>;
  readonly #budgetBytes: number;
  #names: string[] = [];
  #at = 0;
  #last = '';
  /** Whether `#names` ends where the folder does. */
  #whole = false;

  /** Reads the first part. Throws what `list` throws, here and in `peek`. */
  constructor(list: () => Iterable<string>, budgetBytes: number) {
    this.#list = list;
    this.#budgetBytes = budgetBytes;
    this.#fill();
  }

  /** The next name; undefined at the end. Throws when the folder cannot be listed any more. */
  peek(): string | undefined {
    if (this.#at >= this.#names.length && !this.#whole) this.#fill();
    return this.#names[this.#at];
  }

  /** Goes past the name that `peek` gave. */
  pass(): void {
    this.#last = this.#names[this.#at] ?? this.#last;
    while (this.#names[this.#at] === this.#last) this.#at += 1;
  }

  /** How many names are in memory. Test only: nothing else has to know. */
  get held(): number {
    return this.#names.length;
  }

  #fill(): void {
    const after = this.#last;
    let names: string[] = [];
    let bytes = 0;
    let below: string | undefined;
    for (const name of this.#list()) {
      if (name <= after || (below !== undefined && name >= below)) continue;
      names.push(name);
      bytes += name.length + NAME_COST;
      if (bytes <= 2 * this.#budgetBytes) continue;
      names = smallest(names, this.#budgetBytes);
      bytes = names.reduce((sum, { length }) => sum + length + NAME_COST, 0);
      below = names.at(-1);
    }
    names.sort(byBytes);
    this.#names = names;
    this.#at = 0;
    this.#whole = below === undefined;
  }
}

/** The first names in byte order that fit into `bytes` together; always one. */
function smallest(names: string[], bytes: number): string[] {
  names.sort(byBytes);
  let total = 0;
  let count = 0;
  while (count < names.length && (count === 0 || total <= bytes)) {
    total += (names[count]?.length ?? 0) + NAME_COST;
    count += 1;
  }
  return names.slice(0, count);
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
