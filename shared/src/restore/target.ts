import { isUtf8 } from 'node:buffer';
import { MAX_PATH_BYTES, type Platform } from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { joinRaw } from '../durable/durable.ts';
import { RestoreError } from './errors.ts';

const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const DOT = 0x2e;

/** The platform that this process runs on. */
export const hostPlatform: Platform = process.platform === 'win32' ? 'windows' : 'posix';

/**
 * The names below the target folder that a recorded absolute path becomes: `/data/run1/x` gives
 * data, run1, x; `C:\Data\x` gives C, Data, x; `\\srv\share\x` gives srv, share, x; the root itself
 * gives none.
 *
 * The path comes from an agent that may be hostile, so everything that is not plainly a name is
 * refused: `..`, `.`, empty names, NUL, a drive-relative `C:x`, a device path, an alternate stream
 * `x:y`. Error: `RESTORE_BAD_PATH`.
 */
function targetNames(platform: Platform, path: Uint8Array): Buffer[] {
  const bytes = Buffer.from(path.buffer, path.byteOffset, path.byteLength);
  if (bytes.includes(0)) throw badPath(path, 'it holds a NUL');
  const names = platform === 'windows' ? windowsNames(bytes) : posixNames(bytes);
  for (const name of names) {
    if (name.length === 0) throw badPath(path, 'it holds an empty name');
    if (name.equals(Buffer.from('.')) || name.equals(Buffer.from('..')))
      throw badPath(path, `it holds "${name}"`);
  }
  return names;
}

function posixNames(bytes: Buffer): Buffer[] {
  if (bytes[0] !== SLASH) throw badPath(bytes, 'it is not absolute');
  return bytes.length === 1 ? [] : split(bytes.subarray(1), (byte) => byte === SLASH);
}

/**
 * A recorded path below `root`, both of POSIX: the names of `targetNames`, without taking it apart.
 */
function posixPath(root: Buffer, path: Uint8Array): Buffer {
  if (!isPlainPath(path)) targetNames('posix', path);
  if (path.length === 1) return root;
  const at = root.at(-1) === SLASH ? root.length - 1 : root.length;
  const target = Buffer.allocUnsafe(at + path.length);
  target.set(root, 0);
  target.set(path, at);
  return target;
}

/**
 * Whether no name is empty, and none begins with a dot: what else there is, is looked at by name.
 */
function isPlainPath(path: Uint8Array): boolean {
  if (path[0] !== SLASH) return false;
  let before = 0;
  for (const byte of path) {
    if (byte === 0 || (before === SLASH && (byte === SLASH || byte === DOT))) return false;
    before = byte;
  }
  return before !== SLASH || path.length === 1;
}

function windowsNames(bytes: Buffer): Buffer[] {
  if (!isUtf8(bytes)) throw badPath(bytes, 'it is not UTF-8');
  const isSeparator = (byte: number) => byte === BACKSLASH || byte === SLASH;
  let rest = bytes;
  // The long-path form \\?\C:\x and \\?\UNC\srv\share\x means the same as without the prefix.
  const text = bytes.toString('latin1').replaceAll('/', '\\');
  const unc = text.toUpperCase().startsWith('\\\\?\\UNC\\');
  if (unc) rest = bytes.subarray(8);
  else if (text.startsWith('\\\\?\\')) rest = bytes.subarray(4);
  const drive = /^[A-Za-z]:\\/.test(rest.toString('latin1', 0, 3).replaceAll('/', '\\'));
  if (drive) {
    const below = rest.subarray(3);
    const names = below.length === 0 ? [] : split(below, isSeparator);
    if (names.some((name) => name.includes(COLON)))
      throw badPath(bytes, 'it names an alternate stream');
    return [rest.subarray(0, 1), ...names];
  }
  if (!unc && !text.startsWith('\\\\')) throw badPath(bytes, 'it is not absolute');
  const names = split(unc ? rest : bytes.subarray(2), isSeparator);
  if (
    names.length < 2 ||
    names[0]?.equals(Buffer.from('.')) ||
    names[0]?.equals(Buffer.from('?'))
  ) {
    throw badPath(bytes, 'it is no network share');
  }
  if (names.some((name) => name.includes(COLON)))
    throw badPath(bytes, 'it names an alternate stream');
  return names;
}

function split(bytes: Buffer, isSeparator: (byte: number) => boolean): Buffer[] {
  const names: Buffer[] = [];
  let from = 0;
  for (let at = 0; at <= bytes.length; at += 1) {
    if (at < bytes.length && !isSeparator(bytes[at] ?? 0)) continue;
    names.push(bytes.subarray(from, at));
    from = at + 1;
  }
  return names;
}

/** Devices, whatever follows a dot, and whatever spaces stand before it. */
const RESERVED =
  /^(con|prn|aux|nul|clock\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$) *(\..*)?$/i;

/**
 * A name as the host can hold it. POSIX hosts take every name. Windows has names and signs that
 * mean something else (`NUL`, `a:b`, a dot at the end) and no raw bytes: what it cannot hold
 * becomes `%XX`.
 */
function hostName(name: Buffer, host: Platform): Buffer {
  if (host === 'posix') return name;
  const text = isUtf8(name)
    ? name.toString('utf8')
    : [...name].map((byte) => (byte < 0x80 ? String.fromCharCode(byte) : percent(byte))).join('');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are among what Windows refuses
  let safe = text.replace(/[<>:"/\\|?*\u0000-\u001f]/g, (sign) => percent(sign.charCodeAt(0)));
  safe = safe.replace(/[. ]$/, (sign) => percent(sign.charCodeAt(0)));
  if (RESERVED.test(safe)) safe = percent(safe.charCodeAt(0)) + safe.slice(1);
  return Buffer.from(safe);
}

function percent(code: number): string {
  return `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** How a recorded path turns into names below a root. */
export type Placement = (platform: Platform, path: Uint8Array) => Buffer[];

/** Whole paths below the root: the rule of `restore --to DIR`. */
export const wholePaths: Placement = targetNames;

/**
 * Where a recorded path goes below `root`, in names that the host can hold. Error:
 * `RESTORE_BAD_PATH`.
 */
export function targetPath(
  root: Buffer,
  platform: Platform,
  path: Uint8Array,
  host: Platform,
  placement: Placement = wholePaths,
): Buffer {
  if (path.length > MAX_PATH_BYTES)
    throw badPath(path.subarray(0, 256), `it is ${path.length} bytes long`);
  // Nothing is put together by names where they stay as they are.
  if (placement === wholePaths && platform === 'posix' && host === 'posix')
    return posixPath(root, path);
  let target = root;
  for (const name of placement(platform, path)) target = joinRaw(target, hostName(name, host));
  return target;
}

/**
 * A name that says when something was restored: `2026-11-21 20.15.03`, in local time, with a number
 * from the second attempt on.
 */
export function restoredStamp(nowMs: number, attempt = 1): string {
  const local = new Date(nowMs - new Date(nowMs).getTimezoneOffset() * 60_000).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19).replaceAll(':', '.')}${attempt > 1 ? `, ${attempt}` : ''}`;
}

/**
 * For a restore beside the originals: what lay below `base`, the writer's root, goes below the
 * folders `names` in it. Error: `RESTORE_BAD_PATH` for a path that did not lie below `base`.
 */
export function belowPlacement(
  basePlatform: Platform,
  base: Uint8Array,
  names: readonly Buffer[],
): Placement {
  const baseNames = targetNames(basePlatform, base);
  return (platform, path) => {
    const all = targetNames(platform, path);
    if (
      platform !== basePlatform ||
      !baseNames.every((name, at) => all[at]?.equals(name) === true)
    ) {
      throw badPath(path, `it is not below ${printable(pathText(base))}`);
    }
    return [...names, ...all.slice(baseNames.length)];
  };
}

function badPath(path: Uint8Array, why: string): RestoreError {
  return new RestoreError(
    'RESTORE_BAD_PATH',
    `will not restore ${printable(pathText(path))}: ${why}`,
  );
}

/** What to say of a file or folder that shows another time than the recorded one. */
export function timeFailure(
  path: Buffer,
  mtimeNs: bigint,
  shownNs: bigint,
): RestoreError | undefined {
  const away = shownNs - mtimeNs;
  if (away > -1000n && away < 1000n) return undefined;
  const says = `${printable(pathText(path))} is restored, but not its time: this file system cannot keep it exactly`;
  return new RestoreError('RESTORE_TIME', says);
}
