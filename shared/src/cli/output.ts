import type { Clock } from '../ports.ts';
import { formatBytes, formatDuration, printable } from './format.ts';

/** The part of a stream that output needs. */
export interface TextSink {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): boolean;
  once(event: 'drain', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** What long work has done so far. Totals are optional: without them there is no percentage and no time left. */
export interface ProgressState {
  readonly files: number;
  readonly bytes: number;
  readonly totalFiles?: number;
  readonly totalBytes?: number;
}

/** Shows that long work goes on: a redrawn line on a terminal, a plain line now and then elsewhere. Cheap to call often. */
export interface Progress {
  update(state: ProgressState): void;
  /** Takes the line away again; the command's own last words follow. */
  done(): void;
}

/** Thrown out of a command when whoever read its output has gone (`| head`): it unwinds and ends quietly. */
export class OutputClosed extends Error {}

/** Where a command's words go: results to standard output, everything for the eye to standard error. */
export interface Output {
  readonly json: boolean;
  /**
   * One result: as a JSON object on a line with `--json` (bytes as hex, bigints as decimal text), else `text`; without
   * text nothing. Awaiting it keeps memory flat when the reader is slow. Throws `OutputClosed` when the reader has gone.
   */
  result(record: object, text?: string): Promise<void>;
  /** A remark for a person, on standard error. */
  note(text: string): void;
  /** Begins a progress display; `verb` as in "restored". */
  progress(verb: string): Progress;
  /** Resolves when everything written so far has been handed to the operating system. */
  flush(): Promise<void>;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly clock: Clock;
}

const REDRAW_MS = 100;
const PLAIN_LINE_MS = 10_000;
/** The rate shown covers about this much of the past. */
const RATE_WINDOW_MS = 5_000;

/** Makes the output of one command. */
export function createOutput({ json, stdout, stderr, clock }: OutputOptions): Output {
  let closed = false;
  let draining: Promise<void> | undefined;
  let liveLine = false;
  stdout.on('error', () => {
    closed = true;
  });
  stderr.on('error', () => undefined);

  const clearLine = () => {
    if (liveLine) stderr.write('\r\u001b[K');
    liveLine = false;
  };

  const write = async (text: string) => {
    if (closed) throw new OutputClosed('the reader of standard output has gone');
    if (stdout.isTTY === true) clearLine();
    if (stdout.write(text)) return;
    draining ??= new Promise<void>((resolve) => {
      stdout.once('drain', resolve);
      stdout.on('error', () => resolve()); // a reader that has gone never drains
    }).finally(() => {
      draining = undefined;
    });
    await draining;
  };

  return {
    json,
    async result(record, text) {
      if (json) await write(`${jsonLine(record)}\n`);
      else if (text !== undefined) await write(`${text}\n`);
    },
    note(text) {
      clearLine();
      stderr.write(`${text}\n`);
    },
    progress(verb) {
      const startedMs = clock.nowMs();
      let shownMs = startedMs;
      let mark = { ms: startedMs, bytes: 0 };
      let rate = 0;
      return {
        update(state) {
          const now = clock.nowMs();
          const onTerminal = stderr.isTTY === true;
          if (now - shownMs < (onTerminal ? REDRAW_MS : PLAIN_LINE_MS)) return;
          shownMs = now;
          const sinceMark = now - mark.ms;
          rate = sinceMark > 0 ? ((state.bytes - mark.bytes) * 1000) / sinceMark : rate;
          if (sinceMark >= RATE_WINDOW_MS) mark = { ms: now, bytes: state.bytes };
          const line = progressLine(verb, state, rate, now - startedMs);
          if (!onTerminal) {
            stderr.write(`${line}\n`);
            return;
          }
          stderr.write(`\r\u001b[K${line.slice(0, Math.max(20, (stderr.columns ?? 80) - 1))}`);
          liveLine = true;
        },
        done: clearLine,
      };
    },
    async flush() {
      await draining;
    },
  };
}

/** `restored 12 of 40 files, 3.1 MiB of 9.0 MiB (34%), 1.2 MiB/s, 5 s left`. */
function progressLine(verb: string, state: ProgressState, bytesPerSecond: number, elapsedMs: number): string {
  const { files, bytes, totalFiles, totalBytes } = state;
  const parts = [
    `${verb} ${files}${totalFiles === undefined ? '' : ` of ${totalFiles}`} ${(totalFiles ?? files) === 1 ? 'file' : 'files'}`,
    totalBytes === undefined
      ? formatBytes(bytes)
      : `${formatBytes(bytes)} of ${formatBytes(totalBytes)} (${totalBytes === 0 ? 100 : Math.floor((bytes / totalBytes) * 100)}%)`,
  ];
  if (bytesPerSecond > 0) parts.push(`${formatBytes(bytesPerSecond)}/s`);
  if (totalBytes !== undefined && bytesPerSecond > 0 && bytes < totalBytes) {
    parts.push(`${formatDuration(((totalBytes - bytes) / bytesPerSecond) * 1000)} left`);
  } else {
    parts.push(`${formatDuration(elapsedMs)} so far`);
  }
  return printable(parts.join(', '));
}

/** One line of JSON; bytes become hex and bigints decimal text, because JSON has neither. */
function jsonLine(record: object): string {
  return JSON.stringify(record, (_name, value: unknown) => {
    if (typeof value === 'bigint') return value.toString();
    // Buffer's own toJSON ran before this: it left {type:'Buffer', data:[…]}.
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
    if (isBufferJson(value)) return Buffer.from(value.data).toString('hex');
    return value;
  });
}

function isBufferJson(value: unknown): value is { type: 'Buffer'; data: number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'Buffer' &&
    'data' in value &&
    Array.isArray(value.data)
  );
}
