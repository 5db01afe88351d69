import type { Clock } from '@aliquot/shared/ports';

/** Lines of one kind in one minute: enough to see what happens, too few to fill a disk. */
const LINES_A_MINUTE = 60;
const MINUTE_MS = 60_000;

/**
 * Where the log's lines go. Somebody without any rights can cause warnings as fast as he can connect, and a log that fills the disk
 * stops the backup: so of warnings with one code only so many a minute are written, and then how many were left out.
 */
export class LogSink {
  readonly #write: (line: string) => void;
  readonly #clock: Clock;
  #minute = 0;
  readonly #counts = new Map<string, number>();

  constructor(write: (line: string) => void, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  /** One line of pino, with its line feed. */
  write(line: string): void {
    const minute = Math.floor(this.#clock.nowMs() / MINUTE_MS);
    if (minute !== this.#minute) this.#turn(minute);
    const code = /"level":40,.*?"code":"([A-Z_]+)"/.exec(line)?.[1];
    if (code === undefined) {
      this.#write(line);
      return;
    }
    const count = (this.#counts.get(code) ?? 0) + 1;
    this.#counts.set(code, count);
    if (count <= LINES_A_MINUTE) this.#write(line);
  }

  #turn(minute: number): void {
    for (const [code, count] of this.#counts) {
      if (count <= LINES_A_MINUTE) continue;
      const time = new Date(this.#clock.nowMs()).toISOString();
      const msg = 'more warnings with this code than are written in a minute';
      this.#write(`${JSON.stringify({ level: 40, time, code, leftOut: count - LINES_A_MINUTE, msg })}\n`);
    }
    this.#counts.clear();
    this.#minute = minute;
  }
}
