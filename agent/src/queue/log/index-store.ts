import { type DerivedIndex, rowsOf } from '@aliquot/shared/derived/derived-index';
import { DerivedError, isRebuild } from '@aliquot/shared/derived/errors';
import type { IndexOptions } from '@aliquot/shared/derived/level-index';
import type { DiskPort, KeyRange } from '@aliquot/shared/derived/level-port';
import { openIndex } from '@aliquot/shared/derived/open-index';
import { indexAnew, QueueError } from './errors.ts';
import { familyFrom, familyRange } from './index-rows.ts';
import { decodeState, emptyState, encodeState, type IndexState } from './index-state.ts';
import { KnownRows } from './known-rows.ts';
import { ProblemRows } from './problem-rows.ts';

/** How the index of a queue is opened; `owner` is that of its logs. */
export function indexOptions(dir: string, owner: Uint8Array): IndexOptions {
  return {
    dir,
    what: `the queue's index ${dir}`,
    owner,
    cacheBytes: 2 * 1024 * 1024,
    writeBufferBytes: 2 * 1024 * 1024,
    maxOpenFiles: 64,
    mostMappedBytes: 8 * 1024 * 1024,
  };
}

/**
 * The queue's derived index, with its counters. Changes are held back until the records behind them
 * are durable: `put` and `del` wait in memory, where `get` sees them; `write` puts them on the disk
 * together with the counters. Iteration and `getWritten` see what was written only.
 */
export class IndexStore {
  readonly #index: DerivedIndex;
  readonly known: KnownRows;
  readonly problems: ProblemRows;
  /** Counters as they are with what waits. Changed by `apply`, written by `write`. */
  state: IndexState;

  private constructor(index: DerivedIndex, state: IndexState, problems: ProblemRows) {
    this.#index = index;
    this.state = state;
    this.known = new KnownRows(index, state.knownBesideBytes);
    this.problems = problems;
  }

  /**
   * `found` is false when it is new: replay everything. Errors: those of
   * `openIndex`.
   */
  static async open(
    disk: DiskPort,
    options: IndexOptions,
  ): Promise<{ readonly store: IndexStore; readonly found: boolean }> {
    const index = await openIndex(disk, options);
    const state = index.mark === undefined ? undefined : decodeState(index.mark);
    if (index.mark !== undefined && state === undefined) {
      await index.close();
      throw new DerivedError('DERIVED_REBUILD', `${options.what} is of another release`);
    }
    try {
      const problems = await ProblemRows.load(index);
      const store = new IndexStore(index, state ?? emptyState(), problems);
      return { store, found: state !== undefined };
    } catch (error) {
      await index.close();
      throw error;
    }
  }

  get staged(): number {
    return this.#index.staged + this.known.staged;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#index.put(key, value);
  }

  del(key: Uint8Array): void {
    this.#index.del(key);
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#index.get(key);
  }

  /** `get` for many, with one question to the disk. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#index.getMany(keys);
  }

  /** What `get` answers, when `written` is what was written. */
  latest(key: Uint8Array, written: Uint8Array | undefined): Uint8Array | undefined {
    return this.#index.latest(key, written);
  }

  async getWritten(key: Uint8Array): Promise<Uint8Array | undefined> {
    return (await this.#index.getWritten([key]))[0];
  }

  getManyWritten(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#index.getWritten(keys);
  }

  /** Key order. A snapshot of what was written when it began. */
  iterate(
    range: KeyRange,
    options: { readonly limit?: number } = {},
  ): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
    return rowsOf(this.#index, range, options);
  }

  /** Versions that stand in no signed commit, oldest first. */
  unsigned(
    options: { readonly limit?: number } = {},
  ): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
    return this.iterate(familyFrom('q', this.state.signedEntry + 1), options);
  }

  async firstKey(range: KeyRange): Promise<Uint8Array | undefined> {
    for await (const [key] of this.iterate(range, { limit: 1 })) return key;
    return undefined;
  }

  clear(range: KeyRange): Promise<void> {
    return this.#index.clear(range);
  }

  /**
   * Writes everything that waits and the state, or nothing; `sync` also flushes it. After a failure
   * the store must not be used.
   */
  async write(options: { readonly sync?: boolean } = {}): Promise<void> {
    try {
      await this.known.fold();
      this.state.knownBesideBytes = this.known.besideBytes;
      await this.#index.flush(encodeState(this.state), options);
      this.known.flushed();
    } catch (cause) {
      throw toldAsQueue(cause, 'cannot be written');
    }
  }

  /** It was found to be wrong: throws that it must be made again. */
  condemn(why: string): Promise<never> {
    return this.#index.condemn(why);
  }

  close(): Promise<void> {
    return this.#index.close();
  }
}

/** What is wrong with the index, as the queue says it; other errors as they are. */
export function toldAsQueue(error: unknown, says: string): unknown {
  if (!(error instanceof DerivedError)) return error;
  const cause = { cause: error };
  if (isRebuild(error)) return indexAnew(error);
  return error.code === 'DERIVED_NO_SPACE'
    ? new QueueError(
        'QUEUE_NO_SPACE',
        `the queue's index ${says}; free some space, and it goes on by itself`,
        cause,
      )
    : new QueueError('QUEUE_STORAGE', `the queue's index ${says}: ${error.message}`, cause);
}

/**
 * Forgets everything that names chunks which the queue does not hold: they may be nowhere any more.
 */
export async function clearCaches(index: IndexStore): Promise<void> {
  await index.clear(familyRange('x'));
  await index.clear(familyRange('g'));
}
