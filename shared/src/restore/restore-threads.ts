import { availableParallelism } from 'node:os';
import { MessageChannel, type MessagePort, type Transferable, Worker } from 'node:worker_threads';
import { keepKernels } from '../content/kernels/kernels.ts';
import { RestoreError, type RestoreErrorCode } from './errors.ts';
import { packOrder } from './file-order.ts';
import { addSummaries, type OrdersSummary } from './orders.ts';
import { Placing, type RestoreItem, type RestoreOrder } from './placing.ts';
import { giveItems } from './port-items.ts';
import type { RestoreRequest, RestoreSummary } from './restore-files.ts';
import { handedOf, type SealedRows } from './sealed-rows.ts';
import type { FromThread, ToldError, ToThread } from './thread-messages.ts';

const MOST_THREADS = 4;

/** One thread, and who hears what it says, or that it has died. */
interface Thread {
  readonly worker: Worker;
  onMessage: (message: FromThread) => void;
  onDeath: (error: unknown) => void;
}

/** No restore is under way that could fail: the death is a fault of ours. */
function endsAll(error: unknown): never {
  throw error;
}

/** What is given back by threads, and who hears of it. */
export interface ThreadedRequest<Begin>
  extends Pick<RestoreRequest, 'writer' | 'onProgress' | 'onFailure'> {
  /** What each thread begins with: see `runRestoreThread`. */
  readonly begin: Begin;
  /** The error of a thread's source that ended it, as it was there. */
  revive(told: ToldError): Error;
  /** Rows that were given as they are sealed and do not open. */
  onUnopened?(of: SealedRows['of'], versions: number, error: ToldError): void;
  /** Where the threads' items come from, if only this thread can fetch; an error ends all. */
  readonly fetchItems?: RestoreRequest['fetchItems'];
}

/**
 * Threads that each fetch, prove and write whole files by themselves. The main thread opens names,
 * makes folders and links, and shares the files out to whoever wants more.
 */
export class RestoreThreads<Begin> {
  readonly #script: URL;
  readonly #count: number;
  readonly #threads: Thread[] = [];

  /** @param script Runs `runRestoreThread`. */
  constructor(
    script: URL,
    count: number = Math.min(MOST_THREADS, Math.max(1, availableParallelism())),
  ) {
    this.#script = script;
    this.#count = count;
  }

  /** Starts the threads now: beside what comes before the first file. */
  start(): void {
    while (this.#threads.length < this.#count) this.#threads.push(this.#start());
  }

  /**
   * Gives versions back, as `restoreFiles` does. Rows that come as they are sealed are opened by
   * the threads, and have no place: for a writer that proves. One restore at a time.
   */
  async restore(
    items: AsyncIterable<RestoreItem | SealedRows> | Iterable<RestoreItem>,
    request: ThreadedRequest<Begin>,
  ): Promise<RestoreSummary> {
    this.start();
    const threads = [...this.#threads];
    try {
      return await new ThreadedRun(threads, request).go(items);
    } finally {
      for (const thread of threads) thread.onDeath = endsAll;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  #start(): Thread {
    keepKernels();
    const worker = new Worker(this.#script, {
      name: 'restore',
      execArgv: this.#script.href.endsWith('.ts') ? ['--conditions=aliquot-source'] : [],
    });
    const thread: Thread = { worker, onMessage: () => undefined, onDeath: endsAll };
    // One that has died serves no later restore: that would wait for it for ever.
    const died = (error: unknown): void => {
      const at = this.#threads.indexOf(thread);
      // It was closed; or this is the end behind an error, and says nothing new.
      if (at < 0) return;
      this.#threads.splice(at, 1);
      thread.onDeath(error);
    };
    worker.on('message', (message: FromThread) => thread.onMessage(message));
    worker.on('error', died);
    worker.on('exit', (code) =>
      died(new Error(`a thread of the restore ended by itself, with ${code}`)),
    );
    return thread;
  }
}

/** One restore: what the threads have said of it so far. */
class ThreadedRun<Begin> {
  readonly #threads: readonly Thread[];
  readonly #request: ThreadedRequest<Begin>;
  readonly #placing: Placing;
  readonly #progress: { files: number; bytes: number }[];
  readonly #summaries: OrdersSummary[] = [];
  /** Threads that want an order. */
  readonly #wanting: Thread[] = [];
  /** Threads that have not ended. */
  readonly #running: Set<Thread>;
  #fatal: { readonly error: unknown } | undefined;
  #heard: () => void = () => undefined;

  constructor(threads: readonly Thread[], request: ThreadedRequest<Begin>) {
    this.#threads = threads;
    this.#request = request;
    this.#placing = new Placing(request.writer, request.onFailure);
    this.#progress = threads.map(() => ({ files: 0, bytes: 0 }));
    this.#running = new Set(threads);
  }

  async go(items: AsyncIterable<RestoreItem | SealedRows> | Iterable<RestoreItem>) {
    // Each thread helps the one before it.
    const helps = this.#threads.map(() =>
      this.#threads.length > 1 ? new MessageChannel() : undefined,
    );
    for (const [at, thread] of this.#threads.entries()) {
      thread.onMessage = (message) => this.#hear(at, thread, message);
      thread.onDeath = (error) => this.#ended(thread, { error });
      const [asks, gives] = [helps[at]?.port1, helps.at(at - 1)?.port2];
      const items = this.#items();
      const ports = [asks, gives, items].filter((port) => port !== undefined);
      tell<Begin>(thread, { type: 'begin', begin: this.#request.begin, asks, gives, items }, ports);
    }
    try {
      await this.#share(items);
    } catch (error) {
      this.#stop(error);
    }
    while (this.#running.size > 0) await this.#news();
    for (const { path, error } of await this.#request.writer.finish())
      this.#placing.failed(path, error);
    if (this.#fatal !== undefined) throw this.#fatal.error;
    return this.#summary();
  }

  /** A thread's end of the way to the items, where they come from here. */
  #items(): MessagePort | undefined {
    const { fetchItems } = this.#request;
    if (fetchItems === undefined) return undefined;
    const { port1, port2 } = new MessageChannel();
    giveItems(port1, fetchItems, (error) => this.#stop(error));
    return port2;
  }

  /** Gives each thread what it wants, until there is nothing more, or one has failed. */
  async #share(
    items: AsyncIterable<RestoreItem | SealedRows> | Iterable<RestoreItem>,
  ): Promise<void> {
    for await (const item of items) {
      const order = 'blocks' in item ? this.#placing.rest() : this.#placing.take(item);
      if (order !== undefined && !(await this.#gave(await order))) return;
      if ('blocks' in item && !(await this.#gave(item))) return;
    }
    const last = this.#placing.rest();
    if (last !== undefined && !(await this.#gave(await last))) return;
    for (const _ of this.#threads) {
      const thread = await this.#wants();
      if (thread !== undefined) tell<Begin>(thread, { type: 'end' });
    }
  }

  /** Gives one order to a thread that wants one; false: one has failed. */
  async #gave(order: RestoreOrder | SealedRows): Promise<boolean> {
    const thread = await this.#wants();
    if (thread === undefined) return false;
    if ('blocks' in order) tell<Begin>(thread, { type: 'rows', rows: order }, handedOf(order));
    else {
      const files = packOrder(order);
      tell<Begin>(thread, { type: 'order', files }, [files.buffer]);
    }
    return true;
  }

  async #wants(): Promise<Thread | undefined> {
    while (this.#wanting.length === 0 && this.#fatal === undefined) await this.#news();
    return this.#fatal === undefined ? this.#wanting.shift() : undefined;
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#heard = resolve;
    });
  }

  #hear(at: number, thread: Thread, message: FromThread): void {
    if (message.type === 'more') this.#wanting.push(thread);
    else if (message.type === 'progress') this.#progressed(at, message);
    else if (message.type === 'failure')
      this.#request.onFailure?.(Buffer.from(message.path, 'latin1'), restoreErrorOf(message.error));
    else if (message.type === 'unopened')
      this.#request.onUnopened?.(message.of, message.versions, message.error);
    else if (message.type === 'done') {
      this.#summaries.push(message.summary);
      this.#ended(thread, undefined);
    } else {
      const { fatal } = message;
      this.#ended(thread, fatal && { error: this.#revived(fatal) });
    }
    this.#heard();
  }

  #progressed(at: number, told: Extract<FromThread, { type: 'progress' }>): void {
    this.#progress[at] = told;
    const sum = (field: 'files' | 'bytes'): number =>
      this.#progress.reduce((total, one) => total + one[field], 0);
    const path = Buffer.from(told.path, 'latin1');
    this.#request.onProgress?.({ files: sum('files'), bytes: sum('bytes'), path });
  }

  #ended(thread: Thread, fatal: { readonly error: unknown } | undefined): void {
    this.#running.delete(thread);
    if (fatal !== undefined) this.#stop(fatal.error);
    this.#heard();
  }

  /** The restore has failed: the threads take away what is not finished. */
  #stop(error: unknown): void {
    this.#fatal ??= { error };
    for (const thread of this.#running) tell<Begin>(thread, { type: 'stop' });
  }

  #revived(told: ToldError): Error {
    return told.code in RestoreError.codes ? restoreErrorOf(told) : this.#request.revive(told);
  }

  #summary(): RestoreSummary {
    const { directories, links, failed } = this.#placing.counts;
    const placing = { files: 0, same: 0, growing: 0, bytes: 0, failed };
    return { ...this.#summaries.reduce(addSummaries, placing), directories, links };
  }
}

function tell<Begin>(
  { worker }: Thread,
  message: ToThread<Begin>,
  handed: readonly Transferable[] = [],
): void {
  worker.postMessage(message, handed);
}

function restoreErrorOf({ code, message, errno }: ToldError): RestoreError {
  const cause =
    errno === undefined ? undefined : Object.assign(new Error(errno), { code: errno, syscall: '' });
  return new RestoreError(code as RestoreErrorCode, message, { cause });
}
