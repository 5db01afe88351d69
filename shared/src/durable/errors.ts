import { AliquotError } from '@aliquot/proto';
import type { RawPath } from './file-port.ts';
import { wasWaitedFor } from './patience.ts';
import { errnoOf, systemSays } from './system-errors.ts';

export type FileErrorCode =
  /** The disk, or this user's share of it, is full. */
  | 'FILE_NO_SPACE'
  /** The operating system does not let this user do that. */
  | 'FILE_DENIED'
  /** The file or folder is not there. */
  | 'FILE_MISSING'
  /** Something of that name is there already. */
  | 'FILE_EXISTS'
  /** The file is larger than this program is willing to read at once. */
  | 'FILE_TOO_LARGE'
  /**
   * A flush to the disk failed earlier, so nothing written to this file since can be trusted to be
   * there.
   */
  | 'FILE_POISONED'
  /** The disk or file system failed in another way. */
  | 'FILE_IO';

/** A file operation that failed. */
export class FileError extends AliquotError<FileErrorCode> {}

export type FolderErrorCode =
  /** The data folder does not exist, or holds nothing of ours. */
  | 'FOLDER_MISSING'
  /** The folder for a new store holds something already. */
  | 'FOLDER_NOT_EMPTY'
  /** The data folder belongs to the other program. */
  | 'FOLDER_KIND'
  /** The data folder was written by a release with another format. */
  | 'FOLDER_VERSION'
  /** A living process is using the data folder. */
  | 'FOLDER_IN_USE'
  /** Others than the system, administrators and this account may open the data folder (Windows). */
  | 'FOLDER_OPEN_TO_OTHERS';

/** A data folder that cannot be used. */
export class FolderError extends AliquotError<FolderErrorCode> {}

interface Meaning {
  readonly code: FileErrorCode;
  readonly says: string;
  readonly retryable?: true;
}

const rights =
  process.platform === 'win32' ? 'look at who may use it (icacls)' : 'check the owner and mode';

/**
 * What stood for two seconds on Windows (`patience.ts`): it gives the same error for a file that is
 * held and for one that is not ours.
 */
const heldOrForeign: Meaning = {
  code: 'FILE_DENIED',
  says:
    'another program holds it, or this account may not have it; it is tried again. If that stays so, end the other program, or have the virus ' +
    `scanner leave this folder out, or ${rights}`,
  retryable: true,
};

const meanings: Record<string, Meaning> = {
  ENOSPC: {
    code: 'FILE_NO_SPACE',
    says: 'the disk is full; free some space and try again',
    retryable: true,
  },
  EDQUOT: {
    code: 'FILE_NO_SPACE',
    says: "this user's disk quota is used up; free some space and try again",
    retryable: true,
  },
  EFBIG: { code: 'FILE_NO_SPACE', says: 'the file system cannot hold a file of that size' },
  EACCES: { code: 'FILE_DENIED', says: `permission denied; ${rights}, or run as another user` },
  EPERM: { code: 'FILE_DENIED', says: `not permitted; ${rights}, or run as another user` },
  EROFS: { code: 'FILE_DENIED', says: 'the file system is mounted read-only' },
  EBUSY: {
    code: 'FILE_DENIED',
    says: 'another program holds it; close that program and try again',
    retryable: true,
  },
  ENOENT: { code: 'FILE_MISSING', says: 'no such file or folder' },
  ENOTDIR: { code: 'FILE_MISSING', says: 'a part of the path is not a folder' },
  EEXIST: { code: 'FILE_EXISTS', says: 'something of that name exists' },
  ENOTEMPTY: { code: 'FILE_EXISTS', says: 'the folder is not empty' },
  ENAMETOOLONG: { code: 'FILE_IO', says: 'the name is too long for this file system' },
  EMFILE: {
    code: 'FILE_IO',
    says: 'too many open files; raise the limit (ulimit -n)',
    retryable: true,
  },
};

/**
 * Turns a system error into a sentence that names the file and the way out; anything else is
 * returned as it is.
 */
export function fileError(action: string, path: RawPath, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (errno === undefined) return cause;
  const meaning = wasWaitedFor(cause) ? heldOrForeign : meanings[errno];
  const { code, says, retryable } = meaning ?? {
    code: 'FILE_IO',
    says: `${systemSays(errno)} (${errno})`,
  };
  return new FileError(code, `cannot ${action} ${path}: ${says}`, {
    cause,
    retryable: retryable === true,
  });
}

/** Runs a file operation; its system errors come out as `FileError`s. */
export async function withFileErrors<T>(
  action: string,
  path: RawPath,
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw fileError(action, path, error);
  }
}
