import { Bloom } from './bloom.ts';

/** What the first table is for: some half a megabyte of memory. */
const FIRST_IDS = 2 ** 18;
/** What the largest is for, 16 MB; beyond that mistakes become more, which only keep. */
const MOST_IDS = 2 ** 23;

/**
 * Remembers ids of which nobody knows how many will come: where a table is full, one twice as large
 * follows it (Almeida et al. 2007). What it takes for added by mistake is one of forty or fewer, up
 * to some sixteen million; never the other way round. Memory: ten to forty bits an id.
 */
export class GrowingBloom {
  readonly #newSalt: () => Uint8Array;
  readonly #firstIds: number;
  readonly #tables: Bloom[] = [];
  /** How many more the last table is for. */
  #room = 0;
  #next: number;

  /** @param newSalt gives 16 random bytes; @param firstIds what the first table is for. */
  constructor(newSalt: () => Uint8Array, firstIds = FIRST_IDS) {
    this.#newSalt = newSalt;
    this.#firstIds = firstIds;
    this.#next = firstIds;
  }

  add(id: Uint8Array): void {
    if (this.has(id)) return;
    if (this.#room <= 0 && this.#next <= (MOST_IDS / FIRST_IDS) * this.#firstIds) {
      this.#tables.push(new Bloom(this.#next, this.#newSalt()));
      this.#room = this.#next;
      this.#next *= 2;
    }
    this.#tables.at(-1)?.add(id);
    this.#room -= 1;
  }

  /** False: it was never added. */
  has(id: Uint8Array): boolean {
    return this.#tables.some((table) => table.has(id));
  }
}
