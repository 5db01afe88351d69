import { statSync } from 'node:fs';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import type { OpenFile } from '@aliquot/shared/durable/file-port';
import { systemError } from '@aliquot/shared/testing/faulty-files';

/** What LevelDB is given at least, which writes where this port does not see it. */
const LEVEL_BYTES = 2000;

/** A disk of so many bytes: what does not fit fails as on one that is full. Files alone count. */
export class CrampedDisk {
  readonly files: DiskPort;
  size: number;
  readonly #sizes = new Map<string, number>();

  constructor(size: number) {
    this.size = size;
    this.files = {
      ...nodeDisk,
      open: async (path, mode, permissions) => {
        const file = await nodeDisk.open(path, mode, permissions);
        const { size } = await file.facts();
        // What was there before stands beside the bytes that this disk has; it is freed with its
        // file.
        if (!this.#sizes.has(path.toString())) this.size += size;
        this.#sizes.set(path.toString(), size);
        return this.#counted(file, path.toString());
      },
      unlink: async (path) => {
        if (!this.#sizes.has(path.toString())) this.size += statSync(path).size;
        await nodeDisk.unlink(path);
        this.#sizes.delete(path.toString());
      },
      rename: async (from, to) => {
        await nodeDisk.rename(from, to);
        this.#sizes.delete(from.toString());
        this.#sizes.set(to.toString(), statSync(to).size);
      },
      freeBytes: async () => this.free,
      level: {
        ...nodeDisk.level,
        open: async (path, options) => {
          this.#needLevel();
          const level = await nodeDisk.level.open(path, options);
          const batch = level.batch.bind(level) as (...args: unknown[]) => Promise<void>;
          const counted = async (...args: unknown[]) => {
            this.#needLevel();
            return batch(...args);
          };
          return Object.assign(level, { batch: counted });
        },
      },
    };
  }

  get free(): number {
    let used = 0;
    for (const size of this.#sizes.values()) used += size;
    return this.size - used;
  }

  #needLevel(): void {
    if (this.free >= LEVEL_BYTES) return;
    const error = new Error('IO error: No space left on device');
    throw Object.assign(error, { code: 'LEVEL_IO_ERROR' });
  }

  #counted(file: OpenFile, path: string): OpenFile {
    const grow = (end: number): void => {
      const before = this.#sizes.get(path) ?? 0;
      if (end <= before) return;
      if (end - before > this.free) throw systemError('ENOSPC', 'write', path);
      this.#sizes.set(path, end);
    };
    return {
      read: (into, position) => file.read(into, position),
      write: async (bytes, position) => {
        grow(position + bytes.length);
        return file.write(bytes, position);
      },
      sync: () => file.sync(),
      datasync: () => file.datasync(),
      truncate: async (size) => {
        await file.truncate(size);
        this.#sizes.set(path, size);
      },
      facts: () => file.facts(),
      chmod: (mode) => file.chmod(mode),
      setTimes: (atimeNs, mtimeNs) => file.setTimes(atimeNs, mtimeNs),
      close: () => file.close(),
    };
  }
}
