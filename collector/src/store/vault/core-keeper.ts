import type { LineageId, TreeHead, VaultDescriptorBody } from '@aliquot/proto';
import { isRebuild } from '@aliquot/shared/derived/errors';
import { endWith } from '@aliquot/shared/durable/unexpected';
import { Serial } from '@aliquot/shared/serial';
import { FLUSH_CHANGES } from '../catalog/catalog-store.ts';
import { leavesDoubt, StoreError } from '../errors.ts';
import { followCorrections } from './apply-clock.ts';
import type { VaultCore } from './core.ts';
import type { VaultMedia } from './media.ts';
import { type CoreOpening, openCore } from './open-core.ts';
import { PendingUploads } from './pending-uploads.ts';

/** Bytes put that may wait for a sync: bounds what a power cut can take from uploads. */
const UNSYNCED_BYTES = 16 * 1024 * 1024;
/** What a start after a crash takes in at most, about. */
const UNWRITTEN_PACK_BYTES = 64 * 1024 * 1024;
const UNWRITTEN_HISTORY_BYTES = 16 * 1024 * 1024;

/**
 * Keeps one vault's core in step with its media.
 *
 * One queue runs everything that changes the core, in order. Two syncs are shared by all who wait:
 * that of the packs runs beside the queue, as nothing is appended to the history before it; that of
 * the history is a job in the queue, and covers all commits that were waiting when it was asked
 * for. What was put long before its commit was usually synced long before, which leaves the
 * second. After a failure that leaves memory and media in doubt, the core is opened again before
 * anybody hears of it.
 */
export class CoreKeeper {
  /** What agents sent and no record names yet. */
  readonly uploads = new PendingUploads();
  /**
   * Who writes files of the history anew, or relies on what stands in them until something is
   * appended: one at a time, beside the queue. Not asked for within a job.
   */
  readonly rewriting = new Serial();
  readonly #media: VaultMedia;
  readonly #vault: VaultDescriptorBody;
  readonly #onUnfit: CoreOpening['onUnfit'];
  readonly #queue = new Serial();
  readonly #dataSyncs = new Serial();
  #core: VaultCore;
  /** Why the core must be opened again. */
  #broken: unknown;
  #closed = false;
  /** Grows when a core was replaced: what was appended to the old one and not synced is gone. */
  #generation = 0;
  #durableHead: TreeHead;
  #nextDataSync: Promise<void> | undefined;
  #nextHistorySync: Promise<void> | undefined;

  private constructor(
    media: VaultMedia,
    vault: VaultDescriptorBody,
    onUnfit: CoreOpening['onUnfit'],
    core: VaultCore,
  ) {
    this.#media = media;
    this.#vault = vault;
    this.#onUnfit = onUnfit;
    this.#core = core;
    this.#durableHead = core.head;
  }

  /** Throws what `openCore` throws. */
  static async open(
    media: VaultMedia,
    vault: VaultDescriptorBody,
    onUnfit: CoreOpening['onUnfit'],
  ): Promise<CoreKeeper> {
    return new CoreKeeper(media, vault, onUnfit, await openCore(media, { onUnfit }));
  }

  /** The head of the log as far as it is on the disk: what may be signed and shown. */
  get durableHead(): TreeHead {
    return this.#durableHead;
  }

  /** The core as it is in memory. Error: `STORE_CLOSED`. */
  live(): VaultCore {
    if (this.#closed)
      throw new StoreError('STORE_CLOSED', `the store of vault ${this.#vault.name} is closed`);
    return this.#core;
  }

  /** The core for a read; after a failure it is opened again first. */
  async ready(): Promise<VaultCore> {
    this.live();
    if (this.#broken !== undefined) await this.do(async () => undefined);
    return this.#core;
  }

  /** The core with all of the history so far durable: what is read here may be shown. */
  async settled(): Promise<VaultCore> {
    await this.#syncHistory();
    return this.live();
  }

  /**
   * Asks outside of the queue. A catalog that turns out to be damaged is made again from history
   * and packs, and asked once more.
   */
  async ask<T>(question: (core: VaultCore) => Promise<T>, core = () => this.ready()): Promise<T> {
    const asked = await core();
    try {
      return await question(asked);
    } catch (error) {
      await this.#makeAnew(asked, error);
      return question(await core());
    }
  }

  /**
   * The same for a question with many answers. Error: `STORE_FAILED` (retryable) when the damage
   * shows behind the first of them.
   */
  async *askMany<T>(
    question: (core: VaultCore) => AsyncIterable<T>,
    core = () => this.ready(),
  ): AsyncGenerator<T, void, void> {
    for (let isFirst = true; ; isFirst = false) {
      const asked = await core();
      let answered = false;
      try {
        for await (const answer of question(asked)) {
          answered = true;
          yield answer;
        }
        return;
      } catch (error) {
        await this.#makeAnew(asked, error);
        if (isFirst && !answered) continue;
        const says = 'the catalog was damaged, and has been made again meanwhile: ask again';
        throw new StoreError('STORE_FAILED', says, { cause: error });
      }
    }
  }

  /** Runs a job alone. */
  do<T>(job: (core: VaultCore) => Promise<T>): Promise<T> {
    return this.#queue.run(() => this.#guarded(job));
  }

  /**
   * Runs a job alone and answers when the leaf that it appended, if it did, is durable. Error:
   * `STORE_FAILED` (retryable) when a failure has dropped the leaf meanwhile.
   */
  async doDurably<T>(
    job: (core: VaultCore) => Promise<T>,
    leafOf: (result: T) => number | undefined,
  ): Promise<T> {
    const { result, generation } = await this.do(async (core) => ({
      result: await job(core),
      generation: this.#generation,
    }));
    const leafIndex = leafOf(result);
    if (leafIndex === undefined) return result;
    if (leafIndex >= this.#durableHead.size) await this.#syncHistory();
    if (generation === this.#generation) return result;
    throw failed();
  }

  /** Makes durable what was put and appended before this call. */
  async sync(): Promise<void> {
    await this.#syncData();
    await this.do(async (core) => {
      await this.uploads.appendAllTo(core);
    });
    await this.#syncHistory();
  }

  /** Makes durable what a lineage's next commit relies on, beside the queue. */
  async settleUploads(lineageId: LineageId): Promise<void> {
    if (await this.isUnsettled(lineageId)) await this.#syncData();
  }

  /** Whether a lineage's next commit relies on what is not durable yet. */
  async isUnsettled(lineageId: LineageId): Promise<boolean> {
    const { durablePuts, returnedPuts } = (await this.ready()).items;
    return Math.max(this.uploads.reliesOn(lineageId), returnedPuts) > durablePuts;
  }

  /** For use inside a job: syncs and flushes when much waits for it. */
  async syncWhenFull(core: VaultCore): Promise<void> {
    const { unsyncedBytes } = core.packs;
    if (unsyncedBytes >= 2 * UNSYNCED_BYTES) await core.items.sync();
    // A failure opens the core again; the next caller hears of it.
    else if (unsyncedBytes >= UNSYNCED_BYTES) this.#syncData().catch((met) => endWith(met));
    if (this.#isFull(core)) await this.#flushNow(core);
  }

  /** Makes durable what was put before this call, beside the queue. */
  settleData(): Promise<void> {
    return this.#syncData();
  }

  /** For use inside a job: syncs, and writes the catalog. */
  flushHere(core: VaultCore): Promise<void> {
    return this.#flushNow(core);
  }

  /** Makes a catalog that is behind again from history and packs, while everybody waits. */
  makeAgain(): Promise<void> {
    return this.do(async (core) => {
      if (!core.isBehind) return;
      await this.#flushNow(core);
      followCorrections(core.catalog, core.registry);
      await core.catalog.clear();
      await this.#reopen();
    });
  }

  /** Syncs, and writes the catalog. */
  flush(): Promise<void> {
    return this.do((core) => this.#flushNow(core));
  }

  /** Syncs, writes the catalog and closes the files. Later calls throw `STORE_CLOSED`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      if (this.#broken === undefined) await this.flush();
    } finally {
      this.#closed = true;
      await this.#dataSyncs.run(async () => undefined);
      await this.#queue.run(() => this.#core.close());
    }
  }

  /** Opens a core again whose catalog cannot be believed; throws any other error. */
  async #makeAnew(asked: VaultCore, error: unknown): Promise<void> {
    if (!isRebuild(error)) throw error;
    const fail = async (now: VaultCore): Promise<void> => {
      if (now === asked) throw error;
    };
    await this.do(fail).catch((met: unknown) => {
      if (met !== error) throw met;
    });
  }

  async #guarded<T>(job: (core: VaultCore) => Promise<T>): Promise<T> {
    this.live();
    if (this.#broken !== undefined) await this.#reopen();
    try {
      return await job(this.#core);
    } catch (error) {
      if (leavesDoubt(error)) {
        this.#broken = error;
        // Before anybody hears of it, so that a later look (by a person, at whether it was done
        // after all) shows nothing that was dropped. What stands in the way goes to the next
        // caller.
        await this.#reopen().catch((met: unknown) => endWith(met));
      }
      throw error;
    }
  }

  /** Drops what was not synced (nobody has heard of it) and opens the vault again from the disk. */
  async #reopen(): Promise<void> {
    const { synced } = this.#core;
    // broken already: its caller has the reason
    await this.#core.close().catch(endWith);
    this.uploads.clear();
    this.#generation += 1;
    try {
      this.#core = await openCore(this.#media, { onUnfit: this.#onUnfit, synced });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new StoreError(
        'STORE_FAILED',
        `the store of vault ${this.#vault.name} cannot go on: ${why}`,
        { cause: error },
      );
    }
    this.#durableHead = this.#core.head;
    this.#broken = undefined;
  }

  /** Calls that wait at the same time share one sync. */
  #syncData(): Promise<void> {
    this.#nextDataSync ??= this.#dataSyncs.run(() => {
      // a later caller may have put something that this sync misses
      this.#nextDataSync = undefined;
      return this.#syncDataNow(this.#core);
    });
    return this.#nextDataSync;
  }

  async #syncDataNow(core: VaultCore): Promise<void> {
    try {
      await core.items.sync();
    } catch (error) {
      await this.do(async (now) => {
        if (now === core) throw error;
      });
      throw error instanceof StoreError ? failed(error) : error;
    }
  }

  #syncHistory(): Promise<void> {
    this.#nextHistorySync ??= this.#queue.run(() => {
      this.#nextHistorySync = undefined;
      return this.#guarded(async (core) => {
        await this.#settleHistory(core);
        if (this.#isFull(core)) await this.#flushNow(core);
      });
    });
    return this.#nextHistorySync;
  }

  async #settleHistory(core: VaultCore): Promise<void> {
    await core.history.sync();
    const { head } = core;
    if (head.size !== this.#durableHead.size) this.#durableHead = head;
  }

  async #flushNow(core: VaultCore): Promise<void> {
    await core.items.sync();
    await this.uploads.appendAllTo(core);
    await this.#settleHistory(core);
    await core.flush();
  }

  #isFull({ catalog, unwrittenBytes }: VaultCore): boolean {
    return (
      catalog.pendingChanges >= FLUSH_CHANGES ||
      unwrittenBytes.history >= UNWRITTEN_HISTORY_BYTES ||
      unwrittenBytes.packs >= UNWRITTEN_PACK_BYTES
    );
  }
}

function failed(cause?: unknown): StoreError {
  const says = 'the disk failed before this was durable; send it again';
  return new StoreError('STORE_FAILED', says, { cause });
}
