import { createHash } from 'node:crypto';
import { readFully, writeFully } from '../durable/durable.ts';
import type { FilePort, OpenFile } from '../durable/file-port.ts';
import { endWith } from '../durable/unexpected.ts';

/**
 * `written`: the file is new; `same`: exactly these bytes were there, only mode and times were set.
 */
export type Outcome = 'written' | 'same';

/** One file on its way: write its bytes in order, then `finish`, or `abort`. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Proves size and hash, makes the bytes durable and gives them the final name. On any error
   * nothing stays behind.
   */
  finish(): Promise<Outcome>;
  /** Takes the unfinished file away. Fine to call after an error or twice. */
  abort(): Promise<void>;
  /** Leaves what is there for a later restore to go on with, where that is worth it. */
  leave(): Promise<void>;
}

/** Less than this is fetched again sooner than it is looked for. */
export const WORTH_KEEPING_BYTES = 8 << 20;
/** Fewer zeros than this are written: a hole would save nothing. */
const LEAST_HOLE_BYTES = 64 << 10;
/**
 * A large file is flushed now and then while it is written, so that the disk is at work before the
 * last byte.
 */
const FLUSH_BYTES = 16 << 20;
const READ_BYTES = 1 << 20;

/**
 * A `FileSink` under a temporary name: `complete` proves the bytes and gives them their own name;
 * `explain` names the file.
 */
export class PartFile implements FileSink {
  readonly temporary: Buffer;
  size = 0;
  /**
   * Up to where flushing was begun, and what became of it: a failed flush is never forgotten (D3).
   */
  #flushedTo = 0;
  #flushing: Promise<void> | undefined;
  #flushFailure: { readonly error: unknown } | undefined;
  /** Where the last byte that was written ends; what follows is a hole. */
  #written = 0;
  readonly #port: FilePort;
  readonly #file: OpenFile;
  readonly #hash = createHash('sha256');
  /** Whether there is a hash of the whole, which proves what a part holds. */
  readonly #isProvable: boolean;
  readonly #complete: (sink: PartFile) => Promise<Outcome>;
  readonly #explain: (error: unknown) => unknown;
  #state: 'open' | 'closed' | 'gone' = 'open';

  constructor(
    port: FilePort,
    file: OpenFile,
    temporary: Buffer,
    isProvable: boolean,
    complete: (sink: PartFile) => Promise<Outcome>,
    explain: (error: unknown) => unknown,
  ) {
    this.#port = port;
    this.#file = file;
    this.temporary = temporary;
    this.#isProvable = isProvable;
    this.#complete = complete;
    this.#explain = explain;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      this.#hash.update(bytes);
      // Long runs of zeros are left out: a file with holes must not fill a disk that it fitted on.
      if (!isZeros(bytes)) {
        await writeFully(this.#file, bytes, this.size);
        this.#written = this.size + bytes.length;
      }
      this.size += bytes.length;
      if (this.size - this.#flushedTo >= FLUSH_BYTES && this.#flushing === undefined)
        this.#flushAhead();
    } catch (error) {
      await this.abort();
      throw this.#explain(error);
    }
  }

  async finish(): Promise<Outcome> {
    try {
      const outcome = await this.#complete(this);
      this.#state = 'gone';
      return outcome;
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    await this.discard().catch(endWith); // the error that led here is the one to tell
  }

  async leave(): Promise<void> {
    // What a flush could not write may be lost, however whole it reads.
    await this.#flushing;
    const isSound = this.#isProvable && this.#flushFailure === undefined;
    if (!isSound || this.#written < WORTH_KEEPING_BYTES) return this.abort();
    if (this.#state !== 'open') return;
    this.#state = 'gone';
    await this.#file.close().catch(endWith);
  }

  /**
   * Takes over the first bytes of what is in the file: reads them back, and drops what follows.
   * They are written again: the system may have taken the pages of a flush that failed for clean,
   * and no later one would bring them to the disk (D3).
   */
  async goOn(from: number): Promise<void> {
    try {
      while (this.size < from) {
        const bytes = await readFully(
          this.#file,
          this.size,
          Math.min(READ_BYTES, from - this.size),
        );
        // Nothing more is there: the whole will not prove.
        if (bytes.length === 0) break;
        this.#hash.update(bytes);
        if (!isZeros(bytes)) await writeFully(this.#file, bytes, this.size);
        this.size += bytes.length;
      }
      await this.#file.truncate(this.size);
      this.#written = this.size;
    } catch (error) {
      await this.abort();
      throw this.#explain(error);
    }
  }

  /** SHA-256 of what was written; may be asked once. */
  digest(): Buffer {
    return this.#hash.digest();
  }

  #flushAhead(): void {
    this.#flushedTo = this.size;
    this.#flushing = this.#file
      .datasync()
      .catch((error: unknown) => {
        this.#flushFailure ??= { error };
      })
      .then(() => {
        this.#flushing = undefined;
      });
  }

  /** Size, mode and times first, then the flush that makes them and the bytes durable. */
  async settle(mode: number | undefined, mtimeNs: bigint): Promise<void> {
    if (this.#written < this.size) await this.#file.truncate(this.size);
    if (mode !== undefined) await this.#file.chmod(mode);
    await this.#file.setTimes(mtimeNs, mtimeNs);
    await this.#flushing;
    if (this.#flushFailure !== undefined) throw this.#flushFailure.error;
    await this.#file.sync();
    this.#state = 'closed';
    await this.#file.close();
  }

  /** Takes the temporary file away; nothing when it has its own name, or is gone. */
  async discard(): Promise<void> {
    if (this.#state === 'gone') return;
    const open = this.#state === 'open';
    this.#state = 'gone';
    try {
      await this.#flushing;
      if (open) await this.#file.close();
    } finally {
      await this.#port.unlink(this.temporary);
    }
  }
}

const zeros = Buffer.alloc(1 << 20);

function isZeros(bytes: Uint8Array): boolean {
  if (bytes.length < LEAST_HOLE_BYTES || bytes[0] !== 0) return false;
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (zeros.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}
