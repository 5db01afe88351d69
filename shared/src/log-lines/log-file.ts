import { dirname } from 'node:path';
import { ensureDirectory, readFully } from '../durable/durable.ts';
import { withFileErrors } from '../durable/errors.ts';
import type { FilePort, OpenFile } from '../durable/file-port.ts';
import { shiftNames } from '../durable/shift-names.ts';
import { errnoOf } from '../durable/system-errors.ts';
import type { LineTarget } from './line-target.ts';
import { LOG_TAIL_BYTES } from './log-tail.ts';

/**
 * A file of the log is followed by the next one at this size; one can still be opened in any
 * editor.
 */
const LOG_FILE_BYTES = 10 << 20;
/** `FILE` and `FILE.1` to `FILE.4`. */
const LOG_FILES = 5;
/**
 * When the names cannot be changed, as while a viewer holds a file on Windows, the log grows by so
 * much before it is tried again.
 */
const RETRY_BYTES = 1 << 20;

/**
 * A log in a file of its own, for services without a journal: the newest lines in `FILE`, older
 * ones in `FILE.1` to `FILE.4`.
 */
export class LogFile implements LineTarget {
  readonly #port: FilePort;
  readonly #path: string;
  #file: OpenFile | undefined;
  /** The size at which the next file begins. */
  #fullAt = LOG_FILE_BYTES;

  private constructor(port: FilePort, path: string) {
    this.#port = port;
    this.#path = path;
  }

  /**
   * A log at this path; its folder is made when it is missing.
   *
   * @throws FileError where this user can have no file there. A full disk is no reason: the service
   * starts, and lines are lost until there is room.
   */
  static async open(port: FilePort, path: string): Promise<LogFile> {
    const made = new LogFile(port, path);
    try {
      await ensureDirectory(port, dirname(path), 0o700);
      await withFileErrors('write the log', path, () => made.#opened());
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'FILE_NO_SPACE'))
        throw error;
    }
    return made;
  }

  /** The last lines, also of the file before it, from before the service was restarted. */
  static async tail(port: FilePort, path: string): Promise<string> {
    let text = '';
    for (const name of [path, `${path}.1`]) {
      const room = LOG_TAIL_BYTES - text.length;
      if (room > 0) text = (await endOf(port, name, room)) + text;
    }
    return text;
  }

  /** After the last line. */
  close(): Promise<void> {
    return this.#close();
  }

  write(bytes: Buffer, done: (error: Error | undefined, written: number) => void): void {
    let written = 0;
    const work = async (): Promise<void> => {
      const { file, size } = await this.#roomFor(bytes.length);
      while (written < bytes.length)
        written += await file.write(bytes.subarray(written), size + written);
    };
    work().then(
      () => done(undefined, written),
      (error: unknown) => {
        // Only what the system says of files may cost lines; a fault of ours ends the process, as
        // everywhere.
        if (errnoOf(error) === undefined) throw error;
        done(error as Error, written);
      },
    );
  }

  /** The file with what is in it now: somebody may have emptied or removed it. */
  async #roomFor(bytes: number): Promise<{ readonly file: OpenFile; readonly size: number }> {
    const opened = await this.#opened();
    if (opened.size === 0 || opened.size + bytes <= this.#fullAt) return opened;
    await this.#close();
    try {
      await shiftNames(this.#port, this.#path, LOG_FILES);
      this.#fullAt = LOG_FILE_BYTES;
    } catch (error) {
      if (!(error instanceof Error && errnoOf(error.cause) !== undefined)) throw error;
      this.#fullAt = opened.size + RETRY_BYTES;
    }
    return this.#opened();
  }

  async #opened(): Promise<{ readonly file: OpenFile; readonly size: number }> {
    if (this.#file !== undefined) {
      const { size, links } = await this.#file.facts();
      if (links > 0) return { file: this.#file, size };
      await this.#close();
    }
    const file = await this.#port.open(this.#path, 'updateOrCreate', 0o600);
    this.#file = file;
    return { file, size: (await file.facts()).size };
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

/** The last bytes of a file, from a line's beginning on; nothing when it is not there. */
async function endOf(port: FilePort, path: string, most: number): Promise<string> {
  let file: OpenFile;
  try {
    file = await port.open(path, 'read');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
  try {
    const { size } = await file.facts();
    const from = Math.max(0, size - most);
    const text = Buffer.from(await readFully(file, from, size - from)).toString('utf8');
    return from === 0 ? text : text.slice(text.indexOf('\n') + 1);
  } finally {
    await file.close();
  }
}
