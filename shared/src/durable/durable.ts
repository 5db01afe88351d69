import { type Random, systemRandom } from '../ports.ts';
import { FileError, withFileErrors } from './errors.ts';
import {
  type FilePort,
  type NewFile,
  type NewFiles,
  type OpenFile,
  parentOf,
  type RawPath,
} from './file-port.ts';
import { looking, placing, writing } from './new-file.ts';
import { createFile, makeOneFolder } from './private.ts';
import { inSteps } from './soon.ts';
import { errnoOf } from './system-errors.ts';

/**
 * The durability module: with `append-file.ts` the only code that calls rename or fsync.
 *
 * D1: a name that `writeFileDurably` returned for holds the whole new content after any crash;
 * before that, the whole old content or nothing. D2: a name that `removeDurably` or `eraseDurably`
 * returned for does not come back after a crash. D3: a failed flush is never repeated and believed:
 * the kernel may have dropped the dirty pages and report success the second time (Rebello et al.,
 * "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
 */

const onWindows = process.platform === 'win32';

/** A path with one more name; raw bytes when either part is. */
export function joinRaw(folder: Buffer, name: RawPath): Buffer;
export function joinRaw(folder: RawPath, name: RawPath): RawPath;
export function joinRaw(folder: RawPath, name: RawPath): RawPath {
  const separator = onWindows ? '\\' : '/';
  if (typeof folder === 'string' && typeof name === 'string')
    return folder.endsWith('/') ? folder + name : folder + separator + name;
  const head = Buffer.from(folder);
  const last = head[head.length - 1];
  const between = last === 0x2f || (last === 0x5c && onWindows) ? '' : separator;
  return Buffer.concat([head, Buffer.from(between), Buffer.from(name)]);
}

/** Writes all of `bytes` at `position`, however short the single writes are. */
export async function writeFully(
  file: Pick<NewFile, 'write'>,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  return inSteps(writing(file, bytes, position));
}

/**
 * Parts up to this size are joined with their neighbours: copying them costs less than handing each
 * to the system.
 */
const SMALL_PART_BYTES = 16 * 1024;
/**
 * Joined parts are runs of about this size, so that thousands of tiny ones are not thousands of
 * writes.
 */
const RUN_BYTES = 1024 * 1024;

/**
 * Writes all parts one behind the other from `position` on; large ones are not copied where the
 * port can write several at once.
 */
export async function writePartsFully(
  file: OpenFile,
  parts: readonly Uint8Array[],
  position: number,
): Promise<void> {
  const gathers = file.writev !== undefined;
  let left = joinedParts(parts, gathers ? SMALL_PART_BYTES : RUN_BYTES);
  let at = position;
  while (left.length > 1 && file.writev !== undefined) {
    const count = await file.writev(left, at);
    if (count <= 0) throw new FileError('FILE_IO', 'the file system accepted no bytes of a write');
    at += count;
    left = without(left, count);
  }
  for (const part of left) {
    await writeFully(file, part, at);
    at += part.length;
  }
}

function joinedParts(parts: readonly Uint8Array[], smallBytes: number): Uint8Array[] {
  const runs: Uint8Array[] = [];
  let run: Uint8Array[] = [];
  let bytes = 0;
  const end = (): void => {
    if (run.length > 0)
      runs.push(run.length === 1 && run[0] !== undefined ? run[0] : Buffer.concat(run, bytes));
    run = [];
    bytes = 0;
  };
  for (const part of parts) {
    if (part.length > smallBytes || bytes + part.length > RUN_BYTES) end();
    run.push(part);
    bytes += part.length;
    if (part.length > smallBytes) end();
  }
  end();
  return runs;
}

/** What is left of the parts when so many leading bytes are written. */
function without(parts: readonly Uint8Array[], written: number): Uint8Array[] {
  let skip = written;
  const left: Uint8Array[] = [];
  for (const part of parts) {
    if (skip < part.length) left.push(skip === 0 ? part : part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return left;
}

/**
 * Writes bytes again where they stood in a file, durably: what has rotted there, or was lost. A
 * crash in between leaves what is no less broken than before.
 */
export function rewriteDurably(
  port: FilePort,
  path: RawPath,
  position: number,
  bytes: Uint8Array,
): Promise<void> {
  return withFileErrors('write', path, async () => {
    const file = await port.open(path, 'update');
    try {
      await writeFully(file, bytes, position);
      await file.sync();
    } finally {
      await file.close();
    }
  });
}

/** Reads exactly `length` bytes at `position`, or fewer when the file ends before. */
export function readFully(file: OpenFile, position: number, length: number): Promise<Buffer> {
  return readInto(file, position, Buffer.allocUnsafe(length));
}

/** `readFully` into memory that is there; gives the part of it that was filled. */
export async function readInto(file: OpenFile, position: number, memory: Buffer): Promise<Buffer> {
  let done = 0;
  while (done < memory.length) {
    const count = await file.read(memory.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done === memory.length ? memory : memory.subarray(0, done);
}

/**
 * A whole file of at most `limit` bytes. Errors: `FILE_MISSING`, `FILE_DENIED`, `FILE_TOO_LARGE`,
 * `FILE_IO`.
 */
export function readWholeFile(port: FilePort, path: RawPath, limit: number): Promise<Buffer> {
  return withFileErrors('read', path, async () => {
    const file = await port.open(path, 'read');
    try {
      const bytes = await readFully(file, 0, Math.min((await file.facts()).size, limit) + 1);
      if (bytes.length > limit)
        throw new FileError(
          'FILE_TOO_LARGE',
          `cannot read ${path}: it is larger than ${limit} bytes`,
        );
      return bytes;
    } finally {
      await file.close();
    }
  });
}

/** As `readWholeFile`, but undefined when there is no such file. */
export async function readFileIfThere(
  port: FilePort,
  path: RawPath,
  limit: number,
): Promise<Buffer | undefined> {
  try {
    return await readWholeFile(port, path, limit);
  } catch (error) {
    if (error instanceof FileError && error.code === 'FILE_MISSING') return undefined;
    throw error;
  }
}

/** Whether the name exists (a dangling symbolic link does). */
export async function exists(port: NewFiles, path: RawPath): Promise<boolean> {
  return inSteps(looking(port, path));
}

/**
 * A name for a temporary file in the folder of `path`: short and not derived from it, so that a
 * 255-byte name works too.
 */
export function temporaryBeside(path: Buffer, random: Random): Buffer;
export function temporaryBeside(path: RawPath, random: Random): RawPath;
export function temporaryBeside(path: RawPath, random: Random): RawPath {
  return joinRaw(parentOf(path), `.aq-${Buffer.from(random.bytes(8)).toString('hex')}.part`);
}

/** Whether a file has such a name: a crash has left it, unless somebody writes it now. */
export function isTemporary(name: string): boolean {
  return /^\.aq-[0-9a-f]{16}\.part$/.test(name);
}

export interface WriteOptions {
  /** Permission bits of the new file; 0o600 by default. */
  readonly mode?: number;
  /** Fail with `FILE_EXISTS` instead of replacing what is there. */
  readonly createOnly?: boolean;
  readonly random?: Random;
}

/**
 * Puts `bytes` under `path`, all or nothing (D1): temporary file in the same folder, write, fsync,
 * rename, fsync of the folder. Nothing partial is ever visible under the final name, and a failure
 * leaves what was there before.
 */
export function writeFileDurably(
  port: FilePort,
  path: RawPath,
  bytes: Uint8Array,
  options: WriteOptions = {},
): Promise<void> {
  return withFileErrors('write', path, async () => {
    const temporary = temporaryBeside(path, options.random ?? systemRandom);
    const file = await createFile(port, temporary, options.mode ?? 0o600);
    try {
      try {
        await writeFully(file, bytes, 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await place(port, temporary, path, options.createOnly === true);
    } catch (error) {
      // best effort: the first error is the one to tell
      await port.unlink(temporary).catch(() => undefined);
      throw error;
    }
    await port.syncDirectory(parentOf(path));
  });
}

/**
 * Gives a finished, synced temporary file its final name; the caller then makes the folder durable.
 * With `createOnly` an existing name stays and EEXIST is thrown: by link where the file system has
 * it, else by a look before the rename.
 */
export async function place(
  port: NewFiles,
  temporary: RawPath,
  path: RawPath,
  createOnly: boolean,
): Promise<void> {
  return inSteps(placing(port, temporary, path, createOnly));
}

/** The same of a file that is durable under another name in the same folder; durable itself. */
export function placeDurably(port: FilePort, from: RawPath, path: RawPath): Promise<void> {
  return withFileErrors('rename', path, async () => {
    await place(port, from, path, false);
    await port.syncDirectory(parentOf(path));
  });
}

/** Removes a file for good (D2). A name that is not there is fine. */
export function removeDurably(port: FilePort, path: RawPath): Promise<void> {
  return withFileErrors('remove', path, async () => {
    try {
      await port.unlink(path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    await port.syncDirectory(parentOf(path));
  });
}

/**
 * Gives a folder, whose files are durable, its final name, where none is. Nothing partial is ever
 * visible under that name.
 */
export function placeFolderDurably(
  port: FilePort,
  temporary: RawPath,
  path: RawPath,
): Promise<void> {
  return withFileErrors('rename', temporary, async () => {
    await port.syncDirectory(temporary);
    await port.rename(temporary, path);
    await port.syncDirectory(parentOf(path));
  });
}

/** Removes a folder with all that is in it, durably. It follows no link. */
export async function removeTree(port: FilePort, path: RawPath): Promise<void> {
  for await (const entry of port.list(path)) {
    const name = joinRaw(path, entry.name);
    if (entry.kind === 'directory') await removeTree(port, name);
    else await port.unlink(name);
  }
  // What came back after a power failure would be taken for part of what is made next in its place.
  await port.syncDirectory(path);
  await port.rmdir(path);
  await port.syncDirectory(parentOf(path));
}

/**
 * Removes a file that held a key: overwritten with zeros, flushed, then unlinked (D2). A help, not
 * a promise: flash translation layers and copy-on-write file systems may keep the old blocks.
 */
export async function eraseDurably(port: FilePort, path: RawPath): Promise<void> {
  await withFileErrors('erase', path, async () => {
    let file: OpenFile;
    try {
      file = await port.open(path, 'update');
    } catch (error) {
      // The name may be gone and not durably so: the process that unlinked it may have died before
      // it flushed the folder.
      if (errnoOf(error) === 'ENOENT') return;
      throw error;
    }
    try {
      const { size } = await file.facts();
      const zeros = Buffer.alloc(Math.min(size, 1 << 16));
      for (let at = 0; at < size; at += zeros.length)
        await writeFully(file, zeros.subarray(0, Math.min(zeros.length, size - at)), at);
      await file.sync();
    } finally {
      await file.close();
    }
  });
  await removeDurably(port, path);
}

/**
 * Makes a folder and those above it, each durable in its parent. That holds for folders that were
 * there before, too: the process that made them may have died before they were durable. An existing
 * folder keeps its mode.
 */
export function ensureDirectory(port: FilePort, path: RawPath, mode = 0o700): Promise<void> {
  return withFileErrors('make folder', path, async () => {
    await makeFolder(port, path, mode);
    await syncAncestors(port, path);
  });
}

async function makeFolder(port: FilePort, path: RawPath, mode: number): Promise<void> {
  try {
    await makeOneFolder(port, path, mode);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST') {
      if ((await port.stat(path)).kind === 'directory') return;
      throw Object.assign(new Error('ENOTDIR: not a directory'), {
        code: 'ENOTDIR',
        syscall: 'mkdir',
      });
    }
    if (errno !== 'ENOENT') throw error;
    await makeFolder(port, parentOf(path), mode);
    await makeOneFolder(port, path, mode);
  }
}

/**
 * Makes the name of a folder durable, and the names of all folders that it is in: cheap where
 * nothing is to be flushed. This user cannot have made anything in a folder that he may not even
 * open.
 */
export async function syncAncestors(port: FilePort, path: RawPath): Promise<void> {
  for (
    let folder = parentOf(path), below = path;
    !Buffer.from(folder).equals(Buffer.from(below));
  ) {
    try {
      await port.syncDirectory(folder);
    } catch (error) {
      if (!['EACCES', 'EPERM', 'EROFS', 'EINVAL', 'ENOTSUP'].includes(errnoOf(error) ?? ''))
        throw error;
    }
    below = folder;
    folder = parentOf(folder);
  }
}
