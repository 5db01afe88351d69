import type { ChunkId, VaultId } from '@aliquot/proto';
import { release } from '../crypto/bytes.ts';
import { equalBytes, sha256 } from '../crypto/primitives.ts';
import { inSteps, type Steps, soon } from '../durable/soon.ts';
import { Arrivals, type FetchedItem } from './arrivals.ts';
import type { ContentHelper, HelpedContent } from './content-help.ts';
import { RestoreError } from './errors.ts';
import { type FetchAgain, ItemOpener } from './open-items.ts';
import type { OnFailure, PlacedFile, RestoreOrder } from './placing.ts';
import {
  type Batch,
  batchesOf,
  type ContentStep,
  explain,
  type Job,
  notDelivered,
  planWork,
  type WholeStep,
  type Work,
} from './plan.ts';
import type { FileTarget } from './restore-target.ts';
import type { FileSink, Outcome } from './sink.ts';

/** What files are given back from, and where to. */
export interface OrdersRequest {
  readonly vaultId: VaultId;
  /**
   * Gets chunks, pages and slabs, at most `MAX_FETCH_IDS` per call, in the order of `ids`, missing
   * ones left out. The bytes of one need to last only until the next is asked for. Errors end the
   * restore: retrying and reconnecting are the callee's business. At most two calls run at once,
   * and one for a page.
   */
  fetchItems(ids: readonly ChunkId[]): AsyncIterable<FetchedItem>;
  /** Where an item can be asked for again that did not prove. */
  readonly fetchAgain?: FetchAgain | undefined;
  readonly writer: FileTarget;
  /** Who shares the work on large files. */
  readonly helper?: ContentHelper | undefined;
  /** `path`: of the file at hand. */
  onProgress?(done: {
    readonly files: number;
    readonly bytes: number;
    readonly path: Uint8Array;
  }): void;
  readonly onFailure?: OnFailure | undefined;
}

export interface OrdersSummary {
  /** Files given back, those that were there already included. */
  readonly files: number;
  /** Of `files`, those whose exact bytes were there before. */
  readonly same: number;
  /**
   * Of `files`, those captured while they grew: every chunk proved itself, and there is no hash of
   * the whole to compare with.
   */
  readonly growing: number;
  /** Plaintext bytes of the files given back. */
  readonly bytes: number;
  /** Names that could not be given back; each went to `onFailure`. */
  readonly failed: number;
}

/** Two summaries as one. */
export function addSummaries(a: OrdersSummary, b: OrdersSummary): OrdersSummary {
  return {
    files: a.files + b.files,
    same: a.same + b.same,
    growing: a.growing + b.growing,
    bytes: a.bytes + b.bytes,
    failed: a.failed + b.failed,
  };
}

/**
 * How many files are flushed and named at the same time: hides the disk's latency where files are
 * small.
 */
const FILES_AT_ONCE = 16;
/** Batches that are asked for while one is written: while somebody helps, two more are opened. */
const BATCHES_AHEAD = 1;
const HELPED_AHEAD = 3;
/** Files from this size on are shared with the helper. */
const SHARED_BYTES = 16 * 1024 * 1024;
/**
 * Of so many batches of a large file the helper opens all but one: whoever writes the file also
 * takes its hash.
 */
const SHARED_OF = 3;

/**
 * Gives files back: asks for their items in batches across files, opens, proves and writes each as
 * it comes, and proves every whole file (P2). Memory is bounded by an item, by what is on its way
 * of the next batch, and by the names of two orders.
 *
 * A file that cannot be given back goes to `onFailure`, and the rest goes on. A full disk, an error
 * of `fetchItems` or of the orders, and anything unexpected end it: unfinished files are taken
 * away, but for large ones with which a later restore goes on; finished ones stay.
 */
export async function restoreOrders(
  orders: AsyncIterable<RestoreOrder>,
  request: OrdersRequest,
): Promise<OrdersSummary> {
  return new OrdersRun(request).go(orders);
}

/** A batch whose items are on their way. */
interface AskedBatch extends Batch {
  readonly arrivals: Arrivals;
  readonly helped: HelpedContent | undefined;
}

class OrdersRun {
  readonly #request: OrdersRequest;
  readonly #opener: ItemOpener;
  readonly #sinks = new Map<Job, FileSink>();
  readonly #asked = new Set<Arrivals>();
  /** Whether the newest batch is of a large file, and how many were. */
  #isLarge = false;
  #largeBatches = 0;
  #fatal: { readonly error: unknown } | undefined;
  readonly #counts = { files: 0, same: 0, growing: 0, bytes: 0, failed: 0 };
  #writtenBytes = 0;
  /** One of those has ended. */
  #freed: () => void = () => undefined;
  readonly #finishing = new Set<Promise<void>>();
  /** Files that are to be fetched whole: what was there of them was something else. */
  readonly #anew: PlacedFile[] = [];

  constructor(request: OrdersRequest) {
    this.#request = request;
    this.#opener = new ItemOpener(request.vaultId, request.fetchAgain);
  }

  async go(orders: AsyncIterable<RestoreOrder>): Promise<OrdersSummary> {
    try {
      await this.#all(orders);
      while (this.#anew.length > 0) await this.#all(once(this.#anew.splice(0)));
    } catch (error) {
      await Promise.all(this.#finishing);
      // A full disk needs every byte; else the next restore may go on with them.
      const isFull = error instanceof RestoreError;
      for (const sink of this.#sinks.values()) await (isFull ? sink.abort() : sink.leave());
      throw error;
    } finally {
      for (const arrivals of this.#asked) arrivals.drop();
      for (const { path, error } of await this.#request.writer.finish()) this.#told(path, error);
    }
    return this.#counts;
  }

  async #all(orders: AsyncIterable<RestoreOrder>): Promise<void> {
    const count = () =>
      this.#isLarge && this.#request.helper !== undefined ? HELPED_AHEAD : BATCHES_AHEAD;
    for await (const batch of ahead(this.#batches(orders), count)) {
      for (const { work, at } of batch.steps) {
        this.#endIfFatal();
        const step =
          work.type === 'whole'
            ? inSteps(this.#whole(work, at, batch))
            : this.#step(work, at, batch);
        // A promise that is there already costs as much as a small file.
        if (step !== undefined) await step;
      }
      this.#asked.delete(batch.arrivals);
      batch.arrivals.drop();
    }
    await Promise.all(this.#finishing);
    this.#endIfFatal();
  }

  /** Batches whose items have been asked for. */
  async *#batches(orders: AsyncIterable<RestoreOrder>): AsyncGenerator<AskedBatch> {
    const { vaultId } = this.#request;
    for await (const order of orders) {
      const work = planWork(vaultId, order, (id) => this.#page(id));
      for await (const batch of batchesOf(work)) {
        const asked = this.#helped(batch) ?? this.#ask(batch);
        this.#asked.add(asked.arrivals);
        yield asked;
      }
    }
  }

  #ask(batch: Batch): AskedBatch {
    const source = batch.ids.length === 0 ? nothing() : this.#request.fetchItems(batch.ids);
    return { ...batch, arrivals: new Arrivals(batch.ids, source), helped: undefined };
  }

  /** A part of a large file that the helper opens, if it is its turn. */
  #helped({ steps }: Batch): AskedBatch | undefined {
    const { helper } = this.#request;
    const content = steps.flatMap(({ work }) => (work.type === 'content' ? work : []));
    this.#isLarge =
      content.length > 0 && content.every(({ job }) => job.file.spec.size >= SHARED_BYTES);
    // Small files behind the last chunks of a large one: the helper opens chunks only.
    const hasWhole = steps.some(({ work }) => work.type === 'whole');
    if (helper === undefined || !this.#isLarge || hasWhole) return undefined;
    this.#largeBatches += 1;
    if (this.#largeBatches % SHARED_OF === 1) return undefined;
    let index = 0;
    const numbered = steps.map(({ work }) => {
      return { work, at: work.type === 'content' ? index++ : -1 };
    });
    const helped = helper.open(content);
    return { steps: numbered, ids: [], arrivals: new Arrivals([], nothing()), helped };
  }

  async #page(id: ChunkId): Promise<Uint8Array | undefined> {
    const { fetchItems, fetchAgain } = this.#request;
    const arrivals = new Arrivals([id], fetchItems([id]));
    const bytes = (await arrivals.item(0))?.slice();
    arrivals.drop();
    if (bytes === undefined || equalBytes(sha256(bytes), id)) return bytes;
    return (await fetchAgain?.(id)) ?? bytes;
  }

  /** A small file: done at once where its item is here, and the disk is quick. */
  *#whole({ job, from }: WholeStep, at: number, { arrivals }: AskedBatch): Steps<void> {
    try {
      yield* this.#place();
      let plain: Uint8Array = new Uint8Array(0);
      if (from !== undefined) {
        const sealed = arrivals.here(at) ?? (yield* soon(arrivals.item(at)));
        if (sealed === undefined)
          throw notDelivered(job.file, from.piece > 0 ? 'slab' : 'chunk', from.ref.id);
        plain = yield* soon(this.#opener.open(from, sealed));
      }
      const { spec, placed } = job.file;
      const outcome = this.#request.writer.whole(spec, placed, plain);
      this.#writtenBytes += plain.length;
      if (outcome instanceof Promise) this.#finishLater(job, outcome);
      else this.#finished(job, outcome);
    } catch (error) {
      yield* soon(this.#fail(job, error));
    }
  }

  async #step(work: Exclude<Work, WholeStep>, at: number, batch: AskedBatch): Promise<void> {
    const { job } = work;
    if (job.failed) return;
    try {
      if (work.type === 'content') await this.#write(work, await this.#content(work, at, batch));
      else if (work.type === 'begin') await this.#begin(job, work.from);
      else if (work.type === 'end') this.#end(job);
      else throw work.error;
    } catch (error) {
      await this.#fail(job, error);
    }
  }

  /** One of the files that were being finished has met what ends the restore. */
  #endIfFatal(): void {
    if (this.#fatal !== undefined) throw this.#fatal.error;
  }

  async #begin(job: Job, from: number): Promise<void> {
    await inSteps(this.#place());
    const { spec, placed } = job.file;
    this.#sinks.set(job, await this.#request.writer.file(spec, placed, from));
  }

  async #content(
    step: ContentStep,
    at: number,
    { arrivals, helped }: AskedBatch,
  ): Promise<Uint8Array> {
    const { job, piece, ref } = step;
    const plain = await helped?.plain(at);
    if (plain !== undefined) return plain;
    // What the helper could not have fails here with its own error, or comes after all.
    const sealed = await (helped === undefined ? arrivals.item(at) : this.#page(ref.id));
    if (sealed === undefined) throw notDelivered(job.file, piece > 0 ? 'slab' : 'chunk', ref.id);
    return this.#opener.open(step, sealed);
  }

  async #write({ job }: ContentStep, plain: Uint8Array): Promise<void> {
    await this.#sinks.get(job)?.write(plain);
    this.#writtenBytes += plain.length;
    release(plain);
    this.#progress(job);
  }

  /**
   * Waits until there is a place for one more file. Those that are still being flushed count: what
   * is open at once is what the disk and the limit of open files can take.
   */
  *#place(): Steps<void> {
    while (this.#finishing.size > 0 && this.#sinks.size + this.#finishing.size >= FILES_AT_ONCE)
      yield* soon(
        new Promise<void>((resolve) => {
          this.#freed = resolve;
        }),
      );
  }

  /**
   * Begins to flush and name a file. That takes the disk a while, and nothing that follows needs
   * it.
   */
  #end(job: Job): void {
    const sink = this.#sinks.get(job);
    if (sink === undefined) return;
    // On an error it leaves nothing behind by itself.
    this.#sinks.delete(job);
    this.#finishLater(job, sink.finish());
  }

  #finishLater(job: Job, outcome: Promise<Outcome>): void {
    const finishing = outcome
      .then((is) => this.#finished(job, is))
      .catch((error: unknown) => this.#fail(job, error))
      .catch((error: unknown) => {
        this.#fatal ??= { error };
      })
      .finally(() => {
        this.#finishing.delete(finishing);
        this.#freed();
      });
    this.#finishing.add(finishing);
  }

  #finished(job: Job, outcome: Outcome): void {
    const { spec } = job.file;
    this.#counts.files += 1;
    this.#counts.bytes += spec.size;
    if (outcome === 'same') this.#counts.same += 1;
    if (spec.sha256.length === 0) this.#counts.growing += 1;
    this.#progress(job);
  }

  #progress({ file }: Job): void {
    this.#request.onProgress?.({
      files: this.#counts.files,
      bytes: this.#writtenBytes,
      path: file.spec.path,
    });
  }

  /**
   * One file has failed: it is reported, and its temporary file removed. Rethrows what must end the
   * whole restore.
   */
  async #fail(job: Job, error: unknown): Promise<void> {
    const { file } = job;
    job.failed = true;
    const explained = explain(file, error);
    if (!(explained instanceof RestoreError) || explained.code === 'RESTORE_NO_SPACE')
      throw explained;
    await this.#sinks.get(job)?.abort();
    this.#sinks.delete(job);
    const isWholeAnew = ['RESTORE_DAMAGED', 'RESTORE_TARGET'].includes(explained.code);
    if (file.placed.part !== undefined && isWholeAnew)
      this.#anew.push({ ...file, placed: { final: file.placed.final } });
    else this.#told(file.spec.path, explained);
  }

  #told(path: Uint8Array, error: RestoreError): void {
    this.#counts.failed += 1;
    this.#request.onFailure?.(path, error);
  }
}

/** The same values, some of them asked for while one is worked on. */
export async function* ahead<T>(source: AsyncGenerator<T>, count: () => number): AsyncGenerator<T> {
  const waiting: Promise<IteratorResult<T>>[] = [];
  for (;;) {
    while (waiting.length <= count()) {
      const next = source.next();
      next.catch(() => undefined); // thrown where it is waited for
      waiting.push(next);
    }
    const step = await waiting.shift();
    if (step === undefined || step.done === true) return;
    yield step.value;
  }
}

async function* once(order: RestoreOrder): AsyncGenerator<RestoreOrder> {
  yield order;
}

async function* nothing(): AsyncGenerator<FetchedItem> {}
