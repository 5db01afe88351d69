import { FileError } from './errors.ts';
import type { NewFile, NewFiles, RawPath } from './file-port.ts';
import { type Soon, type Steps, soon } from './soon.ts';
import { errnoOf } from './system-errors.ts';

/** A file that is there as a whole before anything of it is written. */
export interface WholeFile {
  readonly temporary: Buffer;
  readonly final: Buffer;
  readonly bytes: Uint8Array;
  /** Undefined: as the system makes new files, closed to others. */
  readonly mode: number | undefined;
  readonly mtimeNs: bigint;
  /** The folder of both names: see `HeldFolder.prove`. */
  readonly folder?: { prove(): Soon<void> };
}

const CLOSED = 0o600;

/**
 * Gives a whole file its name, all or nothing: temporary name, write, times and mode, fsync, and
 * only then the name; whoever calls makes the folder durable. On any error nothing stays behind.
 *
 * @returns The time that the file shows. Undefined where one of the two names is taken, so that
 * nothing was written.
 */
export function* writeWhole(files: NewFiles, whole: WholeFile): Steps<bigint | undefined> {
  const { temporary, final, bytes, mode, mtimeNs, folder } = whole;
  let file: NewFile | undefined;
  try {
    file = yield* soon(files.open(temporary, 'createNew', mode ?? CLOSED));
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return undefined;
    throw error;
  }
  try {
    yield* soon(folder?.prove());
    yield* writing(file, bytes, 0);
    yield* soon(file.setTimes(mtimeNs, mtimeNs));
    const shows = yield* soon(file.facts());
    // What this process masks, and what the folder hands down.
    if (mode !== undefined && shows.mode !== mode) yield* soon(file.chmod(mode));
    yield* soon(file.sync());
    const closing = file.close();
    file = undefined;
    yield* soon(closing);
    yield* placing(files, temporary, final, true);
    return shows.mtimeNs;
  } catch (error) {
    // The error that led here is the one to tell.
    if (file !== undefined) yield* despite(() => file?.close());
    yield* despite(() => files.unlink(temporary));
    if (errnoOf(error) === 'EEXIST') return undefined;
    throw error;
  }
}

/** Does what may fail: what any other error is, its first caller hears. */
function* despite(call: () => Soon<void> | undefined): Steps<void> {
  try {
    yield* soon(call());
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}

/** `writeFully`, in steps. */
export function* writing(
  file: Pick<NewFile, 'write'>,
  bytes: Uint8Array,
  position: number,
): Steps<void> {
  let done = 0;
  while (done < bytes.length) {
    const count = yield* soon(
      file.write(done === 0 ? bytes : bytes.subarray(done), position + done),
    );
    if (count <= 0) throw new FileError('FILE_IO', 'the file system accepted no bytes of a write');
    done += count;
  }
}

/** `exists`, in steps. */
export function* looking(port: NewFiles, path: RawPath): Steps<boolean> {
  try {
    return (yield* soon(port.lstat(path))) !== undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}

/** `place`, in steps. */
export function* placing(
  port: NewFiles,
  temporary: RawPath,
  path: RawPath,
  createOnly: boolean,
): Steps<void> {
  if (!createOnly) return yield* soon(port.rename(temporary, path));
  try {
    yield* soon(port.link(temporary, path));
  } catch (error) {
    // FAT, exFAT and some network shares have no hard links.
    if (
      !['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EINVAL'].includes(
        errnoOf(error) ?? '',
      )
    )
      throw error;
    if (yield* looking(port, path)) {
      throw Object.assign(new Error('EEXIST: file already exists'), {
        code: 'EEXIST',
        syscall: 'link',
      });
    }
    return yield* soon(port.rename(temporary, path));
  }
  yield* soon(port.unlink(temporary));
}
