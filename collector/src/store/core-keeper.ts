import type { TreeHead, VaultDescriptorBody } from '@aliquot/proto';
import { endWith } from '@aliquot/shared/cli/unexpected';
import { Serial } from '@aliquot/shared/serial';
import { FLUSH_CHANGES } from './catalog.ts';
import { VaultCore } from './core.ts';
import { leavesDoubt, StoreError } from './errors.ts';
import type { JournalPorts } from './journal.ts';
import { PendingUploads } from './pending-uploads.ts';

/**
 * Journal bytes that may wait for a sync: bounds what is replayed at start and what a power cut can
 * take from uploads.
 */
const UNSYNCED_BYTES = 16 * 1024 * 1024;

/**
 * Keeps one vault's core in step with its disk.
 *
 * One queue runs everything that appends, syncs or flushes, in order. A sync is itself a job in
 * that queue: all commits that were waiting when it was asked for run before it and share its
 * fdatasync, which is the group commit. After a failure that leaves memory and disk in doubt, the
 * core is opened again from the disk before anybody hears of it.
 */
export class CoreKeeper {
  /** What agents sent and no record names yet. */
  readonly uploads = new PendingUploads();
  readonly #dir: string;
  readonly #vault: VaultDescriptorBody;
  readonly #ports: JournalPorts;
  readonly #queue = new Serial();
  #core: VaultCore;
  /** Why the core must be opened again. */
  #broken: unknown;
  #closed = false;
  /** Grows when a core was replaced: what was appended to the old one and not synced is gone. */
  #generation = 0;
  #durableHead: TreeHead;
  #nextSync: Promise<void> | undefined;

  private constructor(
    dir: string,
    vault: VaultDescriptorBody,
    ports: JournalPorts,
    core: VaultCore,
  ) {
    this.#dir = dir;
    this.#vault = vault;
    this.#ports = ports;
    this.#core = core;
    this.#durableHead = core.head;
  }

  /** Throws what `VaultCore.open` throws. */
  static async open(
    dir: string,
    vault: VaultDescriptorBody,
    ports: JournalPorts,
  ): Promise<CoreKeeper> {
    return new CoreKeeper(dir, vault, ports, await VaultCore.open(dir, vault.vaultId, ports));
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

  /** The core with everything that was appended before durable: what is read here may be shown. */
  async settled(): Promise<VaultCore> {
    await this.sync();
    return this.live();
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
    if (leafIndex >= this.#durableHead.size) await this.sync();
    if (generation === this.#generation) return result;
    throw new StoreError('STORE_FAILED', 'the disk failed before this was durable; send it again');
  }

  /**
   * Makes durable what was appended before this call; calls that wait at the same time share one
   * sync.
   */
  sync(): Promise<void> {
    this.#nextSync ??= this.#queue.run(() => {
      // whoever asks from now on may have appended something that this sync misses
      this.#nextSync = undefined;
      return this.#guarded((core) => this.#syncNow(core));
    });
    return this.#nextSync;
  }

  /** For use inside a job: syncs when much waits for it. */
  async syncWhenFull(core: VaultCore): Promise<void> {
    const { end, synced } = core.journal;
    if (
      end.offset - synced.offset >= UNSYNCED_BYTES ||
      core.catalog.pendingChanges >= FLUSH_CHANGES
    )
      await this.#syncNow(core);
  }

  /** Syncs, and writes the catalog. */
  flush(): Promise<void> {
    return this.do((core) => this.#syncNow(core, 'flush'));
  }

  /** Syncs, writes the catalog and closes the files. Later calls throw `STORE_CLOSED`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      if (this.#broken === undefined) await this.flush();
    } finally {
      this.#closed = true;
      await this.#queue.run(() => this.#core.close());
    }
  }

  async #guarded<T>(job: (core: VaultCore) => Promise<T>): Promise<T> {
    this.live();
    if (this.#broken !== undefined) await this.#reopen();
    try {
      return await job(this.#core);
    } catch (error) {
      if (leavesDoubt(error)) {
        this.#broken = error;
        // Before anybody is told of it, so that who looks then (a person, at whether it was done
        // after all) sees nothing that was dropped. What stands in the way is told to the next who
        // asks.
        await this.#reopen().catch((met: unknown) => endWith(met));
      }
      throw error;
    }
  }

  /** Drops what was not synced (nobody was told of it) and opens the vault again from the disk. */
  async #reopen(): Promise<void> {
    const discardAfter = this.#core.journal.synced;
    // broken already: the reason was told to whoever met it
    await this.#core.close().catch(endWith);
    this.uploads.clear();
    this.#generation += 1;
    try {
      this.#core = await VaultCore.open(this.#dir, this.#vault.vaultId, this.#ports, discardAfter);
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

  async #syncNow(core: VaultCore, flush: 'flush' | 'when full' = 'when full'): Promise<void> {
    await this.uploads.appendAllTo(core);
    await core.journal.sync();
    const head = core.head;
    if (head.size !== this.#durableHead.size) this.#durableHead = head;
    if (
      flush === 'flush' ||
      core.catalog.pendingChanges >= FLUSH_CHANGES ||
      core.unwrittenBytes >= UNSYNCED_BYTES
    )
      await core.flush();
  }
}
