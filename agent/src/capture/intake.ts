import type { Capture, QueueIntake } from '../queue/intake/intake.ts';
import type { ContentCache } from '../queue/ledger/ledger.ts';
import { QueueError } from '../queue/log/errors.ts';
import type { QueuedItem } from '../queue/log/facts.ts';
import { throwIfStopped } from './stop.ts';
import type { CaptureExchange, CaptureResult, CaptureWindow } from './window.ts';

/** Whether the queue said that it has no room. */
export function isFull(error: unknown): boolean {
  return error instanceof QueueError && error.code === 'QUEUE_FULL';
}

/** What the windows of a capture need of the queue. */
export interface CaptureQueue {
  readonly intake: Pick<QueueIntake, 'capture'>;
  readonly ledger: Pick<ContentCache, 'cacheGetMany'>;
}

type Ended = (result: CaptureResult, capture: Capture | undefined) => Promise<void>;

/**
 * Takes windows over into the queue and hands each ended job on with the capture that holds its
 * items.
 */
export class WindowIntake implements CaptureExchange {
  readonly #queue: CaptureQueue;
  readonly #classOf: (job: number) => string | undefined;
  readonly #ended: Ended;
  readonly #read: (bytes: number) => Promise<void>;
  readonly signal: AbortSignal | undefined;
  readonly #captures = new Map<number, Capture>();
  /** Attempts that found no room, until they end. */
  readonly #full = new Set<number>();

  constructor(
    queue: CaptureQueue,
    classOf: (job: number) => string | undefined,
    ended: Ended,
    read: (bytes: number) => Promise<void>,
    signal: AbortSignal | undefined,
  ) {
    this.#queue = queue;
    this.#classOf = classOf;
    this.#ended = ended;
    this.#read = read;
    this.signal = signal;
  }

  async lookup(indexes: readonly Uint8Array[]): ReturnType<CaptureExchange['lookup']> {
    throwIfStopped(this.signal);
    return this.#queue.ledger.cacheGetMany(indexes);
  }

  async deliver(window: CaptureWindow): Promise<readonly number[]> {
    throwIfStopped(this.signal);
    await this.#read(window.readBytes);
    for (const attempt of window.aborted) {
      this.#captures.get(attempt)?.abort();
      this.#captures.delete(attempt);
      this.#full.delete(attempt);
    }
    await Promise.all(
      window.items.map(({ attempt, job, id, kind, sealed }) =>
        this.#put(attempt, job, { id, kind, sealed, named: true }),
      ),
    );
    for (const { attempt, job, index, chunk } of window.cached) {
      if (!this.#full.has(attempt)) this.#capture(attempt, job).cachePut(index, chunk);
    }
    // All at once: the queue keeps the order of the calls, and a wait for each would cost more than
    // the work.
    await Promise.all(window.results.map((result) => this.#end(result)));
    return [...this.#full];
  }

  /** Drops what belongs to no version: after an error, or nothing. */
  abandon(): void {
    for (const capture of this.#captures.values()) capture.abort();
    this.#captures.clear();
  }

  async #put(attempt: number, job: number, item: QueuedItem): Promise<void> {
    if (this.#full.has(attempt)) return;
    try {
      await this.#capture(attempt, job).putItem(item);
    } catch (error) {
      // The first item without room ended the capture, for those behind it too.
      if (this.#full.has(attempt)) return;
      if (!isFull(error)) throw error;
      this.#full.add(attempt);
    }
  }

  #end(result: CaptureResult): Promise<void> {
    if (result.type !== 'captured') return this.#ended(result, undefined);
    const { attempt, job, stat } = result;
    const capture = this.#captures.get(attempt);
    this.#captures.delete(attempt);
    return this.#full.delete(attempt)
      ? this.#ended({ type: 'refused', job, stat }, undefined)
      : this.#ended(result, capture);
  }

  #capture(attempt: number, job: number): Capture {
    let capture = this.#captures.get(attempt);
    if (capture === undefined) {
      capture = this.#queue.intake.capture(this.#classOf(job));
      this.#captures.set(attempt, capture);
    }
    return capture;
  }
}
