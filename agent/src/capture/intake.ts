import { shareBuffers } from '@aliquot/shared/crypto/bytes';
import type { Capture, PutEnds, PutVersion, QueueIntake } from '../queue/intake/intake.ts';
import type { ContentCache } from '../queue/ledger/ledger.ts';
import { QueueError } from '../queue/log/errors.ts';
import { throwIfStopped } from './stop.ts';
import type {
  CapturedFile,
  CapturedSlab,
  CaptureExchange,
  CaptureResult,
  CaptureWindow,
} from './window.ts';

/** Whether the queue said that it has no room. */
export function isFull(error: unknown): boolean {
  return error instanceof QueueError && error.code === 'QUEUE_FULL';
}

/** Whether the capture had ended before. */
function hasEnded(error: unknown): boolean {
  return error instanceof QueueError && error.code === 'QUEUE_CLOSED';
}

/** What the windows of a capture need of the queue. */
export interface CaptureQueue {
  readonly intake: Pick<QueueIntake, 'capture'>;
  readonly ledger: Pick<ContentCache, 'cacheGetMany'>;
}

/** Where the version of a captured file goes: a capture of its own, or its slab's. */
export type VersionSink = Pick<Capture, 'keepGrowth' | 'putVersion' | 'abort'>;

/** Whose the windows are. */
export interface WindowOwner {
  classOf(job: number): string | undefined;
  /** Whether a new version comes of it. Asked before its slab is put. */
  isNew(file: CapturedFile): boolean;
  /**
   * What became of a job; `sink` holds what was sealed of it. A version is put before this returns,
   * unless something else has to be recorded first.
   */
  ended(result: CaptureResult, sink: VersionSink | undefined): Promise<void>;
  /**
   * The same for all files of a slab at once, when each of them is simply a new version; undefined
   * when they have to end one by one. `put` puts their versions in their order.
   */
  endedTogether(
    files: readonly CapturedFile[],
    put: (versions: readonly PutVersion[]) => Promise<PutEnds>,
  ): Promise<void> | undefined;
  /** Source bytes were read. */
  read(bytes: number): Promise<void>;
}

/**
 * Takes windows over into the queue and hands each ended job on with the capture that holds its
 * items.
 */
export class WindowIntake implements CaptureExchange {
  readonly #queue: CaptureQueue;
  readonly #owner: WindowOwner;
  readonly signal: AbortSignal | undefined;
  readonly #captures = new Map<number, Capture>();
  /** Captures of slabs, until all of their files are put. */
  readonly #slabs = new Set<Capture>();
  /** Attempts that found no room, until they end. */
  readonly #full = new Set<number>();

  constructor(queue: CaptureQueue, owner: WindowOwner, signal: AbortSignal | undefined) {
    this.#queue = queue;
    this.#owner = owner;
    this.signal = signal;
  }

  async lookup(indexes: readonly Uint8Array[]): ReturnType<CaptureExchange['lookup']> {
    throwIfStopped(this.signal);
    return this.#queue.ledger.cacheGetMany(indexes);
  }

  async deliver(window: CaptureWindow): Promise<readonly number[]> {
    throwIfStopped(this.signal);
    await this.#owner.read(window.readBytes);
    for (const attempt of window.aborted) {
      this.#captures.get(attempt)?.abort();
      this.#captures.delete(attempt);
      this.#full.delete(attempt);
    }
    shareBuffers(window.items.map(({ sealed }) => sealed));
    await Promise.all(attemptsIn(window).map((items) => this.#put(items)));
    for (const { attempt, job, pairs } of window.cached) {
      if (!this.#full.has(attempt)) this.#capture(attempt, job).cachePut(pairs);
    }
    // All at once: the queue keeps the order of the calls, and a wait for each would cost more than
    // the work.
    await Promise.all([
      ...window.results.map((result) => this.#end(result)),
      ...Array.from(window.slabs, (slab) => this.#slab(slab)),
    ]);
    return [...this.#full];
  }

  /** Drops what belongs to no version: after an error, or nothing. */
  abandon(): void {
    for (const capture of [...this.#captures.values(), ...this.#slabs]) capture.abort();
    this.#captures.clear();
    this.#slabs.clear();
  }

  /**
   * Puts a slab, unless nothing in it is new, and hands its files on in the order of the pieces.
   * Nothing is waited for in between: so the slabs of a window with all of their versions take one
   * turn of the queue, and when it is nearly full the first ones have what they need. What is not
   * needed any more is not held by whoever waits.
   */
  #slab({ id, sealed, key, files }: CapturedSlab): Promise<void> {
    const first = files.find((file) => this.#owner.isNew(file));
    if (first === undefined) return this.#handOn(files, undefined);
    const capture = this.#queue.intake.capture(this.#owner.classOf(first.job));
    this.#slabs.add(capture);
    let failed: unknown;
    const slab = { key, pieces: files.length };
    const put = capture.putItems([{ id, kind: 'slab', sealed, named: true }]);
    put.catch((error: unknown) => {
      failed = error;
    });
    const putAll = async (versions: readonly PutVersion[]): Promise<PutEnds> =>
      (await capture.putShared(versions, slab)).map((error) => {
        if (error === undefined) return undefined;
        // What failed first has ended the capture, so this is why nothing behind it is taken.
        failed ??= error;
        return hasEnded(error) ? failed : error;
      });
    const ended =
      this.#owner.endedTogether(files, putAll) ??
      this.#handOn(files, {
        keepGrowth: (state) => capture.keepGrowth(state),
        putVersion: async (draft, known) => {
          const [error] = await putAll([{ draft, known }]);
          if (error !== undefined) throw error;
        },
        // One file that needs no version ends nothing for its neighbours.
        abort: () => undefined,
      });
    return ended.then(() => {
      this.#slabs.delete(capture);
      capture.abort();
      return isFull(failed) ? undefined : put;
    });
  }

  async #handOn(files: readonly CapturedFile[], sink: VersionSink | undefined): Promise<void> {
    await Promise.all(
      files.map((file) => this.#owner.ended({ type: 'captured', attempt: 0, ...file }, sink)),
    );
  }

  /** Puts items of one attempt. */
  async #put(items: CaptureWindow['items']): Promise<void> {
    const [first] = items;
    if (first === undefined || this.#full.has(first.attempt)) return;
    const { attempt, job } = first;
    try {
      const named = items.map(({ id, kind, sealed }) => ({ id, kind, sealed, named: true }));
      await this.#capture(attempt, job).putItems(named);
    } catch (error) {
      // The first items without room ended the capture, for those behind them too.
      if (this.#full.has(attempt)) return;
      if (!isFull(error)) throw error;
      this.#full.add(attempt);
    }
  }

  #end(result: CaptureResult): Promise<void> {
    if (result.type !== 'captured') return this.#owner.ended(result, undefined);
    const { attempt, job, stat } = result;
    const capture = this.#captures.get(attempt);
    this.#captures.delete(attempt);
    return this.#full.delete(attempt)
      ? this.#owner.ended({ type: 'refused', job, stat }, undefined)
      : this.#owner.ended(result, capture);
  }

  #capture(attempt: number, job: number): Capture {
    let capture = this.#captures.get(attempt);
    if (capture === undefined) {
      capture = this.#queue.intake.capture(this.#owner.classOf(job));
      this.#captures.set(attempt, capture);
    }
    return capture;
  }
}

/** The items of a window, those of one attempt together; they stand in a row. */
function attemptsIn({ items }: CaptureWindow): CaptureWindow['items'][] {
  const starts = items.flatMap(({ attempt }, at) =>
    attempt === items[at - 1]?.attempt ? [] : [at],
  );
  return starts.map((from, at) => items.slice(from, starts[at + 1]));
}
