import { AliquotError, type ErrorCodes } from '@aliquot/proto';
import type { RawPath } from './file-port.ts';
import { wasWaitedFor } from './patience.ts';
import { errnoOf, systemSays } from './system-errors.ts';

const fileCodes = {
  /** The disk, or this user's share of it, is full. */
  FILE_NO_SPACE: 'retryable',
  /** The operating system does not let this user do that. */
  FILE_DENIED: 'final',
  /** Another program holds it; on Windows also what this account may not have looks like that. */
  FILE_HELD: 'retryable',
  /** The file or folder is not there. */
  FILE_MISSING: 'final',
  /** Something of that name is there already. */
  FILE_EXISTS: 'final',
  /** The file is larger than this program is willing to read at once. */
  FILE_TOO_LARGE: 'final',
  /**
   * A flush to the disk failed earlier, so nothing written to this file since can be trusted to be
   * there.
   */
  FILE_POISONED: 'final',
  /** The file system cannot hold a file of that size, or of that name. */
  FILE_SYSTEM_LIMIT: 'final',
  /** This program has as many files open as it may. */
  FILE_TOO_MANY_OPEN: 'retryable',
  /** The disk or file system failed in another way. */
  FILE_IO: 'final',
} satisfies ErrorCodes;

export type FileErrorCode = keyof typeof fileCodes;

/** A file operation that failed. */
export class FileError extends AliquotError<FileErrorCode> {
  static override readonly codes = fileCodes;
}

const folderCodes = {
  /** The data folder does not exist, or holds nothing of ours. */
  FOLDER_MISSING: 'final',
  /** The folder for a new store holds something already. */
  FOLDER_NOT_EMPTY: 'final',
  /** The data folder belongs to the other program. */
  FOLDER_KIND: 'final',
  /** The data folder was written by a release with another format. */
  FOLDER_VERSION: 'final',
  /** A living process is using the data folder. */
  FOLDER_IN_USE: 'retryable',
  /** Others than the system, administrators and this account may open the data folder (Windows). */
  FOLDER_OPEN_TO_OTHERS: 'final',
} satisfies ErrorCodes;

export type FolderErrorCode = keyof typeof folderCodes;

/** A data folder that cannot be used. */
export class FolderError extends AliquotError<FolderErrorCode> {
  static override readonly codes = folderCodes;
}

interface Meaning {
  readonly code: FileErrorCode;
  readonly says: string;
}

const rights =
  process.platform === 'win32' ? 'look at who may use it (icacls)' : 'check the owner and mode';

/**
 * What stood for two seconds on Windows (`patience.ts`): it gives the same error for a file that is
 * held and for one that is not ours.
 */
const heldOrForeign: Meaning = {
  code: 'FILE_HELD',
  says:
    'another program holds it, or this account may not have it; it is tried again. If that stays so, end the other program, or have the virus ' +
    `scanner leave this folder out, or ${rights}`,
};

const meanings: Record<string, Meaning> = {
  ENOSPC: {
    code: 'FILE_NO_SPACE',
    says: 'the disk is full; free some space and try again',
  },
  EDQUOT: {
    code: 'FILE_NO_SPACE',
    says: "this user's disk quota is used up; free some space and try again",
  },
  EFBIG: { code: 'FILE_SYSTEM_LIMIT', says: 'the file system cannot hold a file of that size' },
  EACCES: { code: 'FILE_DENIED', says: `permission denied; ${rights}, or run as another user` },
  EPERM: { code: 'FILE_DENIED', says: `not permitted; ${rights}, or run as another user` },
  EROFS: { code: 'FILE_DENIED', says: 'the file system is mounted read-only' },
  EBUSY: {
    code: 'FILE_HELD',
    says: 'another program holds it; close that program and try again',
  },
  ENOENT: { code: 'FILE_MISSING', says: 'no such file or folder' },
  ENOTDIR: { code: 'FILE_MISSING', says: 'a part of the path is not a folder' },
  EEXIST: { code: 'FILE_EXISTS', says: 'something of that name exists' },
  ENOTEMPTY: { code: 'FILE_EXISTS', says: 'the folder is not empty' },
  ENAMETOOLONG: { code: 'FILE_SYSTEM_LIMIT', says: 'the name is too long for this file system' },
  EMFILE: {
    code: 'FILE_TOO_MANY_OPEN',
    says: 'too many open files; raise the limit (ulimit -n)',
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
  const { code, says } = meaning ?? {
    code: 'FILE_IO',
    says: `${systemSays(errno)} (${errno})`,
  };
  return new FileError(code, `cannot ${action} ${path}: ${says}`, { cause });
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
