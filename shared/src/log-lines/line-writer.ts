import { setTimeout } from 'node:timers/promises';
import type { LineTarget } from './line-target.ts';

/** So much may wait for a stalled reader: a few thousand lines. */
const MAX_WAITING_BYTES = 1 << 20;
/** So much is handed over at once. */
const BATCH_BYTES = 64 * 1024;
/** How long the end of a service waits for the last lines to be taken. */
const LAST_LINES_MS = 1_000;

/**
 * Lines on their way to a log. Writing never waits and never fails: a full disk or a stalled reader
 * costs lines, not the service. What finds no room is counted, and said as soon as lines go through
 * again.
 */
export class LineWriter {
  readonly #target: LineTarget;
  readonly #lostLine: (count: number) => string;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #lost = 0;
  /** The last write ended in the middle of a line. */
  #torn = false;
  #busy: PromiseWithResolvers<void> | undefined;

  /** @param lostLine makes the line that says how many were lost */
  constructor(target: LineTarget, lostLine: (count: number) => string) {
    this.#target = target;
    this.#lostLine = lostLine;
  }

  /** One line, with its line feed. */
  write(line: string): void {
    if (this.#waitingBytes + line.length > MAX_WAITING_BYTES) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#pump();
  }

  /** Waits a moment until everything is written or lost. */
  async end(): Promise<void> {
    const patience = new AbortController();
    // Any error: a timer fails only by being given up, and nobody waits for it then.
    const late = setTimeout(LAST_LINES_MS, undefined, {
      signal: patience.signal,
      ref: false,
    }).catch(() => undefined);
    let isLate = false;
    void late.then(() => {
      isLate = true;
    });
    while (this.#busy !== undefined && !isLate) await Promise.race([this.#busy.promise, late]);
    patience.abort();
  }

  #pump(): void {
    if (this.#busy !== undefined || this.#waiting.length === 0) return;
    const lines = this.#batch();
    const said = this.#lost;
    if (said > 0) lines.unshift(this.#lostLine(said));
    this.#lost = 0;
    const busy = Promise.withResolvers<void>();
    this.#busy = busy;
    const bytes = Buffer.from(`${this.#torn ? '\n' : ''}${lines.join('')}`);
    const wasTorn = this.#torn;
    this.#target.write(bytes, (error, written) => {
      this.#busy = undefined;
      this.#torn = error !== undefined && written > 0 && bytes[written - 1] !== 0x0a;
      if (error !== undefined) {
        if (written === 0) this.#torn = wasTorn;
        const whole = Math.max(0, countLineFeeds(bytes.subarray(0, written)) - (wasTorn ? 1 : 0));
        // The line that says so many were lost stands for them.
        this.#lost += said > 0 && whole === 0 ? said + lines.length - 1 : lines.length - whole;
      }
      this.#pump();
      busy.resolve();
    });
  }

  #batch(): string[] {
    let bytes = 0;
    let count = 0;
    for (const line of this.#waiting) {
      if (count > 0 && bytes + line.length > BATCH_BYTES) break;
      bytes += line.length;
      count += 1;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }
}

function countLineFeeds(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count += 1;
  return count;
}
