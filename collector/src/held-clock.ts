import type { Clock } from '@aliquot/shared/ports';

/**
 * More than this at once is no correction by a time server, nor a leap of summer time. Test only:
 * to jump by that much.
 */
export const CLOCK_JUMP_MS = 24 * 3_600_000;
/**
 * A collector that was off for up to this is believed at a start; after longer a person is asked.
 */
const OFF_MS = 30 * 24 * 3_600_000;

/** What a held clock says of itself, in milliseconds since 1970. */
export interface ClockHold {
  /** The last good time, from which it goes on by the monotonic clock. */
  readonly sinceMs: number;
  /** What it goes on with now. */
  readonly heldMs: number;
  /** What the machine's clock says now. */
  readonly machineMs: number;
}

/** Told when a clock begins to be held, and when it goes on with the machine's. */
export type HoldListener = (change: 'held' | 'released', hold: ClockHold) => void;

/**
 * The collector's clock: the machine's, as long as that can be right. When the machine's jumps by
 * more than a day against the monotonic clock, or at a start against the last that was recorded,
 * the time goes on from the last good one by the monotonic clock: receipts, leaves and alarms of
 * one wrong minute would be wrong for years. It is the machine's again when that is back within a
 * day, or when an operator says that it is right. A start up to 30 days later than what was
 * recorded is no jump but a collector that was off: what PCs captured meanwhile must not be dated
 * back.
 */
export class HeldClock implements Clock {
  readonly #machine: Clock;
  readonly #monotonicMs: () => number;
  /** The last good time, and when that was by the monotonic clock. */
  #good: { readonly ms: number; readonly atMs: number };
  #sinceMs: number | undefined;
  #listener: HoldListener = () => undefined;

  constructor(machine: Clock, monotonicMs: () => number) {
    this.#machine = machine;
    this.#monotonicMs = monotonicMs;
    this.#good = { ms: machine.nowMs(), atMs: monotonicMs() };
  }

  /** There is one listener: the log. */
  onChange(listener: HoldListener): void {
    this.#listener = listener;
  }

  /** At a start: the newest time that the store recorded; `undefined` when it recorded nothing. */
  startFrom(recordedMs: number | undefined): void {
    if (recordedMs === undefined) return;
    const offMs = this.#machine.nowMs() - recordedMs;
    if (offMs >= 0 && offMs <= OFF_MS) return;
    this.#good = { ms: recordedMs, atMs: this.#monotonicMs() };
    this.nowMs();
  }

  nowMs(): number {
    const machineMs = this.#machine.nowMs();
    const atMs = this.#monotonicMs();
    const goesOnMs = Math.floor(this.#good.ms + atMs - this.#good.atMs);
    const near = Math.abs(machineMs - goesOnMs) <= CLOCK_JUMP_MS;
    if (!near) {
      if (this.#sinceMs === undefined) {
        this.#sinceMs = this.#good.ms;
        this.#listener('held', { sinceMs: this.#sinceMs, heldMs: goesOnMs, machineMs });
      }
      return goesOnMs;
    }
    this.#release(machineMs, goesOnMs);
    this.#good = { ms: machineMs, atMs };
    return machineMs;
  }

  /** How it is held now; `undefined` while it is the machine's. */
  get hold(): ClockHold | undefined {
    const heldMs = this.nowMs();
    if (this.#sinceMs === undefined) return undefined;
    return { sinceMs: this.#sinceMs, heldMs, machineMs: this.#machine.nowMs() };
  }

  /** The machine's clock is right, as somebody says. Answers with the hold that this ended. */
  confirm(): ClockHold | undefined {
    const { hold } = this;
    if (hold === undefined) return undefined;
    this.#good = { ms: hold.machineMs, atMs: this.#monotonicMs() };
    this.#release(hold.machineMs, hold.heldMs);
    return hold;
  }

  #release(machineMs: number, heldMs: number): void {
    if (this.#sinceMs === undefined) return;
    const hold = { sinceMs: this.#sinceMs, heldMs, machineMs };
    this.#sinceMs = undefined;
    this.#listener('released', hold);
  }
}
