import type { Clock } from '@aliquot/shared/ports';
import type { QueueIntake } from '../queue/intake/intake.ts';
import type { FileReferences } from '../queue/ledger/ledger.ts';
import type { FileReference, LostReason } from '../queue/log/facts.ts';
import type { BytePath } from '../source/paths.ts';
import { claimedMs } from './times.ts';

/**
 * What is asked for space: a file by its size, and what of it the queue or the collector should
 * have already.
 */
export interface Candidate {
  readonly path: BytePath;
  readonly class: string;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Size of its newest captured version; 0 for a new file. */
  readonly knownSize: number;
}

/** How many files that are larger than the whole queue are remembered as tried. */
const MOST_TRIED = 1000;

/** What the book needs of the queue. */
export interface ReferenceQueue {
  readonly intake: Pick<QueueIntake, 'space' | 'pending'>;
  readonly references: Omit<FileReferences, 'list'>;
}

/**
 * The results that were complete and found no space in the queue (P6): each is a durable reference,
 * shown as not protected until a version of it is captured, or a person has seen that it is lost.
 * One for each open queue.
 */
export class ReferenceBook {
  readonly #queue: ReferenceQueue;
  readonly #clock: Clock;
  /** Files that did not even fit into an empty queue, with the state that was tried. */
  readonly #tried = new Map<BytePath, string>();

  constructor(queue: ReferenceQueue, clock: Clock) {
    this.#queue = queue;
    this.#clock = clock;
  }

  get files(): number {
    return this.#queue.references.totals().files;
  }

  /**
   * Says for each file of a batch whether there is space enough to begin with it, by its size in
   * clear: it may take much less. Into an empty queue everything is tried once: what is then read
   * in vain is given back at once, and starves nobody.
   */
  async admit(candidates: readonly Candidate[]): Promise<readonly boolean[]> {
    const left = new Map<string, number>();
    const answers: boolean[] = [];
    for (const { path, class: name, size, mtimeNs, knownSize } of candidates) {
      const space = left.get(name) ?? (await this.#queue.intake.space(name)).bytes;
      const need = Math.max(0, size - knownSize);
      const fits = space >= 1 && need <= space;
      left.set(name, fits ? space - need : space);
      answers.push(fits || (space >= 1 && this.#tryOnce(path, `${size} ${mtimeNs}`)));
    }
    return answers;
  }

  /**
   * Notes that this state is only at its source. An earlier state that waited too is lost with it.
   */
  async refer(reference: Omit<FileReference, 'settledAtMs'>): Promise<void> {
    const before = await this.#of(reference.path);
    if (before !== undefined) {
      if (before.size === reference.size && before.mtimeNs === reference.mtimeNs) return;
      await this.#queue.references.lose(reference.path, 'reference-changed');
    }
    await this.#queue.references.put({ ...reference, settledAtMs: claimedMs(this.#clock.nowMs()) });
  }

  /**
   * A version of this state comes now, and ends the reference. Another state that it waited in is
   * lost.
   */
  async captures(path: Uint8Array, size: number, mtimeNs: bigint): Promise<void> {
    const before = await this.#of(path);
    if (before === undefined || (before.size === size && before.mtimeNs === mtimeNs)) return;
    await this.#queue.references.lose(path, 'reference-changed');
  }

  /** The file is as its newest version has it. */
  async settled(path: Uint8Array, size: number, mtimeNs: bigint): Promise<void> {
    await this.captures(path, size, mtimeNs);
    if (this.files > 0) await this.#queue.references.drop(path);
  }

  /** The file certainly has gone. */
  async gone(path: Uint8Array, why: LostReason = 'reference-gone'): Promise<void> {
    if (this.files > 0) await this.#queue.references.lose(path, why);
  }

  async #of(path: Uint8Array): Promise<FileReference | undefined> {
    return this.files === 0 ? undefined : this.#queue.references.get(path);
  }

  #tryOnce(path: BytePath, state: string): boolean {
    if (this.#queue.intake.pending().entries > 0) return false;
    if (this.#tried.get(path) === state) return false;
    if (this.#tried.size >= MOST_TRIED) this.#tried.clear();
    this.#tried.set(path, state);
    return true;
  }
}
