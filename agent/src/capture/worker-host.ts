import type { BytePath } from '../source/paths.ts';
import type { Found } from '../source/walk.ts';
import { CaptureThread } from './capture-thread.ts';
import type { Difference } from './comparison.ts';
import type { CaptureHost, CompareRequest, Seen, WalkRequest } from './host.ts';
import type { CaptureKeys } from './open-window.ts';
import type { CaptureExchange, CaptureJob } from './window.ts';

/**
 * Worker threads end when nothing was asked of them for this long: an idle agent should weigh
 * nothing.
 */
const DEFAULT_IDLE_MS = 5_000;

interface Seat {
  readonly thread: CaptureThread;
  /** Captures that it was given and has not ended. */
  captures: number;
}

/** A `CaptureHost` in worker threads: the first looks and reads, the others only read. */
export class WorkerHost implements CaptureHost {
  readonly parallel: number;
  readonly #first: CaptureThread;
  readonly #seats: readonly Seat[];

  /**
   * @param workers How many files, or batches of small ones, are read at the same time.
   * @param rested Called when the last thread has ended because nothing was asked of it.
   */
  constructor(
    keys: CaptureKeys,
    {
      workers = 1,
      idleMs = DEFAULT_IDLE_MS,
      rested = () => undefined,
    }: { readonly workers?: number; readonly idleMs?: number; readonly rested?: () => void } = {},
  ) {
    this.parallel = workers;
    const oneRested = () => {
      if (!this.running) rested();
    };
    this.#first = new CaptureThread(keys, idleMs, oneRested);
    this.#seats = Array.from({ length: workers }, (_, at) => ({
      thread: at === 0 ? this.#first : new CaptureThread(keys, idleMs, oneRested),
      captures: 0,
    }));
  }

  /** Starts the thread that looks, so that what is asked of it soon need not wait for that. */
  start(): void {
    this.#first.start();
  }

  walk(request: WalkRequest): AsyncIterable<readonly Found[]> {
    return this.#first.walk(request);
  }

  compare(
    request: CompareRequest,
    known: AsyncIterable<Uint8Array>,
  ): AsyncIterable<readonly Difference[]> {
    return this.#first.compare(request, known);
  }

  look(path: BytePath): Promise<Seen | string> {
    return this.#first.look(path);
  }

  async capture(jobs: readonly CaptureJob[], exchange: CaptureExchange): Promise<void> {
    const seat = this.#seats.reduce((best, other) =>
      other.captures < best.captures ? other : best,
    );
    seat.captures += 1;
    try {
      await seat.thread.capture(jobs, exchange);
    } finally {
      seat.captures -= 1;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#seats.map(({ thread }) => thread.close()));
  }

  /** Whether any thread is alive. */
  get running(): boolean {
    return this.#seats.some(({ thread }) => thread.running);
  }
}
