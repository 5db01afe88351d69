import { EventEmitter } from 'node:events';
import { fstatSync, type Stats, writeSync } from 'node:fs';
import { errnoOf } from '../durable/system-errors.ts';
import { forTerminal } from './terminal.ts';

/** The part of a stream that output needs. */
export interface TextSink {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  /** Bytes that wait for the reader. */
  readonly writableLength?: number | undefined;
  write(data: string | Uint8Array): boolean;
  once(event: 'drain', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** How a write fails whose reader has left. `EOF` is Windows' word for it. */
const goneCodes = new Set(['EPIPE', 'EOF', 'ECONNRESET', 'ERR_STREAM_DESTROYED']);

/**
 * Standard output of one command: waits for room, and remembers whether everything was delivered.
 * Writing never fails: what cannot be delivered any more is dropped, and `lost` says so, from which
 * `runCommand` makes the exit code.
 */
export class StandardOutput {
  /** Set by a command that only reads: its reader may leave (`| head`), and that is no error. */
  readerMayLeave = false;
  readonly #stream: TextSink;
  readonly #handedOver: () => Promise<void>;
  /** Signs may be cut between two pieces. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #lost: Error | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  /** @param handedOver resolves when the system has taken everything that was written */
  constructor(stream: TextSink, handedOver: () => Promise<void> = async () => undefined) {
    this.#stream = stream;
    this.#handedOver = handedOver;
    stream.on('error', (error) => {
      this.#lost ??= error;
      this.#room?.resolve(); // a reader that has gone never makes room
    });
  }

  get isTTY(): boolean {
    return this.#stream.isTTY === true;
  }

  /** How wide the terminal is; undefined where nobody looks. */
  get columns(): number | undefined {
    return this.isTTY ? this.#stream.columns : undefined;
  }

  /** Why not everything was delivered; undefined while nothing was lost. */
  get lost(): Error | undefined {
    return this.#lost;
  }

  /** Whether what reads this has left, which is not the same as a disk that is full. */
  get readerGone(): boolean {
    return (
      this.#lost !== undefined && 'code' in this.#lost && goneCodes.has(String(this.#lost.code))
    );
  }

  /** Resolves when there is room for more, so that memory stays flat with a slow reader. */
  async write(data: string | Uint8Array): Promise<void> {
    if (this.#lost !== undefined || this.#stream.write(this.#filtered(data))) return;
    this.#room ??= this.#wait();
    await this.#room.promise;
  }

  /** Resolves when everything was handed to the system, or lost. */
  async settled(): Promise<void> {
    await this.#room?.promise;
    if (this.#lost === undefined) await this.#handedOver();
  }

  /** Text never steers a terminal; bytes of a file go as they are where no terminal is. */
  #filtered(data: string | Uint8Array): string | Uint8Array {
    if (typeof data === 'string') return forTerminal(data);
    return this.isTTY ? forTerminal(this.#decoder.decode(data, { stream: true })) : data;
  }

  #wait(): PromiseWithResolvers<void> {
    const room = Promise.withResolvers<void>();
    this.#stream.once('drain', () => {
      this.#room = undefined;
      room.resolve();
    });
    return room;
  }
}

/** This process' standard output. */
export function processOutput(): StandardOutput {
  const { stdout } = process;
  if (isFile(1)) return new StandardOutput(new FileSink(1));
  return new StandardOutput(stdout, async () => {
    await new Promise<void>((resolve) => {
      stdout.write('', () => resolve());
    });
    // The error of a failed write comes one turn after its callback.
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  });
}

/**
 * A file, or a device that is no terminal. A program that Windows starts without a standard output
 * has none of either.
 */
function isFile(fd: number): boolean {
  const stats = statsIfOpen(fd);
  if (stats === undefined) return false;
  return stats.isFile() || (stats.isCharacterDevice() && process.stdout.isTTY !== true);
}

/**
 * What an inherited descriptor is; undefined where there is none, or (EINVAL) one that the system
 * cannot describe, as Wine 10 with files.
 */
export function statsIfOpen(fd: number): Stats | undefined {
  try {
    return fstatSync(fd);
  } catch (error) {
    if (['EBADF', 'EINVAL'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/**
 * Node's own stream for files takes a short write, such as the last one on a full disk, for a whole
 * one; this one does not.
 */
class FileSink extends EventEmitter<{ error: [Error]; drain: [] }> implements TextSink {
  readonly #fd: number;

  constructor(fd: number) {
    super();
    this.#fd = fd;
  }

  write(data: string | Uint8Array): boolean {
    let rest: Uint8Array = Buffer.from(data as Uint8Array);
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(this.#fd, rest));
    } catch (error) {
      this.emit('error', error instanceof Error ? error : new Error(String(error)));
    }
    return true;
  }
}
