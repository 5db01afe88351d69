import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { type BytePath, pathBytes } from '../source/paths.ts';
import { systemCode } from '../source/source-port.ts';

/** One folder that is watched. */
export interface Watched {
  readonly path: BytePath;
  /** Which folder it is: another one under the same name needs another watch. */
  readonly ino: number;
  readonly watcher: FSWatcher;
  mtimeMs: number;
  /** The last scan that came by it. */
  scan: number;
}

/** Who has watched folders. */
export interface WatchHolder {
  /** Folders that may give way to others. */
  replaceable(): Watched[];
  /** It is not watched any more, so that another one can be. */
  giveWay(watched: Watched): void;
  lost(because: string): void;
}

export interface PoolOptions {
  readonly mostFolders?: number;
  readonly watch?: typeof watch;
}

/** A watched folder costs 1.5 KiB in this process: more of them would make an idle agent heavy. */
const DEFAULT_MOST_FOLDERS = 20_000;
/** How many give way when there is no room, and when there is room for any again. */
const SPARE_SHARE = 0.1;
const ROOMY_SHARE = 0.8;

/** How many events the kernel keeps before it drops the next ones. */
function queuedEvents(): number {
  const usual = 16_384;
  try {
    return Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'latin1')) || usual;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return usual; // a system without that file
  }
}

/** Why the system gives no more watches, and what to do. */
const limits: Record<string, string> = {
  ENOSPC: 'the system gives no more watches; raise fs.inotify.max_user_watches',
  EMFILE: 'too many programs of this account watch files; raise fs.inotify.max_user_instances',
  ENOMEM: 'the system has no memory for more watches',
};

/**
 * All inotify watches of this process. There are only so many; where there are more folders, those
 * that changed last are watched.
 */
export class WatchPool {
  readonly #holders = new Set<WatchHolder>();
  readonly #mostFolders: number;
  readonly #watch: typeof watch;
  /** As many as the system gave when it gave no more. */
  #most: number;
  #count = 0;
  /** While there is no room: what changed no later than this has no watch. */
  #floorMs = Number.NEGATIVE_INFINITY;
  #burst = 0;
  readonly #suspicious = queuedEvents() / 2;
  /** Why the last folder got no watch. */
  limit = '';

  constructor(options: PoolOptions) {
    this.#mostFolders = options.mostFolders ?? DEFAULT_MOST_FOLDERS;
    this.#watch = options.watch ?? watch;
    this.#most = this.#mostFolders;
  }

  enter(holder: WatchHolder): void {
    this.#holders.add(holder);
  }

  leave(holder: WatchHolder): void {
    this.#holders.delete(holder);
  }

  /**
   * Watches one folder. Undefined when the folder is gone, or cannot be watched; 'limit' when no
   * more folders can.
   */
  open(
    path: BytePath,
    heard: (type: string, name: Buffer | null) => void,
  ): FSWatcher | 'limit' | undefined {
    try {
      const watcher = this.#watch(
        pathBytes(path),
        { persistent: false, encoding: 'buffer' },
        (type, name) => {
          this.#hear();
          heard(type, name);
        },
      );
      watcher.on('error', this.#failed);
      this.#count += 1;
      return watcher;
    } catch (error) {
      const limit = limits[systemCode(error)];
      if (limit === undefined) return undefined;
      this.#most = this.#count;
      this.limit = limit;
      return 'limit';
    }
  }

  close(watcher: FSWatcher): void {
    this.#count -= 1;
    watcher.close();
  }

  /**
   * Whether a folder that changed then may be watched; some that changed longer ago give way to it.
   */
  makeRoom(mtimeMs: number): boolean {
    if (mtimeMs <= this.#floorMs) return false;
    if (this.#count < this.#most) return true;
    if (this.#most === this.#mostFolders)
      this.limit = `only the ${this.#most} folders that changed last are watched`;
    const all = [...this.#holders].flatMap((holder) =>
      holder.replaceable().map((watched) => ({ holder, watched })),
    );
    all.sort((a, b) => a.watched.mtimeMs - b.watched.mtimeMs);
    const spare = all.slice(0, Math.ceil(all.length * SPARE_SHARE));
    this.#floorMs = spare.at(-1)?.watched.mtimeMs ?? Number.POSITIVE_INFINITY;
    if (mtimeMs <= this.#floorMs) return false;
    for (const { holder, watched } of spare) holder.giveWay(watched);
    return true;
  }

  /** A scan begins: the system's limit may have been raised, and folders may have gone. */
  tryAgain(): void {
    if (this.#most < this.#mostFolders || this.#count < this.#most * ROOMY_SHARE)
      this.#floorMs = Number.NEGATIVE_INFINITY;
    this.#most = this.#mostFolders;
  }

  /**
   * The kernel tells by an event that it dropped others, and Node does not hand that one on. But
   * whatever it had kept until then comes in one turn of the event loop: so many at once mean that
   * more may have been dropped.
   */
  #hear(): void {
    this.#burst += 1;
    if (this.#burst > 1) return;
    setImmediate(() => {
      const many = this.#burst >= this.#suspicious;
      this.#burst = 0;
      if (many)
        for (const holder of this.#holders)
          holder.lost('more happened at once than the system keeps');
    });
  }

  readonly #failed = (error: Error): void => {
    for (const holder of this.#holders) holder.lost(error.message);
  };
}
