import { Worker } from 'node:worker_threads';

/** A thread with nothing to do for this long ends: an idle program should weigh little. */
const IDLE_MS = 10_000;

interface Waiting<Answer> {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

interface Thread<Answer> {
  readonly worker: Worker;
  readonly waiting: Map<number, Waiting<Answer>>;
  idle: NodeJS.Timeout | undefined;
}

export interface ThreadPoolOptions {
  /**
   * What each thread runs: `worker.js` beside the caller, `worker.ts` where the sources run. It
   * answers each message, which bears an id, under that id.
   */
  readonly script: URL;
  readonly name: string;
  /** At most so many threads. */
  readonly threads: number;
  readonly idleMs?: number;
}

/**
 * Worker threads that each answer questions, started when they are needed, ended when they are
 * idle. A question goes to a thread that has nothing to do, else to a new one, else to the one that
 * has least.
 */
export class ThreadPool<Job extends object, Answer extends object> {
  readonly #options: ThreadPoolOptions;
  readonly #threads: Thread<Answer>[] = [];
  #lastId = 0;

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
  }

  /** Starts all threads, so that what is asked soon need not wait for that. */
  start(): void {
    while (this.#threads.length < this.#options.threads) this.#rest(this.#start());
  }

  /** Rejects when the thread dies: what was handed over is lost then. */
  ask(job: Job, transfer: readonly ArrayBuffer[]): Promise<Answer> {
    const thread = this.#freest();
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      thread.waiting.set(id, { resolve, reject });
      clearTimeout(thread.idle);
      thread.worker.ref();
      thread.worker.postMessage({ ...job, id }, transfer);
    });
  }

  /** Ends all threads; what they were asked rejects. */
  async close(): Promise<void> {
    await Promise.all(
      this.#threads.splice(0).map((thread) => {
        clearTimeout(thread.idle);
        lose(thread, new Error(`the ${this.#options.name} threads were stopped`));
        return thread.worker.terminate();
      }),
    );
  }

  #freest(): Thread<Answer> {
    let best: Thread<Answer> | undefined;
    for (const thread of this.#threads)
      if (best === undefined || thread.waiting.size < best.waiting.size) best = thread;
    if (
      best !== undefined &&
      (best.waiting.size === 0 || this.#threads.length >= this.#options.threads)
    )
      return best;
    return this.#start();
  }

  #start(): Thread<Answer> {
    const { script, name } = this.#options;
    const worker = new Worker(script, {
      name,
      execArgv: script.href.endsWith('.ts') ? ['--conditions=aliquot-source'] : [],
    });
    const thread: Thread<Answer> = { worker, waiting: new Map(), idle: undefined };
    worker.on('message', (answer: Answer & { readonly id: number }) => {
      const waiting = thread.waiting.get(answer.id);
      thread.waiting.delete(answer.id);
      if (thread.waiting.size === 0) this.#rest(thread);
      waiting?.resolve(answer);
    });
    worker.on('error', (error) => this.#lost(thread, error));
    worker.on('exit', (code) => this.#lost(thread, new Error(`a ${name} thread ended (${code})`)));
    this.#threads.push(thread);
    return thread;
  }

  /** Idle, it must not keep a finished command running. */
  #rest(thread: Thread<Answer>): void {
    thread.worker.unref();
    thread.idle = setTimeout(() => {
      this.#forget(thread);
      void thread.worker.terminate();
    }, this.#options.idleMs ?? IDLE_MS);
    thread.idle.unref();
  }

  #lost(thread: Thread<Answer>, error: unknown): void {
    this.#forget(thread);
    lose(thread, error instanceof Error ? error : new Error(String(error)));
  }

  #forget(thread: Thread<Answer>): void {
    clearTimeout(thread.idle);
    const at = this.#threads.indexOf(thread);
    if (at >= 0) this.#threads.splice(at, 1);
  }
}

function lose<Answer>({ waiting }: Thread<Answer>, error: Error): void {
  for (const { reject } of waiting.values()) reject(error);
  waiting.clear();
}
