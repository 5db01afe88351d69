import { endWith } from '@aliquot/shared/durable/unexpected';
import type { Clock } from '@aliquot/shared/ports';
import type { FoundItem } from '../capture/comparison.ts';
import type { BytePath } from '../source/paths.ts';
import type { EventPort, EventSink, Subscription } from './event-port.ts';
import type { SourceWatch } from './source-watch.ts';
import { addTally, newTally, type Tally } from './tally.ts';

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
  /**
   * Events of a source come, or (with a reason) do not, or not all: then only scans find changes.
   */
  events(root: BytePath, missingBecause: string | undefined): void;
  /** Events of a source may have been lost; a scan follows soon. */
  lost(root: BytePath, because: string): void;
}

/** What waits at its source for space in the queue. */
export interface WaitingForSpace {
  readonly files: number;
  /** Looks whether there is space again, and tells the watcher of the queue. */
  ask(): Promise<void>;
  /** Captures what there is space for; with `all` it also notices what has gone. */
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
  readonly waiting: WaitingForSpace;
  readonly listener: WatchListener;
}

/**
 * Events may be lost: when to scan, at the soonest, and how many times as long as the last scan
 * took.
 */
const AFTER_LOSS_MS = 5_000;
const AFTER_LOSS_SCANS = 4;
/** Space comes with every receipt; what waits for it is looked through no more often than this. */
const BETWEEN_PASSES_MS = 2_000;
/** How long after a failure the next try waits. */
const AFTER_FAILURE_MS = 5_000;
/** The longest that a timer sleeps, so that a clock which jumps is noticed. */
const LONGEST_SLEEP_MS = 30_000;

/**
 * Drives the watches: native events say where to look soon, a whole scan at every interval finds
 * what events did not say. One look at a time. `stop` ends at once, and leaves the file at hand to
 * the next start.
 */
export class WatchLoop {
  readonly #parts: WatchLoopParts;
  readonly #stop = new AbortController();
  readonly #subscriptions = new Map<
    SourceWatch,
    { readonly events: Subscription; readonly identity: string }
  >();
  #wake: () => void = () => undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> = Promise.resolve();
  #scanAtMs = Number.NEGATIVE_INFINITY;
  /** After a failure nothing is tried before this. */
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #spaceAgain = false;
  #passAtMs = Number.NEGATIVE_INFINITY;
  #scanTookMs = 0;
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

  /** The queue may have space again: captures what waits for it, soon. */
  spaceAgain(): void {
    if (this.#spaceAgain) return;
    this.#spaceAgain = true;
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#running;
    for (const subscription of this.#subscriptions.values()) subscription.events.close();
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
      // Whatever woke us: what has just failed would fail again, and a disk or a log that is in
      // trouble is helped by nobody who hurries.
      if (now < this.#restUntilMs && this.#restUntilMs - now <= AFTER_FAILURE_MS) {
        await this.#sleep();
        continue;
      }
      try {
        // A clock that was set back must not put the next scan off for years.
        if (now >= this.#scanAtMs || this.#scanAtMs - now > scanIntervalMs) {
          this.#scanAtMs = now + scanIntervalMs;
          await this.#scan();
        }
        await this.#lookDue();
        await this.#fillSpace();
      } catch (error) {
        if (!this.#stop.signal.aborted) listener.failed(error);
        this.#restUntilMs = clock.nowMs() + AFTER_FAILURE_MS;
      }
      await this.#sleep();
    }
  }

  async #scan(): Promise<void> {
    const { watches, clock, listener } = this.#parts;
    this.scanning = true;
    try {
      await this.#parts.renew();
      for (const watch of this.#subscriptions.keys())
        if (!watches().includes(watch)) this.#unsubscribe(watch);
      const beganMs = clock.nowMs();
      const total = newTally();
      for (const watch of watches()) {
        // Before the scan, so that nothing can change unseen between the two.
        await this.#subscribe(watch);
        const events = this.#subscriptions.get(watch)?.events;
        events?.scanBegins();
        const tally = await watch.scanAll(this.#stop.signal, this.#onFolder(watch));
        if (!this.#stop.signal.aborted) events?.scanEnded();
        addTally(total, tally);
        if (tally.versions > 0) listener.captured(tally);
      }
      if (this.#stop.signal.aborted) return;
      await this.#capture(true);
      this.lastScan = { beganMs, endedMs: clock.nowMs() };
      this.#scanTookMs = this.lastScan.endedMs - beganMs;
      listener.scanned(total);
    } finally {
      this.scanning = false;
    }
  }

  async #lookDue(): Promise<void> {
    const { watches, clock, listener } = this.#parts;
    for (const watch of watches()) {
      if (this.#stop.signal.aborted) return;
      const { tally, looked, rescan } = await watch.lookDue(
        this.#stop.signal,
        this.#onFolder(watch),
      );
      if (rescan) this.#scanAtMs = clock.nowMs();
      if (looked) listener.looked();
      if (tally.versions > 0) listener.captured(tally);
    }
  }

  async #fillSpace(): Promise<void> {
    const { waiting, clock } = this.#parts;
    if (waiting.files === 0) {
      this.#spaceAgain = false;
      return;
    }
    await waiting.ask();
    const now = clock.nowMs();
    // A clock that was set back must not put it off for years.
    if (!this.#spaceAgain || (now < this.#passAtMs && this.#passAtMs - now <= BETWEEN_PASSES_MS))
      return;
    this.#spaceAgain = false;
    this.#passAtMs = now + BETWEEN_PASSES_MS;
    await this.#capture(false);
  }

  async #capture(all: boolean): Promise<void> {
    const { waiting, listener } = this.#parts;
    if (waiting.files === 0) return;
    const tally = await waiting.capture(all, this.#stop.signal);
    if (tally.versions === 0) return;
    listener.captured(tally);
    // Members may have been among them.
    for (const watch of this.#parts.watches()) await watch.touchOwed();
  }

  async #subscribe(watch: SourceWatch): Promise<void> {
    const { root, isLink } = watch.source;
    // What the link leads to is watched under its own name.
    if (isLink === true) return this.#unsubscribe(watch);
    const { listener } = this.#parts;
    const identity = await watch.rootIdentity();
    if (identity !== undefined && this.#subscriptions.get(watch)?.identity === identity) return;
    this.#unsubscribe(watch);
    if (identity === undefined) return listener.events(root, 'the folder is not there');
    try {
      const events = this.#parts.events.subscribe(
        { root, excluded: (path) => watch.leavesOut(path) },
        this.#sinkOf(watch),
      );
      this.#subscriptions.set(watch, { events, identity });
      listener.events(root, undefined);
    } catch (error) {
      endWith(error);
      listener.events(root, error instanceof Error ? error.message : String(error));
    }
  }

  #sinkOf(watch: SourceWatch): EventSink {
    const { root } = watch.source;
    const { listener } = this.#parts;
    return {
      paths: (paths) => {
        for (const path of paths) watch.touch(path);
        const next = watch.nextMs();
        if (next !== undefined && next < this.#wakeAtMs) this.#wake();
      },
      opened: (folder) => {
        watch.lookAgain(folder);
        this.#wake();
      },
      lost: (because) => {
        listener.lost(root, because);
        this.#scanAfterLoss();
      },
      limited: (because) => listener.events(root, because),
      ended: (because) => {
        // The scan subscribes again.
        this.#unsubscribe(watch);
        listener.events(root, because);
        this.#scanAfterLoss();
      },
    };
  }

  #scanAfterLoss(): void {
    const waitMs = Math.min(
      Math.max(AFTER_LOSS_MS, AFTER_LOSS_SCANS * this.#scanTookMs),
      this.#parts.scanIntervalMs,
    );
    this.#scanAtMs = Math.min(this.#scanAtMs, this.#parts.clock.nowMs() + waitMs);
    this.#wake();
  }

  /**
   * Has every folder watched that a look comes by; what happened in it before that is looked for
   * afterwards.
   */
  #onFolder(watch: SourceWatch): (folder: FoundItem) => void {
    return ({ path, stat }) => {
      if (this.#subscriptions.get(watch)?.events.met(path, stat) === true) watch.lookAgain(path);
    };
  }

  #unsubscribe(watch: SourceWatch): void {
    this.#subscriptions.get(watch)?.events.close();
    this.#subscriptions.delete(watch);
  }

  async #sleep(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const now = this.#parts.clock.nowMs();
    let next = this.#scanAtMs;
    for (const watch of this.#parts.watches())
      next = Math.min(next, watch.nextMs() ?? Number.POSITIVE_INFINITY);
    if (this.#spaceAgain && this.#parts.waiting.files > 0) next = Math.min(next, this.#passAtMs);
    if (this.#restUntilMs - now <= AFTER_FAILURE_MS) next = Math.max(next, this.#restUntilMs);
    const sleepMs = Math.min(Math.max(next - now, 0), LONGEST_SLEEP_MS);
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
