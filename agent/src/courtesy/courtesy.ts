import type { Clock } from '@aliquot/shared/ports';
import type { CourtesySettings } from '@aliquot/shared/settings/courtesy';
import { Bucket } from './bucket.ts';
import { BusyWatch, type Pause } from './busy.ts';
import { type Limits, limitsAt } from './limits.ts';
import type { BusyPort } from './processes.ts';

export type CourtesyEvent =
  | { readonly type: 'paused'; readonly pause: Pause }
  /** The pause has lasted for `LONG_PAUSE_MS`; said once for each pause. */
  | { readonly type: 'pausedLong'; readonly pause: Pause }
  | { readonly type: 'resumed' };

/**
 * A pause of this length is a problem that people are told of (P6): no acquisition takes so long,
 * but a program left open does. Test only: tests let it pass.
 */
export const LONG_PAUSE_MS = 8 * 3_600_000;

/**
 * A wait is cut into pieces of this length, so that a limit that the hour changes, or a clock that
 * jumps, is noticed.
 */
const LONGEST_SLICE_MS = 1_000;

export interface CourtesyParts {
  readonly settings: Limiting;
  readonly clock: Clock;
  readonly port: BusyPort;
  /** CPU time that this process has used, user and system, over all threads (ms). */
  readonly cpuMs: () => number;
  /** Ends early, without an error, when one of the signals is aborted. */
  readonly sleep: (ms: number, signals: readonly AbortSignal[]) => Promise<void>;
}

type Limiting = Pick<
  CourtesySettings,
  'maxCpuPercent' | 'maxMbitPerSecond' | 'timeWindows' | 'pauseWhile'
>;

/**
 * The one place that says when the agent may work: anyone who is about to read, seal or send asks
 * first, and waits as long as the configuration wants. Nothing is refused and nothing lost; work is
 * only put off. One for each process.
 */
export class Courtesy {
  readonly #parts: CourtesyParts;
  readonly #busy: BusyWatch;
  readonly #cpu: Bucket;
  readonly #line: Bucket;
  readonly #ended = new AbortController();
  readonly #listeners = new Set<(event: CourtesyEvent) => void>();
  /** Undefined while there is no limit: asking costs as much as sealing a frame. */
  #cpuSeenMs: number | undefined;
  #told: 'nothing' | 'paused' | 'pausedLong' = 'nothing';

  constructor(parts: CourtesyParts) {
    this.#parts = parts;
    this.#busy = new BusyWatch(parts.settings.pauseWhile, parts.port, parts.clock);
    this.#cpu = new Bucket(parts.clock);
    this.#line = new Bucket(parts.clock);
    this.#cpuSeenMs = this.#cpuMs(limitsAt(parts.settings, parts.clock.nowMs()));
  }

  /** Whether anything is configured that could hold work back. */
  get limiting(): boolean {
    const { maxCpuPercent, maxMbitPerSecond, timeWindows, pauseWhile } = this.#parts.settings;
    return (
      maxCpuPercent !== undefined ||
      maxMbitPerSecond !== undefined ||
      timeWindows.length > 0 ||
      pauseWhile.length > 0
    );
  }

  /**
   * Resolves when something may be looked at, read or sealed; at once when `signal` is aborted or
   * courtesy has ended.
   */
  async beforeWork(signal?: AbortSignal): Promise<void> {
    const stops = this.#stops(signal);
    while (!stops.some(({ aborted }) => aborted)) {
      const pause = await this.#look();
      const waitMs = pause === undefined ? this.#cpuWaitMs() : this.#busy.intervalMs;
      if (waitMs === 0) return;
      await this.#parts.sleep(
        pause === undefined ? Math.min(waitMs, LONGEST_SLICE_MS) : waitMs,
        stops,
      );
    }
  }

  /**
   * Resolves when the next items may be sent; at once when `signal` is aborted or courtesy has
   * ended. A pause does not hold it back.
   */
  async beforeSending(signal?: AbortSignal): Promise<void> {
    const stops = this.#stops(signal);
    while (!stops.some(({ aborted }) => aborted)) {
      const { bytesPerMs } = limitsAt(this.#parts.settings, this.#parts.clock.nowMs());
      const waitMs = Math.max(this.#line.waitMs(bytesPerMs), this.#cpuWaitMs());
      if (waitMs === 0) return;
      await this.#parts.sleep(Math.min(waitMs, LONGEST_SLICE_MS), stops);
    }
  }

  /**
   * Counts what was sent, of any kind. Never waits: answers, pings and commits pass, and what
   * follows waits for them.
   */
  sent(bytes: number): void {
    this.#line.spend(bytes);
  }

  /** The pause that holds now, for `status`. */
  paused(): Promise<Pause | undefined> {
    return this.#ended.signal.aborted ? Promise.resolve(undefined) : this.#look();
  }

  /** Why a sign of `pauseWhile` could not be looked at, if so. */
  get trouble(): string | undefined {
    return this.#busy.trouble;
  }

  subscribe(listener: (event: CourtesyEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Holds nobody back from now on: the program ends. */
  end(): void {
    this.#ended.abort();
  }

  #stops(signal: AbortSignal | undefined): readonly AbortSignal[] {
    return signal === undefined ? [this.#ended.signal] : [signal, this.#ended.signal];
  }

  #cpuWaitMs(): number {
    const limits = limitsAt(this.#parts.settings, this.#parts.clock.nowMs());
    const usedMs = this.#cpuMs(limits);
    if (usedMs !== undefined) this.#cpu.spend(usedMs - (this.#cpuSeenMs ?? usedMs));
    this.#cpuSeenMs = usedMs;
    return this.#cpu.waitMs(limits.cpuShare);
  }

  #cpuMs({ cpuShare }: Limits): number | undefined {
    return cpuShare === undefined ? undefined : this.#parts.cpuMs();
  }

  async #look(): Promise<Pause | undefined> {
    const pause = await this.#busy.now();
    if (pause === undefined) {
      if (this.#told !== 'nothing') this.#tell({ type: 'resumed' });
      this.#told = 'nothing';
      return undefined;
    }
    if (this.#told === 'nothing') {
      this.#told = 'paused';
      this.#tell({ type: 'paused', pause });
    }
    if (this.#told === 'paused' && this.#parts.clock.nowMs() - pause.sinceMs >= LONG_PAUSE_MS) {
      this.#told = 'pausedLong';
      this.#tell({ type: 'pausedLong', pause });
    }
    return pause;
  }

  #tell(event: CourtesyEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
