import type { Clock } from '@aliquot/shared/ports';
import type { BytePath } from '../capture/paths.ts';
import type { SourceWatch } from './source-watch.ts';
import { addTally, newTally, type Tally } from './tally.ts';
import type { EventPort, Subscription } from './watcher.ts';

/** What the loop tells about itself; all optional duties are the listener's. */
export interface WatchListener {
  /** A look put versions into the queue. */
  captured(tally: Tally): void;
  /** Some results were looked at, because it was time to. */
  looked(): void;
  /** Every source was scanned; `tally` is the sum. */
  scanned(tally: Tally): void;
  /** The queue or the worker failed; the loop goes on with the next scan. */
  failed(error: unknown): void;
  /** Events of a source come, or (with a reason) do not: then only scans find changes. */
  events(root: BytePath, missingBecause: string | undefined): void;
}

/** What waits at its source for room in the queue. */
export interface WaitingForRoom {
  readonly files: number;
  /** Looks whether there is room again; whoever watches the queue is told. */
  ask(): Promise<void>;
  /** Captures what there is room for; with `all` it also notices what has gone. */
  capture(all: boolean, signal: AbortSignal): Promise<Tally>;
}

export interface WatchLoopParts {
  /** The watches as they are now. */
  readonly watches: () => readonly SourceWatch[];
  /** Looks before each whole scan what there is to watch: links may lead elsewhere than before. */
  readonly renew: () => Promise<void>;
  readonly events: EventPort;
  readonly clock: Clock;
  readonly scanIntervalMs: number;
  readonly waiting: WaitingForRoom;
  readonly listener: WatchListener;
}

/** After an error of the events: when to scan again, because some may be lost. */
const afterErrorMs = 5_000;
/** Room comes with every receipt; what waits for it is looked through no more often than this. */
const betweenPassesMs = 2_000;
/** The longest that a timer sleeps, so that a clock which jumps is noticed. */
const longestSleepMs = 30_000;

/**
 * Drives the watches: native events say where to look soon, a whole scan at every interval finds what events did not say.
 * One look at a time. `stop` ends at once, and leaves the file at hand to the next start.
 */
export class WatchLoop {
  readonly #parts: WatchLoopParts;
  readonly #stop = new AbortController();
  readonly #subscriptions = new Map<SourceWatch, Subscription & { readonly identity: string }>();
  #wake: () => void = () => undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> = Promise.resolve();
  #scanAtMs = Number.NEGATIVE_INFINITY;
  #roomAgain = false;
  #passAtMs = Number.NEGATIVE_INFINITY;
  /** The last scan that looked at everything. */
  lastScan: { readonly beganMs: number; readonly endedMs: number } | undefined;
  scanning = false;

  constructor(parts: WatchLoopParts) {
    this.#parts = parts;
  }

  /** Begins with a whole scan. */
  start(): void {
    this.#running = this.#run();
  }

  /** Scans everything as soon as what is under way has ended. */
  scanSoon(): void {
    this.#scanAtMs = Number.NEGATIVE_INFINITY;
    this.#wake();
  }

  /** The queue may have room again: captures what waits for it, soon. */
  roomAgain(): void {
    if (this.#roomAgain) return;
    this.#roomAgain = true;
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#running;
    for (const subscription of this.#subscriptions.values()) await subscription.close().catch(() => undefined);
    this.#subscriptions.clear();
  }

  /** Whether a source's events come. */
  hasEvents(watch: SourceWatch): boolean {
    return this.#subscriptions.has(watch);
  }

  async #run(): Promise<void> {
    const { clock, scanIntervalMs, listener } = this.#parts;
    while (!this.#stop.signal.aborted) {
      const now = clock.nowMs();
      try {
        // A clock that was set back must not put the next scan off for years.
        if (now >= this.#scanAtMs || this.#scanAtMs - now > scanIntervalMs) {
          this.#scanAtMs = now + scanIntervalMs;
          await this.#scan();
        }
        await this.#lookDue();
        await this.#fillRoom();
      } catch (error) {
        if (!this.#stop.signal.aborted) listener.failed(error);
      }
      await this.#sleep();
    }
  }

  async #scan(): Promise<void> {
    const { watches, clock, listener } = this.#parts;
    this.scanning = true;
    try {
      await this.#parts.renew();
      for (const watch of this.#subscriptions.keys()) if (!watches().includes(watch)) await this.#unsubscribe(watch);
      const beganMs = clock.nowMs();
      const total = newTally();
      for (const watch of watches()) {
        // Before the scan, so that nothing can change unseen between the two.
        await this.#subscribe(watch);
        const tally = await watch.scanAll(this.#stop.signal);
        addTally(total, tally);
        if (tally.versions > 0) listener.captured(tally);
      }
      if (this.#stop.signal.aborted) return;
      await this.#capture(true);
      this.lastScan = { beganMs, endedMs: clock.nowMs() };
      listener.scanned(total);
    } finally {
      this.scanning = false;
    }
  }

  async #lookDue(): Promise<void> {
    const { watches, clock, listener } = this.#parts;
    for (const watch of watches()) {
      if (this.#stop.signal.aborted) return;
      const { tally, looked, rescan } = await watch.lookDue(this.#stop.signal);
      if (rescan) this.#scanAtMs = clock.nowMs();
      if (looked) listener.looked();
      if (tally.versions > 0) listener.captured(tally);
    }
  }

  async #fillRoom(): Promise<void> {
    const { waiting, clock } = this.#parts;
    if (waiting.files === 0) {
      this.#roomAgain = false;
      return;
    }
    await waiting.ask();
    const now = clock.nowMs();
    // A clock that was set back must not put it off for years.
    if (!this.#roomAgain || (now < this.#passAtMs && this.#passAtMs - now <= betweenPassesMs)) return;
    this.#roomAgain = false;
    this.#passAtMs = now + betweenPassesMs;
    await this.#capture(false);
  }

  async #capture(all: boolean): Promise<void> {
    const { waiting, listener } = this.#parts;
    if (waiting.files === 0) return;
    const tally = await waiting.capture(all, this.#stop.signal);
    if (tally.versions > 0) listener.captured(tally);
  }

  async #subscribe(watch: SourceWatch): Promise<void> {
    const { root, rules, isLink } = watch.source;
    // What the link leads to is watched under its own name.
    if (isLink === true) return this.#unsubscribe(watch);
    const { listener, clock } = this.#parts;
    const identity = await watch.rootIdentity();
    if (identity !== undefined && this.#subscriptions.get(watch)?.identity === identity) return;
    await this.#unsubscribe(watch);
    if (identity === undefined) return listener.events(root, 'the folder is not there');
    try {
      const subscription = await this.#parts.events.subscribe(
        root,
        rules.leaveOut,
        (paths) => {
          for (const path of paths) watch.touch(path);
          const next = watch.nextMs();
          if (next !== undefined && next < this.#wakeAtMs) this.#wake();
        },
        (error) => {
          // Events may be lost from here on: scan soon, and subscribe anew with it.
          void this.#unsubscribe(watch);
          this.#scanAtMs = Math.min(this.#scanAtMs, clock.nowMs() + afterErrorMs);
          listener.events(root, error.message);
          this.#wake();
        },
      );
      this.#subscriptions.set(watch, { ...subscription, identity });
      listener.events(root, undefined);
    } catch (error) {
      listener.events(root, error instanceof Error ? error.message : String(error));
    }
  }

  async #unsubscribe(watch: SourceWatch): Promise<void> {
    const subscription = this.#subscriptions.get(watch);
    this.#subscriptions.delete(watch);
    await subscription?.close().catch(() => undefined);
  }

  async #sleep(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const now = this.#parts.clock.nowMs();
    let next = this.#scanAtMs;
    for (const watch of this.#parts.watches()) next = Math.min(next, watch.nextMs() ?? Number.POSITIVE_INFINITY);
    if (this.#roomAgain && this.#parts.waiting.files > 0) next = Math.min(next, this.#passAtMs);
    const sleepMs = Math.min(Math.max(next - now, 0), longestSleepMs);
    this.#wakeAtMs = now + sleepMs;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, sleepMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
  }
}
