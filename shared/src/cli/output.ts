import type { Clock } from '../ports.ts';
import { formatBytes, formatCount, formatDuration, printable } from './format.ts';
import type { StandardOutput, TextSink } from './standard-output.ts';
import { forTerminal, plainJson } from './terminal.ts';

/**
 * What long work has done so far. Totals are optional: without them there is no percentage and no
 * time left.
 */
export interface ProgressState {
  /** Absent where the work is not about files. */
  readonly files?: number;
  readonly bytes: number;
  readonly totalFiles?: number;
  readonly totalBytes?: number;
  /** The path at hand; asked only when it is shown. */
  readonly current?: () => string;
}

/**
 * Shows that long work goes on: a redrawn line on a terminal, a plain line now and then elsewhere.
 * Cheap to call often.
 */
export interface Progress {
  update(state: ProgressState): void;
  /** Takes the line away again; the command's own last words follow. */
  done(): void;
}

/**
 * Thrown out of a command that only reads when its output cannot be delivered any more (`| head`):
 * it unwinds.
 */
export class OutputClosed extends Error {}

/**
 * Where a command's words go: results to standard output, everything for people to standard error.
 */
export interface Output {
  readonly json: boolean;
  /**
   * One result: as a JSON object on a line with `--json` (bytes as hex, bigints as decimal text),
   * else `text`; without text nothing. Awaiting it keeps memory flat when the reader is slow. Once
   * output cannot be delivered, a command that works goes on without; one that only reads is thrown
   * out with `OutputClosed`.
   */
  result(record: object, text?: string): Promise<void>;
  /** Bytes of a file, as they are; else like `result`. */
  bytes(bytes: Uint8Array): Promise<void>;
  /** A remark for a person, on standard error. */
  note(text: string): void;
  /** Begins a progress display; `verb` as in "restored". */
  progress(verb: string): Progress;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly stdout: StandardOutput;
  readonly stderr: TextSink;
  readonly clock: Clock;
  /**
   * Whether the command only reads, so that it may stop when nobody takes what it says; else its
   * work goes on.
   */
  readonly reads?: boolean;
}

/** To the beginning of the line, which is taken away: the only word to a terminal. */
const CLEAR = '\r\u001b[K';
const REDRAW_MS = 100;
const PLAIN_LINE_MS = 10_000;
/** The rate shown covers about this much of the past. */
const RATE_WINDOW_MS = 5_000;

/**
 * More than this waits for nobody: words for people are dropped while standard error is stalled.
 */
const MAX_WAITING_BYTES = 256 * 1024;

/** Makes the output of one command. */
export function createOutput({
  json,
  stdout,
  stderr,
  clock,
  reads = false,
}: OutputOptions): Output {
  let liveLine = false;
  let unsaid = 0;
  if (reads) stdout.readerMayLeave = true;
  stderr.on('error', () => undefined);

  /** Words for people. They never hold the work up, and are lost rather than kept without end. */
  const say = (text: string): boolean => {
    if ((stderr.writableLength ?? 0) > MAX_WAITING_BYTES) return false;
    stderr.write(text);
    return true;
  };

  const clearLine = () => {
    if (liveLine) say(CLEAR);
    liveLine = false;
  };

  const write = async (data: string | Uint8Array) => {
    if (reads && stdout.lost !== undefined) throw new OutputClosed('standard output takes no more');
    if (stdout.isTTY) clearLine();
    await stdout.write(data);
  };

  return {
    json,
    async result(record, text) {
      if (json) await write(`${jsonLine(record)}\n`);
      else if (text !== undefined) await write(`${text}\n`);
    },
    bytes: write,
    note(text) {
      clearLine();
      const missed =
        unsaid === 0 ? '' : `(${unsaid} remarks were left out: standard error was stalled)\n`;
      if (say(`${missed}${forTerminal(text)}\n`)) unsaid = 0;
      else unsaid += 1;
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
          const current = state.current === undefined ? '' : printable(state.current());
          if (!onTerminal) {
            say(`${line}${current === '' ? '' : `: ${current}`}\n`);
            return;
          }
          say(`${CLEAR}${fitted(line, current, Math.max(20, (stderr.columns ?? 80) - 1))}`);
          liveLine = true;
        },
        done: clearLine,
      };
    },
  };
}

/**
 * The line, and behind it as much of the path's end as there is room for: of a deep path the file's
 * name says most.
 */
function fitted(line: string, current: string, width: number): string {
  const room = width - line.length - 2;
  if (current === '' || room < 12) return line.slice(0, width);
  return `${line}: ${current.length <= room ? current : `…${current.slice(1 - room)}`}`;
}

/** `restored 12 of 40 files, 3.1 MiB of 9.0 MiB (34%), 1.2 MiB/s, 5 s left`. */
function progressLine(
  verb: string,
  state: ProgressState,
  bytesPerSecond: number,
  elapsedMs: number,
): string {
  const { files, bytes, totalFiles, totalBytes } = state;
  const done = totalFiles === undefined ? '' : ` of ${formatCount(totalFiles)}`;
  const counted =
    files === undefined
      ? []
      : [`${formatCount(files)}${done} ${(totalFiles ?? files) === 1 ? 'file' : 'files'}`];
  // Totals are taken before the work begins; what grows meanwhile must not show more than all of
  // it.
  const percent =
    totalBytes === undefined || totalBytes === 0
      ? 100
      : Math.min(100, Math.floor((bytes / totalBytes) * 100));
  const size =
    totalBytes === undefined
      ? formatBytes(bytes)
      : `${formatBytes(bytes)} of ${formatBytes(totalBytes)} (${percent}%)`;
  const parts = [`${verb} ${[...counted, size].join(', ')}`];
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
  const json = JSON.stringify(record, (_name, value: unknown) => {
    if (typeof value === 'bigint') return value.toString();
    // Buffer's own toJSON ran before this: it left {type:'Buffer', data:[…]}.
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
    if (isBufferJson(value)) return Buffer.from(value.data).toString('hex');
    return value;
  });
  return plainJson(json);
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
