import { Worker } from 'node:worker_threads';
import { keepKernels } from '@aliquot/shared/content/kernels/kernels';
import { cacheIndexes } from '../queue/ledger/rows.ts';
import type { BytePath } from '../source/paths.ts';
import type { Found } from '../source/walk.ts';
import { BlockFeed, unpackStep } from './compare-worker.ts';
import type { Difference } from './comparison.ts';
import type { CaptureHost, CompareRequest, Seen, WalkRequest } from './host.ts';
import { packJobs } from './job-packing.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { unpackFound, unpackWindow } from './packing.ts';
import type { CaptureExchange, CaptureJob } from './window.ts';

interface Waiting {
  readonly message: (message: FromWorker) => void;
  readonly fail: (error: Error) => void;
}

/**
 * A `CaptureHost` in one worker thread, which is started when it is needed and ends when it is
 * idle.
 */
export class CaptureThread implements CaptureHost {
  readonly parallel = 1;
  readonly #given: WorkerStart;
  /** The worker ends when nothing was asked of it for this long. */
  readonly #idleMs: number;
  /** Called when the worker has ended because it was idle. */
  readonly #rested: () => void;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #nextId = 0;
  /**
   * What was asked for up to this id went with a worker that died: no later worker knows of it, and
   * an answer of that one would hide why.
   */
  #gone: { readonly lastId: number; readonly failure: Error } | undefined;
  /** Every capture that was asked for. */
  #captures: Promise<unknown> = Promise.resolve();

  constructor(start: WorkerStart, idleMs: number, rested: () => void) {
    this.#given = start;
    this.#idleMs = idleMs;
    this.#rested = rested;
  }

  /**
   * Starts the worker, so that what is asked of it soon need not wait for that; it ends as an idle
   * one if nothing is.
   */
  start(): void {
    if (this.#worker !== undefined) return;
    this.#worker = this.#spawn();
    this.#rest();
  }

  async *walk(request: WalkRequest): AsyncGenerator<readonly Found[], void, void> {
    const id = this.#newId();
    let last = false;
    try {
      let answer = this.#ask(id, { type: 'walk', id, request }, 'found');
      for (;;) {
        const found = await answer;
        last = found.last;
        // The next batch is prepared while the caller works on this one.
        if (!last) {
          answer = this.#ask(id, { type: 'next', id }, 'found');
          answer.catch(() => undefined);
        }
        const batch = unpackFound(found.batch);
        if (batch.length > 0) yield batch;
        if (last) return;
      }
    } finally {
      if (!last) this.#worker?.postMessage({ type: 'endWalk', id } satisfies ToWorker);
      this.#done(id);
    }
  }

  async *compare(
    request: CompareRequest,
    known: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<readonly Difference[], void, void> {
    const id = this.#newId();
    const feed = new BlockFeed(known);
    let last = false;
    try {
      let answer = this.#ask(id, { type: 'compare', id, request }, 'compared');
      for (;;) {
        const { step } = await answer;
        last = step.last;
        // The next step is prepared while the caller works on this one.
        if (!last) {
          const blocks = step.wants ? await feed.take() : undefined;
          answer = this.#ask(id, { type: 'compareOn', id, blocks }, 'compared');
          answer.catch(() => undefined);
        }
        yield unpackStep(step);
        if (last) return;
      }
    } finally {
      if (!last) this.#worker?.postMessage({ type: 'endCompare', id } satisfies ToWorker);
      this.#done(id);
      await feed.close();
    }
  }

  async look(path: BytePath): Promise<Seen | string> {
    const id = this.#newId();
    try {
      return (await this.#ask(id, { type: 'look', id, path }, 'seen')).stat;
    } finally {
      this.#done(id);
    }
  }

  /**
   * The worker takes one after the other; the next one waits there, so that it never waits for this
   * thread.
   */
  capture(jobs: readonly CaptureJob[], exchange: CaptureExchange): Promise<void> {
    const run = this.#capture(jobs, exchange);
    this.#captures = Promise.allSettled([this.#captures, run]);
    return run;
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    await this.#captures;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  /** Whether the worker thread is alive. */
  get running(): boolean {
    return this.#worker !== undefined;
  }

  #capture(jobs: readonly CaptureJob[], exchange: CaptureExchange): Promise<void> {
    const id = this.#newId();
    const run = new Promise<void>((resolve, reject) => {
      // The queue's own error is kept here: the worker only learns that it should stop.
      let cause: unknown;
      // After a failure the caller may give up what was captured, so nothing of it may still be on
      // its way into the queue.
      let delivery: Promise<void> = Promise.resolve();
      const fail = (error: Error): void => void delivery.then(() => reject(cause ?? error));
      const stop = (error: unknown) => {
        cause ??= error;
        this.#post({ type: 'stop', id });
      };
      this.#waiting.set(id, {
        fail,
        message: (message) => {
          if (message.type === 'lookup') {
            exchange
              .lookup(cacheIndexes(message.indexes))
              .then((hits) => this.#post({ type: 'hits', id, hits }), stop);
          } else if (message.type === 'window') {
            delivery = exchange
              .deliver(unpackWindow(message.window))
              .then((refused) => this.#post({ type: 'taken', id, refused }), stop);
          } else if (message.type === 'captured') resolve();
          else if (message.type === 'failed') fail(new Error(`capture failed: ${message.message}`));
        },
      });
      this.#post({ type: 'capture', id, jobs: packJobs(jobs) });
    });
    return run.finally(() => this.#done(id));
  }

  #newId(): number {
    this.#nextId += 1;
    return this.#nextId;
  }

  #ask<Type extends FromWorker['type']>(
    id: number,
    message: ToWorker,
    type: Type,
  ): Promise<Extract<FromWorker, { type: Type }>> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined && id <= this.#gone.lastId) return reject(this.#gone.failure);
      this.#waiting.set(id, {
        fail: reject,
        message: (answer) => {
          if (answer.type === type) resolve(answer as Extract<FromWorker, { type: Type }>);
          else if (answer.type === 'failed')
            reject(new Error(`the capture worker failed: ${answer.message}`));
        },
      });
      this.#post(message);
    });
  }

  #post(message: ToWorker): void {
    if (this.#gone !== undefined && message.id <= this.#gone.lastId) return;
    clearTimeout(this.#idle);
    this.#worker ??= this.#spawn();
    // Alive for as long as somebody waits for it; idle, it must not keep a finished command
    // running.
    this.#worker.ref();
    this.#worker.postMessage(message);
  }

  #done(id: number): void {
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#rest();
  }

  /** Ends the worker unless something is asked of it soon. */
  #rest(): void {
    if (this.#worker === undefined) return;
    clearTimeout(this.#idle);
    this.#worker.unref();
    this.#idle = setTimeout(() => {
      const worker = this.#worker;
      this.#worker = undefined;
      void worker?.terminate().then(this.#rested);
    }, this.#idleMs);
    this.#idle.unref();
  }

  #spawn(): Worker {
    keepKernels();
    const source = import.meta.url.endsWith('.ts');
    const url = new URL(source ? './worker.ts' : './worker.js', import.meta.url);
    const worker = new Worker(url, {
      workerData: this.#given,
      name: 'capture',
      ...(source ? { execArgv: ['--conditions=aliquot-source'] } : {}),
    });
    worker.on('message', (message: FromWorker) => this.#waiting.get(message.id)?.message(message));
    worker.on('error', (error) => this.#lost(worker, error));
    worker.on('exit', (code) =>
      this.#lost(worker, new Error(`the capture worker ended (${code})`)),
    );
    return worker;
  }

  #lost(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const failure = error instanceof Error ? error : new Error(String(error));
    this.#gone = { lastId: this.#nextId, failure };
    for (const { fail } of this.#waiting.values()) fail(failure);
    this.#waiting.clear();
  }
}
