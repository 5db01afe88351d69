import { constants } from 'node:os';

/** Numbers of Linux that Node has no name for; they come with network and broken drives. */
const linuxNumbers: Record<number, string> = {
  112: 'EHOSTDOWN',
  116: 'ESTALE',
  117: 'EUCLEAN',
  121: 'EREMOTEIO',
  123: 'ENOMEDIUM',
  124: 'EMEDIUMTYPE',
  126: 'ENOKEY',
  127: 'EKEYEXPIRED',
  128: 'EKEYREVOKED',
  129: 'EKEYREJECTED',
};

const names: ReadonlyMap<number, string> = new Map([
  ...Object.entries(process.platform === 'linux' ? linuxNumbers : {}).map(
    ([number, name]): [number, string] => [Number(number), name],
  ),
  ...Object.entries(constants.errno).map(([name, number]): [number, string] => [number, name]),
]);

/**
 * The errno name of a system error (`ENOENT`), or undefined for what no system call raised. Node
 * names not every number.
 */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  if (typeof error.code !== 'string') return undefined;
  if (error.code.startsWith('E') && !error.code.includes('_')) return error.code;
  const number = 'errno' in error && typeof error.errno === 'number' ? Math.abs(error.errno) : 0;
  return names.get(number) ?? (error.code === 'UNKNOWN' ? 'UNKNOWN' : `E${number}`);
}

const AWAY = 'connect it again; it is tried again by itself';
const DYING = 'check the drive and its cable, and copy what you can still read';

/**
 * Errors of ours that stand among the system's: a folder on the way is a symbolic link; is one that
 * somebody else may have put there; is the program's own.
 */
export type HeldErrno = 'EFOLDERLINK' | 'EFOREIGNLINK' | 'EOWNFOLDER';

/** Such an error, as Node throws the system's. */
export function heldError(code: HeldErrno | 'ENOTDIR' | 'ELOOP', path: Buffer): Error {
  const says = `${code}: ${systemSays(code)}, open`;
  return Object.assign(new Error(says), { code, syscall: 'open', path });
}

/**
 * What a file system's errors mean, and the way out, where both are the same whatever was being
 * done.
 */
const sentences: Record<string, string> = {
  E2BIG: 'the system refuses a request of that size; tell us',
  EAGAIN: 'the system is short of resources just now; it is tried again',
  EBADF: 'the system lost the open file; it is tried again',
  EBADMSG: `the file system is damaged here; check it (fsck, chkdsk)`,
  ECONNABORTED: `the connection to the network drive broke; ${AWAY}`,
  ECONNREFUSED: `the file server refuses connections; start its service, or ${AWAY}`,
  ECONNRESET: `the connection to the network drive broke; ${AWAY}`,
  EDEADLK: 'the system’s file locks block each other; end the program that holds the file',
  EDQUOT: 'the disk quota of this account is used up; free some space, or raise the quota',
  EFOLDERLINK: 'a folder on the way has become a symbolic link; it is looked at again',
  EFOREIGNLINK:
    'a symbolic link leads there that another user may have made; name the folder itself, without the link',
  EHOSTDOWN: `the file server is down; ${AWAY}`,
  EHOSTUNREACH: `the file server cannot be reached; check the network, and ${AWAY}`,
  EILSEQ:
    'its name is not valid in the file system’s encoding; rename it, or mount the drive with another one',
  EINTR: 'it was interrupted; it is tried again',
  EINVAL: 'the file system does not take such a name or request; rename it, or use another drive',
  EISDIR: 'it is a folder by now; it is looked at again',
  EKEYEXPIRED: 'the key that opens this drive has expired; sign in to the file server again',
  EKEYREJECTED: 'the key that opens this drive is refused; sign in to the file server again',
  EKEYREVOKED: 'the key that opens this drive was withdrawn; sign in to the file server again',
  ELOOP: 'symbolic links lead around in a circle; mend them',
  EMEDIUMTYPE: 'the wrong medium is in the drive; insert the right one',
  EMULTIHOP: `the file server hands on to another one that cannot be reached; ${AWAY}`,
  ENETDOWN: `the network is down; ${AWAY}`,
  ENETRESET: `the network was interrupted; ${AWAY}`,
  ENETUNREACH: `the network of the file server cannot be reached; check the network, and ${AWAY}`,
  ENFILE: 'too many open files on this machine; it is tried again, or raise fs.file-max',
  ENOBUFS: 'the system has no memory for the network just now; it is tried again',
  ENODATA: `the drive did not give what was asked of it; ${DYING}`,
  ENODEV: `the drive is gone; ${AWAY}`,
  ENOKEY: 'the key that opens this folder or drive is not loaded; unlock it, or sign in again',
  ENOLCK: 'the file server gives no locks; check its lock service',
  ENOLINK: `the connection to the network drive is cut; ${AWAY}`,
  ENOMEDIUM: 'there is no medium in the drive; insert it',
  ENOMEM: 'this machine is out of memory; end other programs; it is tried again',
  ENOSPC: 'the disk is full; free some space',
  ENOSYS: 'this file system cannot do that; use another drive, or tell us',
  ENOTCONN: `the network drive is not connected; ${AWAY}`,
  ENOTDIR: 'a folder above it is none any more; it is looked at again',
  ENOTSUP: 'this file system cannot do that; use another drive, or tell us',
  ENXIO: `the drive is gone, or the file is a device without one; ${AWAY}`,
  EOPNOTSUPP: 'this file system cannot do that; use another drive, or tell us',
  EOWNFOLDER: 'is the agent’s own data folder, which is never backed up',
  EOVERFLOW: 'its size or time is beyond what this system can say; copy it to another drive',
  EREMOTEIO: `the file server reports a read error of its own; ${DYING}`,
  EROFS: 'the drive is mounted read-only; mount it for writing',
  ESTALE: `the network drive was disconnected or its folder replaced on the server; ${AWAY}`,
  ETIME: `the drive did not answer in time; ${AWAY}`,
  ETIMEDOUT: `the file server did not answer in time; check the network, and ${AWAY}`,
  ETXTBSY: 'a program runs from it; end that program',
  EUCLEAN: 'the file system is damaged here; check it (fsck)',
  EIO: `the disk reports a read error; ${DYING}`,
  EMFILE: 'too many open files; it is tried again, or raise the limit (ulimit -n)',
  ENAMETOOLONG:
    'its path is longer than this system takes at once; shorten a folder’s name, or name a folder further down',
  UNKNOWN:
    'Windows gave no reason; often it is a virus scanner, a cloud drive that is offline, or a failing disk; look there',
};

/**
 * One sentence about a system error: what it means and what to do. For a code that says nothing to
 * people, one that fits any.
 */
export function systemSays(errno: string): string {
  return (
    sentences[errno] ??
    'the system refuses it; look into the system’s log, and tell us if that says nothing'
  );
}
