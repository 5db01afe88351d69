import {
  chmodSync,
  closeSync,
  fchmodSync,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { promisify } from 'node:util';
import { setTimeExactly, setTimeOfOpenExactly } from './exact-times.ts';
import {
  type FileFacts,
  type FilePort,
  factsOf,
  flagsOf,
  nodeFiles,
  nodeKeeps,
  type OpenFile,
  patientFiles,
  secondsForTime,
} from './file-port.ts';

const flush = promisify(fsync);
const flushContent = promisify(fdatasync);

/** Only flushing goes to another thread: it takes the disk's time, and many overlap. */
class BlockingFile implements OpenFile {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return readSync(this.#descriptor, into, 0, into.length, position);
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    return writeSync(this.#descriptor, bytes, 0, bytes.length, position);
  }

  sync(): Promise<void> {
    return flush(this.#descriptor);
  }

  datasync(): Promise<void> {
    return flushContent(this.#descriptor);
  }

  async truncate(size: number): Promise<void> {
    ftruncateSync(this.#descriptor, size);
  }

  async facts(): Promise<FileFacts> {
    return factsOf(fstatSync(this.#descriptor, { bigint: true }));
  }

  async chmod(mode: number): Promise<void> {
    fchmodSync(this.#descriptor, mode);
  }

  async setTimes(atimeNs: bigint, mtimeNs: bigint): Promise<void> {
    futimesSync(this.#descriptor, secondsForTime(atimeNs), secondsForTime(mtimeNs));
    if (!nodeKeeps(mtimeNs)) await setTimeOfOpenExactly(this.#descriptor, mtimeNs);
  }

  async close(): Promise<void> {
    closeSync(this.#descriptor);
  }
}

const plainFiles: FilePort = {
  ...nodeFiles,
  open: async (path, mode, permissions = 0o666) =>
    new BlockingFile(openSync(path, flagsOf[mode], permissions)),
  lstat: async (path) => factsOf(lstatSync(path, { bigint: true })),
  rename: async (from, to) => renameSync(from, to),
  link: async (existing, name) => linkSync(existing, name),
  unlink: async (path) => unlinkSync(path),
  mkdir: async (path, permissions = 0o777) => {
    mkdirSync(path, { mode: permissions });
  },
  chmod: async (path, mode) => chmodSync(path, mode),
  setLinkTimes: async (path, atimeNs, mtimeNs) => {
    lutimesSync(path, secondsForTime(atimeNs), secondsForTime(mtimeNs));
    if (!nodeKeeps(mtimeNs)) await setTimeExactly(Buffer.from(path), mtimeNs);
  },
};

/**
 * The real file system in calls that are done when they return, but for flushing: for threads that
 * have nothing else to do meanwhile. A call that is handed to another thread costs 30 µs, which is
 * more than opening, writing and naming a small file.
 */
export const blockingFiles: FilePort =
  process.platform === 'win32' ? patientFiles(plainFiles, (ms) => pass(ms)) : plainFiles;
