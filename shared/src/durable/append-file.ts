import { readFully, writeFully, writePartsFully } from './durable.ts';
import { FileError, fileError, withFileErrors } from './errors.ts';
import { type FilePort, type OpenFile, parentOf, type RawPath } from './file-port.ts';

/** What `renew` holds in memory. */
const RENEW_BYTES = 1024 * 1024;

/**
 * A file that only grows at its end: the base of packs, queue segments and chain logs.
 *
 * Promises: `append` answers with the exact offset where its bytes begin, and appends stand in the
 * order of the calls. Bytes are durable when a `sync` that was called after their `append` was has
 * returned. A failed append is cut off again, so that no gap or torn record stands between good
 * ones; where even that fails, or where a flush fails, the file is poisoned: everything after
 * throws `FILE_POISONED`, because what the disk holds is no longer known (D3). Close it, open it
 * again and judge its records by their checksums.
 */
export class AppendFile {
  readonly path: RawPath;
  readonly #file: OpenFile;
  #end: number;
  #synced: number;
  #poison: unknown;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(path: RawPath, file: OpenFile, end: number) {
    this.path = path;
    this.#file = file;
    this.#end = end;
    this.#synced = 0;
  }

  /**
   * Opens the file for appending at its present end; makes it, durably in its folder, when it is
   * not there.
   */
  static async open(
    port: FilePort,
    path: RawPath,
    options: { readonly mode?: number } = {},
  ): Promise<AppendFile> {
    return withFileErrors('open', path, async () => {
      const file = await port.open(path, 'updateOrCreate', options.mode ?? 0o600);
      try {
        const { size } = await file.facts();
        if (size === 0) await port.syncDirectory(parentOf(path));
        return new AppendFile(path, file, size);
      } catch (error) {
        await file.close();
        throw error;
      }
    });
  }

  /** Where the next append will begin, once all appends under way are done. */
  get size(): number {
    return this.#end;
  }

  /** How many leading bytes a successful `sync` of this object has covered. */
  get syncedSize(): number {
    return this.#synced;
  }

  get poisoned(): boolean {
    return this.#poison !== undefined;
  }

  /** Appends the parts as one run of bytes and returns the offset of the first. */
  append(...parts: readonly Uint8Array[]): Promise<number> {
    return this.#inTurn('append to', async () => {
      const start = this.#end;
      try {
        await writePartsFully(this.#file, parts, start);
      } catch (error) {
        await this.#cutBack(start);
        throw error;
      }
      this.#end = start + parts.reduce((sum, part) => sum + part.length, 0);
      return start;
    });
  }

  /** Makes everything appended before this call durable. */
  sync(): Promise<void> {
    return this.#inTurn('flush', async () => {
      const covered = this.#end;
      if (covered === this.#synced) return;
      try {
        await this.#file.datasync();
      } catch (error) {
        this.#poison = error;
        throw error;
      }
      this.#synced = covered;
    });
  }

  /**
   * Writes the bytes from `position` on once more, and flushes them: for bytes that were found when
   * opening, of which no flush is known. Flushing alone would not do (D3): when an earlier process
   * met a failed flush, the kernel takes these pages for clean though the disk never got them.
   */
  renew(position: number): Promise<void> {
    return this.#inTurn('flush', async () => {
      try {
        for (let at = position; at < this.#end; ) {
          const bytes = await readFully(this.#file, at, Math.min(RENEW_BYTES, this.#end - at));
          if (bytes.length === 0)
            throw new FileError(
              'FILE_IO',
              `cannot read ${this.path}: it ends before byte ${this.#end}`,
            );
          await writeFully(this.#file, bytes, at);
          at += bytes.length;
        }
        await this.#file.sync();
      } catch (error) {
        this.#poison = error;
        throw error;
      }
      this.#synced = this.#end;
    });
  }

  /** Cuts the file to `size` bytes, durably: for a torn tail found when opening. */
  truncateTo(size: number): Promise<void> {
    return this.#inTurn('cut', async () => {
      if (size > this.#end)
        throw new FileError(
          'FILE_IO',
          `cannot cut ${this.path} to ${size} bytes: it has ${this.#end}`,
        );
      if (size === this.#end) return;
      try {
        await this.#file.truncate(size);
        await this.#file.sync();
      } catch (error) {
        this.#poison = error;
        throw error;
      }
      this.#end = size;
      this.#synced = size;
    });
  }

  /** Up to `length` bytes at `position`: fewer at the end. Does not wait for appends under way. */
  read(position: number, length: number): Promise<Buffer> {
    const available = Math.max(0, Math.min(length, this.#end - position));
    return withFileErrors('read', this.path, () => readFully(this.#file, position, available));
  }

  /** Waits for what is under way, then closes; does not sync. */
  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    this.#poison ??= new FileError('FILE_IO', `${this.path} is closed`);
    await this.#file.close();
  }

  async #cutBack(start: number): Promise<void> {
    try {
      await this.#file.truncate(start);
    } catch (error) {
      this.#poison = error;
    }
  }

  #inTurn<T>(action: string, run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      if (this.#poison !== undefined) {
        const says = `cannot ${action} ${this.path}: an earlier write to it failed; stop, mend the disk and start again`;
        throw new FileError('FILE_POISONED', says, { cause: this.#poison });
      }
      try {
        return await run();
      } catch (error) {
        throw fileError(action, this.path, error);
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
