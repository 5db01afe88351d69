import {
  type BigIntStats,
  chmodSync,
  closeSync,
  fchmodSync,
  fdatasync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readlinkSync,
  readSync,
  renameSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { promisify } from 'node:util';
import { keptBy, secondsForTime, setTimeExactly, setTimeOfOpenExactly } from './exact-times.ts';
import {
  type FileFacts,
  type FilePort,
  factsOf,
  flagsOf,
  type NewFile,
  type NewFiles,
  nodeFiles,
  type OpenFile,
  patientFiles,
  type RawPath,
} from './file-port.ts';
import type { Holder } from './held-folders.ts';
import { belowDescriptor } from './held-name.ts';
import type { Soon } from './soon.ts';

const flushElsewhere = promisify(fsync);
const flushContent = promisify(fdatasync);

/** A flush that is done sooner than another thread is asked: as of a memory disk. */
const QUICK_MS = 0.1;
/** So many slow ones in a row are the disk's doing, and no matter of who had the processor. */
const SLOW = 3;
/** Then so many go to another thread before one is tried here again; the next time more. */
const ELSEWHERE = 64;
const MOST_ELSEWHERE = 65_536;

/**
 * Flushes files. That takes a disk's time, and many overlap, so it goes to other threads; but to
 * hand a call over costs 30 µs, which is more than all of a small file where the disk is memory.
 *
 * Test only: with a clock of its own; each thread has one.
 */
export class Flusher {
  readonly #now: () => number;
  #slow = 0;
  #elsewhere = 0;
  #next = ELSEWHERE;

  /** @param now Milliseconds that only grow. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** fsync. */
  flush(descriptor: number): Soon<void> {
    if (this.#elsewhere > 0) {
      this.#elsewhere -= 1;
      return flushElsewhere(descriptor);
    }
    const began = this.#now();
    fsyncSync(descriptor);
    if (this.#now() - began < QUICK_MS) {
      this.#slow = 0;
      return;
    }
    this.#slow += 1;
    if (this.#slow < SLOW) return;
    this.#slow = 0;
    this.#elsewhere = this.#next;
    this.#next = Math.min(4 * this.#next, MOST_ELSEWHERE);
  }
}

const flusher = new Flusher(() => performance.now());

/** Only flushing may go to another thread. */
class BlockingFile implements OpenFile {
  readonly #descriptor: number;
  readonly below?: string | undefined;

  constructor(descriptor: number, isHeld: boolean) {
    this.#descriptor = descriptor;
    if (isHeld) this.below = belowDescriptor(descriptor);
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return readSync(this.#descriptor, into, 0, into.length, position);
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    return writeSync(this.#descriptor, bytes, 0, bytes.length, position);
  }

  async sync(): Promise<void> {
    return flusher.flush(this.#descriptor);
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
    if (this.below === undefined) fchmodSync(this.#descriptor, mode);
    else chmodSync(this.below, mode);
  }

  async setTimes(atimeNs: bigint, mtimeNs: bigint): Promise<void> {
    return setTimes(this.#descriptor, atimeNs, mtimeNs, this.below);
  }

  async close(): Promise<void> {
    closeSync(this.#descriptor);
  }
}

function setTimes(
  descriptor: number,
  atimeNs: bigint,
  mtimeNs: bigint,
  below?: string,
): Soon<void> {
  const seconds = secondsForTime(mtimeNs);
  const accessed = atimeNs === mtimeNs ? seconds : secondsForTime(atimeNs);
  if (below === undefined) futimesSync(descriptor, accessed, seconds);
  else utimesSync(below, accessed, seconds);
  if (!keptBy(seconds, mtimeNs)) return setTimeOfOpenExactly(descriptor, mtimeNs).then(() => {});
}

/**
 * That a name is not there is what is hoped for: as an error of Node's it would take 15 µs, to find
 * out where it came from.
 */
function lookAt(path: RawPath): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

/** Holds folders in calls that are done when they return. */
export const blockingHolder: Holder = {
  lstat: (path) => factsOf(lstatSync(native(path), { bigint: true })),
  readlink: (path) => readlinkSync(native(path), { encoding: 'buffer' }),
  hold(path) {
    const descriptor = openSync(path, flagsOf.held);
    try {
      const facts = factsOf(fstatSync(descriptor, { bigint: true }));
      const below = belowDescriptor(descriptor) ?? '';
      return { facts, below, close: () => closeSync(descriptor) };
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  },
};

/** Windows takes no byte paths. */
function native(path: Buffer): Buffer | string {
  return process.platform === 'win32' ? path.toString('utf8') : path;
}

class NewBlockingFile implements NewFile {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(bytes: Uint8Array, position: number): number {
    return writeSync(this.#descriptor, bytes, 0, bytes.length, position);
  }

  sync(): Soon<void> {
    return flusher.flush(this.#descriptor);
  }

  facts(): Pick<FileFacts, 'mode' | 'mtimeNs'> {
    return factsOf(fstatSync(this.#descriptor, { bigint: true }));
  }

  chmod(mode: number): void {
    fchmodSync(this.#descriptor, mode);
  }

  setTimes(atimeNs: bigint, mtimeNs: bigint): Soon<void> {
    return setTimes(this.#descriptor, atimeNs, mtimeNs);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

const newBlockingFiles: NewFiles = {
  open: (path, mode, permissions) =>
    new NewBlockingFile(openSync(path, flagsOf[mode], permissions)),
  lstat: lookAt,
  rename: renameSync,
  link: linkSync,
  unlink: unlinkSync,
};

const plainFiles: FilePort = {
  ...nodeFiles,
  open: async (path, mode, permissions = 0o666) =>
    new BlockingFile(openSync(path, flagsOf[mode], permissions), mode === 'held'),
  lstat: async (path) => factsOf(lstatSync(path, { bigint: true })),
  rename: async (from, to) => renameSync(from, to),
  link: async (existing, name) => linkSync(existing, name),
  unlink: async (path) => unlinkSync(path),
  mkdir: async (path, permissions = 0o777) => {
    mkdirSync(path, { mode: permissions });
  },
  chmod: async (path, mode) => chmodSync(path, mode),
  setLinkTimes: async (path, atimeNs, mtimeNs) => {
    const seconds = secondsForTime(mtimeNs);
    lutimesSync(path, atimeNs === mtimeNs ? seconds : secondsForTime(atimeNs), seconds);
    if (!keptBy(seconds, mtimeNs)) await setTimeExactly(Buffer.from(path), mtimeNs);
  },
};

/**
 * The real file system in calls that are done when they return, but for flushing: for threads that
 * have nothing else to do meanwhile. A call that is handed to another thread costs 30 µs, which is
 * more than opening, writing and naming a small file.
 */
export const blockingFiles: FilePort =
  process.platform === 'win32' ? patientFiles(plainFiles, (ms) => pass(ms)) : plainFiles;

/**
 * The same for files that are new, in calls without a promise. On Windows some wait for others who
 * hold a file.
 */
export const newFiles: NewFiles = process.platform === 'win32' ? blockingFiles : newBlockingFiles;
