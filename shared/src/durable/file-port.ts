import { constants, promises as fs } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { keptBy, secondsForTime, setTimeExactly, setTimeOfOpenExactly } from './exact-times.ts';
import { belowDescriptor } from './held-name.ts';
import { patiently, type Wait } from './patience.ts';
import type { Soon } from './soon.ts';
import { spelledAsOnDisk } from './spelling.ts';
import { errnoOf } from './system-errors.ts';
import { type WindowsAccess, windowsAccess } from './windows-access.ts';

/**
 * A path as text, or as the raw bytes that the file system gave (POSIX names need not be UTF-8).
 */
export type RawPath = string | Buffer;

export type FileKind = 'file' | 'directory' | 'symlink' | 'other';

/** What the file system says about a name. Times in nanoseconds since 1970. */
export interface FileFacts {
  readonly kind: FileKind;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  readonly dev: bigint;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly links: number;
  /** Whose it is, by number; 0 on Windows. */
  readonly owner: number;
  readonly group: number;
}

export interface DirectoryEntry {
  readonly name: Buffer;
  readonly kind: FileKind;
}

/**
 * How to open a file: `held` what stands at the name itself, a folder or a link too, for nothing
 * but facts, mode, times and `below` (where `canHold`); `read` and `readNoFollow` for reading (the
 * latter refuses a symbolic link and never waits on a pipe), `createNew` for writing and reading a
 * file that must not exist, `update` for reading and writing one that must exist (`updateNoFollow`:
 * and is no symbolic link), `updateOrCreate` for either.
 */
export type OpenMode =
  | 'held'
  | 'read'
  | 'readNoFollow'
  | 'createNew'
  | 'update'
  | 'updateNoFollow'
  | 'updateOrCreate';

/** An open file. Positions are absolute; there is no cursor. */
export interface OpenFile {
  /**
   * Reads up to `into.length` bytes and returns how many; 0 at the end. May be fewer than asked
   * for.
   */
  read(into: Uint8Array, position: number): Promise<number>;
  /**
   * Writes up to `bytes.length` bytes and returns how many. May be fewer than given: `writeFully`
   * repeats.
   */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** The same of several parts, one behind the other. What has none is given single writes. */
  writev?(parts: readonly Uint8Array[], position: number): Promise<number>;
  /** fsync: content and all attributes are on stable storage when it returns. */
  sync(): Promise<void>;
  /**
   * fdatasync: content and the size needed to read it back are on stable storage when it returns.
   */
  datasync(): Promise<void>;
  truncate(size: number): Promise<void>;
  facts(): Promise<FileFacts>;
  chmod(mode: number): Promise<void>;
  /** Sets the access and modification times; exact to the microsecond. */
  setTimes(atimeNs: bigint, mtimeNs: bigint): Promise<void>;
  close(): Promise<void>;
  /**
   * Of what is `held`: by this path it is reached, and names in it, whatever became of its name.
   */
  readonly below?: string | undefined;
}

/**
 * Every file operation that Aliquot performs, in one interface: a test wraps it to fail, shorten,
 * lose or crash at any step. Errors are Node's own (`code` is the errno name); `fileError` turns
 * them into sentences.
 */
export interface FilePort {
  open(path: RawPath, mode: OpenMode, permissions?: number): Promise<OpenFile>;
  /** Follows symbolic links. */
  stat(path: RawPath): Promise<FileFacts>;
  /** Describes the name itself. */
  lstat(path: RawPath): Promise<FileFacts>;
  /** The names in a folder, in no particular order, without `.` and `..`; one is held at a time. */
  list(path: RawPath): AsyncIterable<DirectoryEntry>;
  readlink(path: RawPath): Promise<Buffer>;
  realpath(path: RawPath): Promise<Buffer>;
  /** Replaces `to` atomically when it is a file. Durable only after `syncDirectory`. */
  rename(from: RawPath, to: RawPath): Promise<void>;
  /** Gives a file a second name; fails with EEXIST rather than replace. */
  link(existing: RawPath, name: RawPath): Promise<void>;
  symlink(target: RawPath, name: RawPath): Promise<void>;
  unlink(path: RawPath): Promise<void>;
  mkdir(path: RawPath, permissions?: number): Promise<void>;
  /** Removes an empty folder. */
  rmdir(path: RawPath): Promise<void>;
  chmod(path: RawPath, mode: number): Promise<void>;
  /** Sets times of the name itself, never of what a symbolic link leads to. */
  setLinkTimes(path: RawPath, atimeNs: bigint, mtimeNs: bigint): Promise<void>;
  /**
   * Makes creations, renames and removals in a folder durable. Windows has no such call and needs
   * none: does nothing there.
   */
  syncDirectory(path: RawPath): Promise<void>;
  /** Bytes that this user may still write to the file system of `path`. */
  freeBytes(path: RawPath): Promise<number>;
  /**
   * An absolute path as the disk spells it, where names that differ in case alone are one; not
   * there where they are not.
   */
  spell?(path: string): Promise<string>;
  /**
   * Who may open what, where modes say nothing about it; not there where they do. Asked by
   * `private.ts` only.
   */
  readonly access?: () => Promise<WindowsAccess>;
}

/** An open file that is new. A part of `OpenFile`, in calls that may be done when they return. */
export interface NewFile {
  write(bytes: Uint8Array, position: number): Soon<number>;
  sync(): Soon<void>;
  facts(): Soon<Pick<FileFacts, 'mode' | 'mtimeNs'>>;
  chmod(mode: number): Soon<void>;
  setTimes(atimeNs: bigint, mtimeNs: bigint): Soon<void>;
  close(): Soon<void>;
}

/**
 * What new files are written and named with. A part of `FilePort`, as `NewFile` is of `OpenFile`.
 */
export interface NewFiles {
  open(path: RawPath, mode: 'createNew', permissions: number): Soon<NewFile>;
  /** ENOENT, or undefined, where nothing of that name is. */
  lstat(path: RawPath): Soon<unknown>;
  rename(from: RawPath, to: RawPath): Soon<void>;
  link(existing: RawPath, name: RawPath): Soon<void>;
  unlink(path: RawPath): Soon<void>;
}

const onWindows = process.platform === 'win32';

/** Linux' own, for which Node has no name: neither reads nor writes, and needs no right to. */
const O_PATH = 0o10000000;

/** For `open` of Node. */
export const flagsOf: Record<OpenMode, number> = {
  held: O_PATH | (constants.O_NOFOLLOW ?? 0),
  read: constants.O_RDONLY,
  readNoFollow: constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
  createNew: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0),
  update: constants.O_RDWR,
  updateNoFollow: constants.O_RDWR | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
  updateOrCreate: constants.O_RDWR | constants.O_CREAT,
};

interface BigStats {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function kindOf(stats: BigStats): FileKind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : 'other';
}

/** What Node says about a name, as a port says it. */
export function factsOf(stats: import('node:fs').BigIntStats): FileFacts {
  return {
    kind: kindOf(stats),
    size: Number(stats.size),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    ino: stats.ino,
    dev: stats.dev,
    mode: Number(stats.mode) & 0o7777,
    links: Number(stats.nlink),
    owner: Number(stats.uid),
    group: Number(stats.gid),
  };
}

/** Whether Node sets exactly this time. */
function nodeKeeps(ns: bigint): boolean {
  return keptBy(secondsForTime(ns), ns);
}

class NodeFile implements OpenFile {
  readonly #handle: FileHandle;
  readonly below?: string | undefined;

  constructor(handle: FileHandle, isHeld: boolean) {
    this.#handle = handle;
    if (isHeld) this.below = belowDescriptor(handle.fd);
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return (await this.#handle.read(into, 0, into.length, position)).bytesRead;
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    return (await this.#handle.write(bytes, 0, bytes.length, position)).bytesWritten;
  }

  async writev(parts: readonly Uint8Array[], position: number): Promise<number> {
    return (await this.#handle.writev(parts, position)).bytesWritten;
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size);
  }

  async facts(): Promise<FileFacts> {
    return factsOf(await this.#handle.stat({ bigint: true }));
  }

  chmod(mode: number): Promise<void> {
    return this.below === undefined ? this.#handle.chmod(mode) : fs.chmod(this.below, mode);
  }

  async setTimes(atimeNs: bigint, mtimeNs: bigint): Promise<void> {
    const seconds = [secondsForTime(atimeNs), secondsForTime(mtimeNs)] as const;
    if (this.below === undefined) await this.#handle.utimes(...seconds);
    else await fs.utimes(this.below, ...seconds);
    if (!nodeKeeps(mtimeNs)) await setTimeOfOpenExactly(this.#handle.fd, mtimeNs);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function* listNames(path: RawPath): AsyncIterable<DirectoryEntry> {
  // opendir reads ahead in small batches: a folder of a million files is never held at once.
  const folder = await fs.opendir(path as string, {
    encoding: 'buffer' as BufferEncoding,
    bufferSize: 256,
  });
  for await (const entry of folder)
    yield { name: entry.name as unknown as Buffer, kind: kindOf(entry) };
}

async function syncDirectory(path: RawPath): Promise<void> {
  if (onWindows) return;
  const handle = await fs.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const plainFiles: FilePort = {
  open: async (path, mode, permissions = 0o666) =>
    new NodeFile(await fs.open(path, flagsOf[mode], permissions), mode === 'held'),
  stat: async (path) => factsOf(await fs.stat(path, { bigint: true })),
  lstat: async (path) => factsOf(await fs.lstat(path, { bigint: true })),
  list: listNames,
  readlink: (path) => fs.readlink(path, { encoding: 'buffer' }),
  realpath: (path) => fs.realpath(path, { encoding: 'buffer' }),
  rename: (from, to) => fs.rename(from, to),
  link: (existing, name) => fs.link(existing, name),
  symlink: (target, name) => fs.symlink(target, name),
  unlink: (path) => fs.unlink(path),
  mkdir: (path, permissions = 0o777) => fs.mkdir(path, { mode: permissions }).then(() => undefined),
  rmdir: (path) => fs.rmdir(path),
  chmod: (path, mode) => fs.chmod(path, mode),
  setLinkTimes: async (path, atimeNs, mtimeNs) => {
    await fs.lutimes(path, secondsForTime(atimeNs), secondsForTime(mtimeNs));
    if (!nodeKeeps(mtimeNs)) await setTimeExactly(Buffer.from(path), mtimeNs);
  },
  syncDirectory,
  freeBytes: async (path) => {
    const { bavail, bsize } = await fs.statfs(path);
    return bavail * bsize;
  },
  ...(onWindows
    ? {
        access: windowsAccess,
        spell: async (path: string) => spelledAsOnDisk(path, (await windowsAccess()).nameOnDisk),
      }
    : {}),
};

/**
 * On Windows a program that has a file open decides whether others may open, rename or remove it
 * meanwhile. Virus scanners, search and backup programs hold each new file for a moment, so what
 * fails with these errors is tried again before anybody hears of it.
 */
const momentary = new Set(['EPERM', 'EACCES', 'EBUSY']);

/**
 * A port whose files may be held by others for a moment: opening, renaming and removing wait for
 * it. Nobody holds a name that is only being made, so there only EBUSY is waited for, and a folder
 * that this account may not write in is reported at once.
 */
export function patientFiles(port: FilePort, wait: Wait): FilePort {
  const held = (error: unknown): boolean => momentary.has(errnoOf(error) ?? '');
  const busy = (error: unknown): boolean => errnoOf(error) === 'EBUSY';
  return {
    ...port,
    open: (path, mode, permissions) =>
      patiently(wait, mode === 'createNew' ? busy : held, () => port.open(path, mode, permissions)),
    rename: (from, to) => patiently(wait, held, () => port.rename(from, to)),
    link: (existing, name) => patiently(wait, busy, () => port.link(existing, name)),
    unlink: (path) => patiently(wait, held, () => port.unlink(path)),
    rmdir: (path) => patiently(wait, held, () => port.rmdir(path)),
    mkdir: (path, permissions) => patiently(wait, busy, () => port.mkdir(path, permissions)),
  };
}

/** The real file system of this machine. */
export const nodeFiles: FilePort = onWindows
  ? patientFiles(plainFiles, (ms) => pass(ms))
  : plainFiles;

/** The folder that a path's last name is in. */
export function parentOf(path: Buffer): Buffer;
export function parentOf(path: RawPath): RawPath;
export function parentOf(path: RawPath): RawPath {
  if (typeof path === 'string') return dirname(path);
  const slash = Math.max(path.lastIndexOf(0x2f), onWindows ? path.lastIndexOf(0x5c) : -1);
  if (slash < 0) return Buffer.from('.');
  const isRoot = slash === 0 || (onWindows && slash === 2 && path[1] === 0x3a);
  return path.subarray(0, isRoot ? slash + 1 : slash);
}
