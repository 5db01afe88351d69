import { lstat } from 'node:fs';
import { type BytePath, join, nameOf, pathBytes } from '../source/paths.ts';
import type { SourceStat } from '../source/source-port.ts';
import type { EventPort, EventSink, Subscription, WatchedPlace } from './event-port.ts';
import { Gathering } from './gathering.ts';
import { type PoolOptions, type Watched, type WatchHolder, WatchPool } from './watch-pool.ts';

/** New names that wait to be looked at, whether they are folders. */
const MOST_ARRIVALS = 16_384;

/**
 * Linux: one inotify watch for each folder. Looks say which folders there are; a new one is also
 * noticed by its parent's events, so that what is written into it is seen at once.
 */
export class FolderEvents implements EventPort {
  readonly #pool: WatchPool;

  constructor(options: PoolOptions = {}) {
    this.#pool = new WatchPool(options);
  }

  subscribe(place: WatchedPlace, sink: EventSink): Subscription {
    return new WatchedFolders(place, sink, this.#pool);
  }
}

/** The watched folders of one place. */
class WatchedFolders implements Subscription, WatchHolder {
  readonly #place: WatchedPlace;
  readonly #sink: EventSink;
  readonly #pool: WatchPool;
  readonly #folders = new Map<BytePath, Watched>();
  readonly #gathering: Gathering;
  readonly #arrivals = new Set<BytePath>();
  #looking = false;
  #closed = false;
  #scan = 0;
  /** Whether a folder found no watch in this scan, and whether that was said. */
  #without = false;
  #saidLimited = false;

  constructor(place: WatchedPlace, sink: EventSink, pool: WatchPool) {
    this.#place = place;
    this.#sink = sink;
    this.#pool = pool;
    this.#gathering = new Gathering((paths) => sink.paths(paths));
    pool.enter(this);
  }

  met(path: BytePath, { ino, mtimeNs }: Pick<SourceStat, 'ino' | 'mtimeNs'>): boolean {
    if (this.#closed) return false;
    const mtimeMs = Number(mtimeNs / 1_000_000n);
    const before = this.#folders.get(path);
    if (before?.ino === Number(ino)) {
      before.mtimeMs = mtimeMs;
      before.scan = this.#scan;
      return false;
    }
    if (before !== undefined) this.#giveUp(before);
    if (path !== this.#place.root && !this.#pool.makeRoom(mtimeMs)) return this.#limited();
    // In this thread, but of a folder that was looked at just now: that does not wait for a drive
    // that hangs.
    const watcher = this.#pool.open(path, (type, name) => this.#heard(watched, type, name));
    if (watcher === 'limit') return this.#limited();
    if (watcher === undefined) return false;
    const watched: Watched = { path, ino: Number(ino), watcher, mtimeMs, scan: this.#scan };
    this.#folders.set(path, watched);
    return true;
  }

  scanBegins(): void {
    this.#scan += 1;
    this.#without = false;
    this.#pool.tryAgain();
  }

  scanEnded(): void {
    for (const watched of this.#folders.values())
      if (watched.scan !== this.#scan) this.#giveUp(watched);
    if (this.#without || !this.#saidLimited) return;
    this.#saidLimited = false;
    this.#sink.limited(undefined);
  }

  close(): void {
    this.#closed = true;
    this.#gathering.end();
    for (const watched of this.#folders.values()) this.#giveUp(watched);
    this.#pool.leave(this);
  }

  lost(because: string): void {
    this.#sink.lost(because);
  }

  replaceable(): Watched[] {
    return [...this.#folders.values()].filter(({ path }) => path !== this.#place.root);
  }

  giveWay(watched: Watched): void {
    this.#giveUp(watched);
    this.#limited();
  }

  #giveUp(watched: Watched): void {
    if (this.#folders.get(watched.path) !== watched) return;
    this.#folders.delete(watched.path);
    this.#pool.close(watched.watcher);
  }

  #limited(): false {
    this.#without = true;
    if (!this.#saidLimited) {
      this.#saidLimited = true;
      this.#sink.limited(this.#pool.limit);
    }
    return false;
  }

  #heard(watched: Watched, type: string, name: Buffer | null): void {
    if (this.#closed) return;
    const child = name?.toString('latin1') ?? nameOf(watched.path);
    // An event of the folder itself has its name, as has that of something in it called so: a look
    // at the folder sees both.
    const self = child === nameOf(watched.path);
    const path = self ? watched.path : join(watched.path, child);
    this.#gathering.add(path);
    if (type !== 'rename') return;
    // Moved or removed, perhaps: what is there now is watched again.
    if (self) this.#giveUp(watched);
    if (path === this.#place.root) this.lost('the folder was moved, removed or replaced');
    else this.#arrived(path);
  }

  /** A name that came or went: if it is a folder now, it is watched at once. */
  #arrived(path: BytePath): void {
    if (this.#place.excluded(path)) return;
    if (this.#arrivals.size < MOST_ARRIVALS) this.#arrivals.add(path);
    else this.lost('more happened at once than can be followed');
    if (!this.#looking) this.#lookAtArrival();
  }

  /** One at a time, and not in this thread: a drive that hangs must stop nothing else. */
  #lookAtArrival(): void {
    const [path] = this.#arrivals;
    this.#looking = path !== undefined && !this.#closed;
    if (path === undefined || this.#closed) return;
    this.#arrivals.delete(path);
    lstat(pathBytes(path), { bigint: true }, (_error, stat) => {
      if (stat?.isDirectory() === true && this.met(path, stat)) this.#sink.opened(path);
      this.#lookAtArrival();
    });
  }
}
