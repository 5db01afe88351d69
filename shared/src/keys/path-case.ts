import type { Platform } from '@aliquot/proto';

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them
const ASCII_ONLY = /^[\x00-\x7f]*$/;

/**
 * What makes two paths one file: on Windows, names that differ in case alone are one, so there each
 * letter is taken as its capital. Elsewhere a path is its exact bytes. Only letters that are each
 * other's single counterpart are folded, as NTFS folds them; of a letter where case is doubtful two
 * spellings stay two files, so that two files never become one.
 *
 * Paths are binary strings: one character for each byte of UTF-8.
 */
export function oneCase(path: string, platform: Platform): string {
  if (platform !== 'windows') return path;
  if (ASCII_ONLY.test(path)) return path.toUpperCase();
  return Buffer.from(
    Buffer.from(path, 'latin1').toString('utf8').replace(/./gsu, capital),
    'utf8',
  ).toString('latin1');
}

/** The same of bytes. */
export function oneCaseBytes(path: Uint8Array, platform: Platform): Uint8Array {
  return platform === 'windows'
    ? Buffer.from(oneCase(Buffer.from(path).toString('latin1'), platform), 'latin1')
    : path;
}

/**
 * A whole path as ids are made of it, of whichever system it is: a path of Windows, which begins
 * with a drive or a server, in one case; any other as it is. Two paths with the same are one file.
 */
export function pathIdentity(path: Uint8Array): Uint8Array {
  return oneCaseBytes(path, systemBy(path[0], path[1], path[2]));
}

/** Which system a whole path is of, given as a binary string. */
export function systemOf(path: string): Platform {
  return systemBy(path.charCodeAt(0), path.charCodeAt(1), path.charCodeAt(2));
}

/** By the first bytes: a drive or a server is Windows's. */
function systemBy(first?: number, second?: number, third?: number): Platform {
  const isWindows = second === 0x5c ? first === 0x5c : second === 0x3a && third === 0x5c;
  return isWindows ? 'windows' : 'posix';
}

function capital(letter: string): string {
  const upper = letter.toUpperCase();
  return letter.length === 1 && upper.length === 1 && upper.toLowerCase() === letter
    ? upper
    : letter;
}
