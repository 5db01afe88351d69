import type { Clock } from '@aliquot/shared/ports';
import type { ProblemList } from '../queue/ledger/ledger.ts';
import type { Queue } from '../queue/queue.ts';
import { type BytePath, bytePath, isWithin, pathBytes } from '../source/paths.ts';
import { hidesBelow, isOfThisPc, outlivesCapture, type Problem } from '../source/problem.ts';
import { claimedMs } from './times.ts';

/** A scan's view of the problems it might find solved. */
export interface Sweep {
  /** The path was not judged this time: its problem stays as it is. */
  keep(path: BytePath): void;
  /** Clears every problem of the scope that was neither met again nor kept. */
  finish(): Promise<void>;
}

/** A problem as it is kept. */
interface Since extends Problem {
  readonly sinceMs: number;
}

/** What the book needs of the queue. */
type ProblemQueue = { readonly ledger: ProblemList } & Pick<Queue, 'sync'>;

/**
 * The named reasons why paths are not protected (P6): kept in the queue, mirrored here so that
 * meeting the same problem at every scan writes nothing and its `since` stays. Problems end when a
 * scan no longer meets them.
 */
export class ProblemBook {
  readonly #queue: ProblemQueue;
  readonly #clock: Clock;
  readonly #known: Map<BytePath, Since>;
  #changes = 0;
  readonly #sweeps = new Set<{ stale: Set<BytePath>; shadows: BytePath[] }>();

  private constructor(queue: ProblemQueue, clock: Clock, known: Map<BytePath, Since>) {
    this.#queue = queue;
    this.#clock = clock;
    this.#known = known;
  }

  static async load(queue: ProblemQueue, clock: Clock): Promise<ProblemBook> {
    const known = new Map<BytePath, Since>();
    for await (const { path, code, message, sinceMs } of queue.ledger.problems()) {
      // Damage of the queue's own files is not a scan's to clear.
      if (code !== 'queue-damage')
        known.set(bytePath(path), { code: code as Problem['code'], message, sinceMs });
    }
    return new ProblemBook(queue, clock, known);
  }

  /** Names a problem; the clock says since when, unless that is known better. */
  async set(path: BytePath, problem: Problem, sinceMs = this.#clock.nowMs()): Promise<void> {
    for (const sweep of this.#sweeps) {
      sweep.stale.delete(path);
      if (hidesBelow(problem.code)) sweep.shadows.push(path);
    }
    const before = this.#known.get(path);
    if (before?.code === problem.code && before.message === problem.message) return;
    const since = { ...problem, sinceMs: claimedMs(sinceMs) };
    this.#known.set(path, since);
    this.#changes += 1;
    await this.#queue.ledger.setProblem(pathBytes(path), since);
  }

  /**
   * A version of the path was captured: the queue forgets its problem with that, which is right
   * unless the problem is about all below it.
   */
  captured(path: BytePath): Promise<void> | undefined {
    const known = this.#known.get(path);
    if (known === undefined) return undefined;
    if (outlivesCapture(known.code)) return this.#queue.ledger.setProblem(pathBytes(path), known);
    this.#known.delete(path);
    this.#changes += 1;
    return undefined;
  }

  /** Ends the problem of a path; with `code`, only one of that kind. */
  async clear(path: BytePath, code?: Problem['code']): Promise<void> {
    if (code !== undefined && this.#known.get(path)?.code !== code) return;
    if (!this.#known.delete(path)) return;
    this.#changes += 1;
    await this.#queue.ledger.setProblem(pathBytes(path), undefined);
  }

  /**
   * Rises with every problem that comes or ends, so that a reporter knows whether to report again.
   */
  get changes(): number {
    return this.#changes;
  }

  codeOf(path: BytePath): Problem['code'] | undefined {
    return this.#known.get(path)?.code;
  }

  /** Every path with a problem of this kind. */
  pathsWith(code: Problem['code']): readonly BytePath[] {
    return [...this.#known].filter(([, known]) => known.code === code).map(([path]) => path);
  }

  get size(): number {
    return this.#known.size;
  }

  sweep(scope: BytePath): Sweep {
    const stale = new Set<BytePath>();
    for (const [path, { code }] of this.#known)
      if (!isOfThisPc(code) && isWithin(path, scope)) stale.add(path);
    const open = { stale, shadows: [] as BytePath[] };
    this.#sweeps.add(open);
    return {
      keep: (path) => {
        stale.delete(path);
      },
      finish: async () => {
        this.#sweeps.delete(open);
        const before = this.#changes;
        for (const path of stale)
          if (!open.shadows.some((folder) => isWithin(path, folder))) await this.clear(path);
        // What ended must not be shown until something else happens to be written.
        if (this.#changes !== before) await this.#queue.sync();
      },
    };
  }
}
