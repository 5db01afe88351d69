import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { errnoOf } from '@aliquot/shared/durable/system-errors';

/** What the file system says about one path; times are nanoseconds since 1970. */
export interface SourceStat {
  readonly kind: 'file' | 'directory' | 'symlink' | 'special';
  readonly size: number;
  readonly mtimeNs: bigint;
  /**
   * The modification time is beyond what the formats keep; `mtimeNs` is the nearest that they do.
   */
  readonly beyondTime?: true;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  readonly dev: bigint;
  /** Permission bits 0 to 0o7777; on Windows those attributes that are recorded. */
  readonly mode: number;
  /** Windows: the content is not here (a cloud's placeholder), and reading would fetch it. */
  readonly away?: true;
  /** Windows: a junction, which `kind` calls a symbolic link. */
  readonly junction?: true;
  /** It is a data folder of the agent. */
  readonly own?: true;
  /** Windows, of an open file: names of streams beside its content that somebody may miss. */
  readonly streams?: readonly string[];
}

/**
 * Everything that capture may do to a watched folder. There is no operation here that writes, so
 * that a fault in capture cannot harm an instrument's data. Calls are synchronous: they run in the
 * capture worker, where they are many times faster than promises, and where a hanging network drive
 * stops nothing else.
 *
 * Paths are raw bytes on POSIX and UTF-8 on Windows. Every method throws Node's system errors
 * (`ENOENT`, `EACCES`, …).
 */
export interface SourcePort {
  lstat(path: Buffer): SourceStat;
  /**
   * When what is there was made, in ns since 1970; 0 where the file system does not keep that. Not
   * part of every look: it costs a large integer.
   */
  bornNs(path: Buffer): bigint;
  /**
   * Names in one folder, in no order, each as a binary string (see `paths.ts`); a few at a time are
   * in memory. A name that stays in the folder meanwhile comes at least once. Errors come with the
   * first name, or at any later one.
   */
  readdir(path: Buffer): Iterable<string>;
  readlink(path: Buffer): Buffer;
  /**
   * Opens for reading only, never follows a symbolic link that took the file's place where the
   * system can refuse it.
   */
  open(path: Buffer): number;
  fstat(descriptor: number): SourceStat;
  /**
   * Fills `into[offset…]` from the current position, or from `position` if given, and then the
   * current position does not move; 0 at the end of the file.
   */
  read(
    descriptor: number,
    into: Uint8Array,
    offset: number,
    length: number,
    position?: number,
  ): number;
  close(descriptor: number): void;
  /** Nothing is asked for now: lets go of folders, so that their drive can be taken away. */
  rest?(): void;
}

const windows = process.platform === 'win32';

type BigStat = ReturnType<typeof statWithBigint>;

function statWithBigint(path: Buffer | string) {
  return lstatSync(path, { bigint: true });
}

/**
 * The formats keep times as signed 64-bit nanoseconds: from 1677 to 2262. File systems can hold
 * stranger ones.
 */
const earliestNs = -(2n ** 63n);
const LATEST_NS = 2n ** 63n - 1n;

function withinFormat(timeNs: bigint): bigint {
  return timeNs < earliestNs ? earliestNs : timeNs > LATEST_NS ? LATEST_NS : timeNs;
}

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK } = constants;

function kindOf(type: number): SourceStat['kind'] {
  if (type === S_IFREG) return 'file';
  if (type === S_IFDIR) return 'directory';
  return type === S_IFLNK ? 'symlink' : 'special';
}

/** Three times for each file that is captured: plain numbers as soon as they are exact. */
function toStat(stat: BigStat): SourceStat {
  const mode = Number(stat.mode);
  const mtimeNs = withinFormat(stat.mtimeNs);
  const plain: SourceStat = {
    kind: kindOf(mode & S_IFMT),
    size: Number(stat.size),
    mtimeNs,
    ctimeNs: withinFormat(stat.ctimeNs),
    ino: stat.ino,
    dev: stat.dev,
    mode: windows ? 0 : mode & 0o7777,
  };
  return mtimeNs === stat.mtimeNs ? plain : { ...plain, beyondTime: true };
}

/** Windows takes no byte paths: there the bytes are UTF-8 of the name that the system gave. */
function native(path: Buffer): Buffer | string {
  return windows ? path.toString('utf8') : path;
}

const NAMES_AT_ONCE = 1024;

function* namesIn(path: Buffer): Generator<string, void, void> {
  const folder = native(path);
  const listing = opendirSync(folder, {
    encoding: windows ? 'utf8' : 'latin1',
    bufferSize: NAMES_AT_ONCE,
  });
  try {
    for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
      yield windows ? Buffer.from(entry.name, 'utf8').toString('latin1') : entry.name;
    }
  } catch (error) {
    // Where a file system tells no kinds, Node looks at every name, by wrong bytes too, and fails:
    // names alone are enough.
    if (!(error instanceof Error && 'syscall' in error && error.syscall === 'lstat')) throw error;
    for (const name of readdirSync(folder, { encoding: 'buffer' })) yield name.toString('latin1');
  } finally {
    listing.closeSync();
  }
}

/** The real file system, as Node sees it: `systemSource` adds what it does not see on Windows. */
export const nodeSource: SourcePort = {
  lstat: (path) => toStat(statWithBigint(native(path))),
  bornNs: (path) => statWithBigint(native(path)).birthtimeNs,
  readdir: namesIn,
  readlink: (path) =>
    windows
      ? Buffer.from(readlinkSync(path.toString('utf8')), 'utf8')
      : readlinkSync(path, { encoding: 'buffer' }),
  // O_NONBLOCK: a fifo that took the file's place must not hang the worker; it has no effect on
  // regular files.
  open: (path) =>
    openSync(
      native(path),
      windows ? 'r' : constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    ),
  fstat: (descriptor) => toStat(fstatSync(descriptor, { bigint: true })),
  read: (descriptor, into, offset, length, position) =>
    readSync(descriptor, into, offset, length, position ?? null),
  close: (descriptor) => closeSync(descriptor),
};

/**
 * The system's error name (`EACCES`). An error that no system call raised is a fault of ours, and
 * thrown on.
 */
export function systemCode(error: unknown): string {
  const code = errnoOf(error);
  if (code === undefined) throw error;
  return code;
}
