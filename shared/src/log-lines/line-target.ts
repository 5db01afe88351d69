import { fstatSync, write } from 'node:fs';
import { isatty } from 'node:tty';
import { statsIfOpen } from '../cli/standard-output.ts';

/** Where a log's lines go in the end. */
export interface LineTarget {
  /**
   * Writes all of it without ever blocking the process, and calls `done` once: when it is written,
   * or with the error and how much of it was written before. Never called again before that.
   */
  write(bytes: Buffer, done: (error: Error | undefined, written: number) => void): void;
}

/** A stream that takes what it can and keeps the rest. */
interface ByteStream {
  write(bytes: Uint8Array, done: (error?: Error | null) => void): unknown;
}

/**
 * This process' standard error. A pipe, a socket or a terminal whose reader is stalled must not
 * hold the service up, so those are written without blocking; a file is written by a thread of
 * libuv, whose short writes Node's own stream would take for whole ones.
 */
export function standardError(): LineTarget {
  const stats = statsIfOpen(2);
  if (stats?.isFile() === true || (stats?.isCharacterDevice() === true && !isatty(2)))
    return fileTarget(2);
  process.stderr.on('error', () => undefined); // said to each write as well
  unblock(process.stderr);
  return streamTarget(process.stderr);
}

/**
 * Whether standard error is the journal's own stream, as `JOURNAL_STREAM` says of it
 * (systemd.exec(5)).
 */
export function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(2, { bigint: true });
  return stream === `${dev}:${ino}`;
}

/**
 * Node makes terminals block, so that nothing is lost when a program ends at once; Ctrl-S would
 * then stop the service.
 */
function unblock(stream: object): void {
  const { _handle: handle } = stream as {
    _handle?: { setBlocking?: (blocking: boolean) => unknown } | null;
  };
  handle?.setBlocking?.(false);
}

/** A stream such as a pipe. */
export function streamTarget(stream: ByteStream): LineTarget {
  return {
    write: (bytes, done) => void stream.write(bytes, (error) => done(error ?? undefined, 0)),
  };
}

function fileTarget(fd: number): LineTarget {
  return {
    write(bytes, done) {
      const goOn = (from: number): void => {
        write(fd, bytes, from, bytes.length - from, null, (error, count) => {
          if (error !== null) done(error, from);
          else if (from + count >= bytes.length) done(undefined, bytes.length);
          else goOn(from + count);
        });
      };
      goOn(0);
    },
  };
}
