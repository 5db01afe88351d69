import { availableParallelism, cpus } from 'node:os';
import type { Clock } from '@aliquot/shared/ports';

/** Processor time since some moment, in milliseconds. */
export interface ProcessorTimes {
  /** Of all programs, over all cores. */
  readonly busyMs: number;
  readonly idleMs: number;
  /** Of this process, over all its threads. */
  readonly ownMs: number;
  /** Cores that `busyMs` and `idleMs` are about; 0 where the system does not say. */
  readonly cores: number;
  /** Cores that this process may use. */
  readonly ownCores: number;
}

const systemTimes = (): ProcessorTimes => {
  let busyMs = 0;
  let idleMs = 0;
  const all = cpus();
  for (const { times } of all) {
    busyMs += times.user + times.nice + times.sys + times.irq;
    idleMs += times.idle;
  }
  const { user, system } = process.cpuUsage();
  const ownMs = (user + system) / 1000;
  return { busyMs, idleMs, ownMs, cores: all.length, ownCores: availableParallelism() };
};

/** A look costs some tenths of a millisecond, and a shorter time says little. */
const EVERY_MS = 1_000;
/** The first answer is wanted soon. */
const FIRST_AFTER_MS = 200;

/**
 * How many cores the other programs of this PC leave: what the agent takes itself counts as left.
 * Measured from one look to the next.
 */
export class IdleCores {
  readonly #clock: Clock;
  readonly #times: () => ProcessorTimes;
  #seen: ProcessorTimes;
  #seenMs: number;
  #left: number | undefined;

  constructor(clock: Clock, times: () => ProcessorTimes = systemTimes) {
    this.#clock = clock;
    this.#times = times;
    this.#seen = times();
    this.#seenMs = clock.nowMs();
  }

  /** Undefined while that is not known. */
  left(): number | undefined {
    const nowMs = this.#clock.nowMs();
    const sinceMs = nowMs - this.#seenMs;
    if (sinceMs >= 0 && sinceMs < (this.#left === undefined ? FIRST_AFTER_MS : EVERY_MS))
      return this.#left;
    const before = this.#seen;
    const now = this.#times();
    this.#seen = now;
    this.#seenMs = nowMs;
    const busyMs = now.busyMs - before.busyMs;
    const elapsedMs = (busyMs + now.idleMs - before.idleMs) / now.cores;
    // Also where the system says nothing: zero by zero.
    if (!(elapsedMs > 0)) return this.#left;
    const othersMs = Math.max(0, busyMs - (now.ownMs - before.ownMs));
    this.#left = Math.max(0, now.ownCores - othersMs / elapsedMs);
    return this.#left;
  }
}
