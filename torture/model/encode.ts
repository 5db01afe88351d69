import {
  allItems,
  type ModelPlaces,
  type NotedAnswer,
  type OnDisk,
  type State,
  type Told,
} from './state.ts';

/*
 * A state in bytes, alike for states that differ in names only: the order of versions does not
 * count, nor, where both lineages may do the same, which of them is which.
 */

const steps = ['copied', 'synced', 'written'] as const;

/** Bytes of a state at most. */
const ROOM = 512;

export class StateBytes {
  readonly #bytes = new Uint8Array(ROOM);
  readonly #other = new Uint8Array(ROOM);
  #into = this.#bytes;
  #length = 0;

  /** Valid until the next call. */
  of(state: State, isSymmetric: boolean): Uint8Array {
    const one = this.#write(state, this.#bytes, [0, 1]);
    if (!isSymmetric) return one;
    const two = this.#write(state, this.#other, [1, 0]);
    return Buffer.compare(one, two) <= 0 ? one : two;
  }

  #write(state: State, into: Uint8Array<ArrayBuffer>, order: readonly number[]): Uint8Array {
    this.#into = into;
    this.#length = 0;
    this.#versions(state, order);
    this.#told(state.now, order);
    this.#disk(state.disk, state.now, order);
    if (state.copy === undefined) this.#put(0);
    else {
      this.#put(1);
      this.#disk(state.copy, state.now, order);
    }
    this.#places(state.places);
    this.#answers(state.answers, order);
    for (const lineage of order) {
      this.#put((state.pending[lineage] ?? 0) | ((state.touched[lineage] ?? 0) << 3));
      const run = state.runs[lineage];
      if (run === undefined) this.#put(255);
      else {
        this.#put(run.leaving | (run.unwalked << 3), run.fresh | (run.reached << 3));
        this.#put(run.logEpoch);
      }
      const { captures, epochs } = state.budgets;
      this.#put(captures[lineage] ?? 0, epochs[lineage] ?? 0);
    }
    for (const line of [...order, 2]) {
      const { exists, cache = 0, learned = 0, lostHead = 0 } = state.lines[line] ?? {};
      this.#put(exists === true ? cache | (lostHead << 3) : 255, learned);
    }
    const { rewriting: work } = state;
    if (work === undefined) this.#put(255);
    else this.#put(work.pack, work.into, work.copied, steps.indexOf(work.step));
    const { forks, holds, rewrites, thinnings, crashes, copies, rollbacks } = state.budgets;
    this.#put(forks | (holds << 2) | (copies << 4) | (rollbacks << 6));
    this.#put(rewrites | (thinnings << 2) | (crashes << 4));
    return into.subarray(0, this.#length);
  }

  #put(...numbers: readonly number[]): void {
    for (const number of numbers) {
      this.#into[this.#length] = number;
      this.#length += 1;
    }
  }

  #versions({ versions, now, disk, copy }: State, order: readonly number[]): void {
    const numbers = versions.map((version, index) => {
      const line = order[version.line] ?? version.line;
      const flags =
        (version.isAwaited ? 1 : 0) |
        (version.isReceipted ? 2 : 0) |
        (version.isHeld ? 4 : 0) |
        (version.isThinned ? 8 : 0) |
        (version.wasThinned ? 16 : 0);
      const stages =
        (now.stages[index] ?? 0) |
        ((disk.told.stages[index] ?? 0) << 2) |
        ((copy?.told.stages[index] ?? 0) << 4);
      const what = line | (version.content << 2) | (version.bytes << 5) | (version.sight << 8);
      return what | (flags << 10) | (stages << 15);
    });
    numbers.sort((a, b) => a - b);
    this.#put(numbers.length);
    for (const number of numbers) this.#put(number & 255, (number >>> 8) & 255, number >>> 16);
  }

  #told(told: Told, order: readonly number[]): void {
    for (const lineage of order) {
      this.#put((told.owned[lineage] ?? 0) | ((told.walked[lineage] ?? 0) << 3));
      this.#put(told.announced[lineage] ?? 0, told.swept[lineage] ?? 0);
      this.#put(told.hasDropped[lineage] === true ? 1 : 0);
    }
    this.#put(told.newest, told.logEpoch, masked(told.reported, order), masked(told.lines, order));
  }

  #disk({ told, packs, written, answers }: OnDisk, now: Told, order: readonly number[]): void {
    this.#put(told.length === now.length ? 1 : 0);
    this.#told(told, order);
    this.#put(packs.length);
    for (const items of packs) this.#put(items ?? 255);
    this.#places(written);
    this.#answers(answers, order);
  }

  #places({ places, known }: ModelPlaces): void {
    for (const index of allItems.keys()) this.#put(places[index] ?? 0);
    this.#put(known.length);
    for (const items of known) this.#put(items ?? 255);
  }

  #answers(answers: readonly NotedAnswer[], order: readonly number[]): void {
    for (const line of [...order, 2]) {
      const { epoch = 0, logEpoch = 0, isOfThisStart = false } = answers[line] ?? {};
      this.#put(epoch, logEpoch | (isOfThisStart ? 16 : 0));
    }
  }
}

/** A mask of lines, in their order. */
function masked(lines: number, order: readonly number[]): number {
  let mask = lines & 4;
  for (const [index, line] of order.entries()) if ((lines & (1 << line)) !== 0) mask |= 1 << index;
  return mask;
}
