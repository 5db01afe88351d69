import { SUMMARY_MARK_BYTES } from '@aliquot/proto';
import type { MarkWords } from './summary.ts';

const LEAST_PLACES = 1024;
const EMPTY = -1;
/**
 * Set in `#flags`: the newest commit says that it is gone; somebody has shown it; retention has
 * dropped it there.
 */
const GONE = 1;
const SHOWN = 2;
const DROPPED = 4;
const NO_MARKS: Uint8Array = new Uint8Array(0);
/** The lowest bit of a mark says gone or not; the others say what it is about. */
const GONE_BIT = 1;

/**
 * Of each file and each result which commit is the newest about it, from the summaries of commits
 * in their order: 13 bytes for each place, of which three of four are used at most.
 */
export class MarkTable {
  #high = new Uint32Array(LEAST_PLACES);
  #low = new Uint32Array(LEAST_PLACES);
  #commits = new Int32Array(LEAST_PLACES).fill(EMPTY);
  #flags = new Uint8Array(LEAST_PLACES);
  #count = 0;

  /** Files and results that are known. */
  get count(): number {
    return this.#count;
  }

  /**
   * Takes in a commit's summary; `commit` is whatever number the caller knows it by. Marks among
   * `lost`, which rise as well, are left out. Those among `dropped` count, and are said to be.
   */
  enter(
    summary: Uint8Array,
    commit: number,
    lost: Uint8Array,
    dropped: Uint8Array = NO_MARKS,
  ): void {
    const marks = viewOf(summary);
    const left = viewOf(lost);
    let next = 0;
    for (let at = 0; at < summary.length; at += SUMMARY_MARK_BYTES) {
      const [high, low] = [marks.getUint32(at), marks.getUint32(at + 4)];
      const isLost =
        next < lost.length && left.getUint32(next) === high && left.getUint32(next + 4) === low;
      if (isLost) next += SUMMARY_MARK_BYTES;
      else this.#set(high, low, commit);
    }
    this.drop(dropped, commit);
  }

  /** Takes in what retention has dropped of a commit's rows, where it is the newest about them. */
  drop(dropped: Uint8Array, commit: number): void {
    const gone = viewOf(dropped);
    for (let at = 0; at < dropped.length; at += SUMMARY_MARK_BYTES) {
      const place = this.placeOf({ high: gone.getUint32(at), low: gone.getUint32(at + 4) });
      if (place !== -1 && this.#commits[place] === commit)
        this.#flags[place] = (this.#flags[place] ?? 0) | DROPPED;
    }
  }

  /** The place of what a mark is about; -1: it is not known. */
  placeOf({ high, low }: MarkWords): number {
    const place = this.#placeFor(high, clean(low));
    return this.#commits[place] === EMPTY ? -1 : place;
  }

  /** The newest commit about it, by its number. */
  commitAt(place: number): number {
    return this.#commits[place] ?? EMPTY;
  }

  isGoneAt(place: number): boolean {
    return ((this.#flags[place] ?? 0) & GONE) !== 0;
  }

  isShownAt(place: number): boolean {
    return ((this.#flags[place] ?? 0) & SHOWN) !== 0;
  }

  /** Whether retention has dropped rows of it in the newest commit about it. */
  isDroppedAt(place: number): boolean {
    return ((this.#flags[place] ?? 0) & DROPPED) !== 0;
  }

  show(place: number): void {
    this.#flags[place] = (this.#flags[place] ?? 0) | SHOWN;
  }

  /** Every place that is in use. */
  *places(): Generator<number, void, void> {
    for (let place = 0; place < this.#commits.length; place += 1)
      if (this.#commits[place] !== EMPTY) yield place;
  }

  /** What it is about, as its mark is when it is there. */
  markAt(place: number): MarkWords {
    return { high: this.#high[place] ?? 0, low: this.#low[place] ?? 0 };
  }

  #set(high: number, low: number, commit: number): void {
    if (4 * (this.#count + 1) > 3 * this.#commits.length) this.#grow();
    const key = clean(low);
    const place = this.#placeFor(high, key);
    if (this.#commits[place] === EMPTY) this.#count += 1;
    this.#high[place] = high;
    this.#low[place] = key;
    this.#commits[place] = commit;
    this.#flags[place] = (low & GONE_BIT) !== 0 ? GONE : 0;
  }

  #grow(): void {
    const [high, low, commits, flags] = [this.#high, this.#low, this.#commits, this.#flags];
    const places = 2 * commits.length;
    this.#high = new Uint32Array(places);
    this.#low = new Uint32Array(places);
    this.#commits = new Int32Array(places).fill(EMPTY);
    this.#flags = new Uint8Array(places);
    for (const [from, commit] of commits.entries()) {
      if (commit === EMPTY) continue;
      const place = this.#placeFor(high[from] ?? 0, low[from] ?? 0);
      this.#high[place] = high[from] ?? 0;
      this.#low[place] = low[from] ?? 0;
      this.#commits[place] = commit;
      this.#flags[place] = flags[from] ?? 0;
    }
  }

  /** Ids are random, so any of their bits spread them. */
  #placeFor(high: number, low: number): number {
    const last = this.#commits.length - 1;
    for (let place = (high ^ Math.imul(low, 0x9e3779b1)) & last; ; place = (place + 1) & last) {
      const isFree = this.#commits[place] === EMPTY;
      if (isFree || (this.#high[place] === high && this.#low[place] === low)) return place;
    }
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function clean(low: number): number {
  return (low & ~GONE_BIT) >>> 0;
}
