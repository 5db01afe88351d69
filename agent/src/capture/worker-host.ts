import { setTimeout as pause } from 'node:timers/promises';
import type { BytePath } from '../source/paths.ts';
import type { Found } from '../source/walk.ts';
import { CaptureThread } from './capture-thread.ts';
import type { Difference } from './comparison.ts';
import type { CaptureHost, CompareRequest, Seen, WalkRequest } from './host.ts';
import type { WorkerStart } from './messages.ts';
import type { CaptureKeys } from './open-window.ts';
import type { CaptureExchange, CaptureJob } from './window.ts';

/**
 * Worker threads end when nothing was asked of them for this long: an idle agent should weigh
 * nothing.
 */
const DEFAULT_IDLE_MS = 5_000;

/** Knows how many cores the other programs of this PC leave; undefined while nobody knows. */
export interface CoresLeft {
  left(): number | undefined;
}

/** A second thread begins while the others leave so many cores, … */
const CORES_FOR_TWO = 1.25;
/**
 * … and works as long as they leave so many: what it sends makes the collector work, perhaps here.
 */
const CORES_TO_GO_ON = 1;
/**
 * Files of this size on average are worth a second thread. With small ones two gain a twelfth of
 * the time for a quarter more of the processor.
 */
const LARGE_BYTES = 256 << 10;
/** So often it is asked whether a thread that rests may go on. */
const REST_MS = 250;

interface Seat {
  readonly thread: CaptureThread;
  /** Captures that it was given and has not ended. */
  captures: number;
}

/** A `CaptureHost` in worker threads: the first looks and reads, the others only read. */
export class WorkerHost implements CaptureHost {
  readonly parallel: number;
  readonly #first: Seat;
  readonly #others: readonly Seat[];
  /** Undefined where the number of threads was set. */
  readonly #cores: CoresLeft | undefined;

  /**
   * @param workers How many files, or batches of small ones, are read at the same time. Cores: two
   * while the files are large and there are cores for it, else one.
   * @param own Folders that nothing is read from.
   * @param rested Called when the last thread has ended because nothing was asked of it.
   */
  constructor(
    keys: CaptureKeys,
    {
      workers = 1,
      idleMs = DEFAULT_IDLE_MS,
      own = [],
      rested = () => undefined,
    }: {
      readonly workers?: number | CoresLeft;
      readonly idleMs?: number;
      readonly own?: WorkerStart['own'];
      readonly rested?: () => void;
    } = {},
  ) {
    this.#cores = typeof workers === 'number' ? undefined : workers;
    this.parallel = typeof workers === 'number' ? workers : 2;
    const seat = (): Seat => ({
      thread: new CaptureThread({ keys, own }, idleMs, () => {
        if (!this.running) rested();
      }),
      captures: 0,
    });
    this.#first = seat();
    this.#others = Array.from({ length: this.parallel - 1 }, seat);
  }

  /** Starts the thread that looks, so that what is asked of it soon need not wait for that. */
  start(): void {
    this.#first.thread.start();
  }

  walk(request: WalkRequest): AsyncIterable<readonly Found[]> {
    return this.#first.thread.walk(request);
  }

  compare(
    request: CompareRequest,
    known: AsyncIterable<Uint8Array>,
  ): AsyncIterable<readonly Difference[]> {
    return this.#first.thread.compare(request, known);
  }

  look(path: BytePath): Promise<Seen | string> {
    return this.#first.thread.look(path);
  }

  async capture(jobs: readonly CaptureJob[], exchange: CaptureExchange): Promise<void> {
    const seat = this.#seatFor(jobs);
    seat.captures += 1;
    try {
      await seat.thread.capture(
        jobs,
        this.#cores === undefined || seat === this.#first ? exchange : this.#givingWay(exchange),
      );
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

  get #seats(): readonly Seat[] {
    return [this.#first, ...this.#others];
  }

  #seatFor(jobs: readonly CaptureJob[]): Seat {
    if (this.#cores !== undefined && !(this.#areLeft(CORES_FOR_TWO) && areLarge(jobs)))
      return this.#first;
    return this.#seats.reduce((best, other) => (other.captures < best.captures ? other : best));
  }

  #areLeft(cores: number): boolean {
    return (this.#cores?.left() ?? 0) >= cores;
  }

  /** Rests with the windows at hand while there is no core for it, and the first thread works. */
  #givingWay(exchange: CaptureExchange): CaptureExchange {
    return {
      signal: exchange.signal,
      lookup: (indexes) => exchange.lookup(indexes),
      deliver: async (window) => {
        const refused = await exchange.deliver(window);
        while (
          this.#first.captures > 0 &&
          exchange.signal?.aborted !== true &&
          !this.#areLeft(CORES_TO_GO_ON)
        )
          await pause(REST_MS);
        return refused;
      },
    };
  }
}

function areLarge(jobs: readonly CaptureJob[]): boolean {
  const bytes = jobs.reduce((sum, { size = 0 }) => sum + size, 0);
  return bytes >= LARGE_BYTES * jobs.length;
}
