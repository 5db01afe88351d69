import type { Platform } from '@aliquot/proto';
import { UsageError } from './errors.ts';
import { pathText } from './format.ts';

/**
 * The byte strings that a path on the command line can mean: its UTF-8, and, when it holds `\xNN`
 * or `\u{…}` as listings print what is no UTF-8 or would steer a terminal, those bytes.
 */
export function pathCandidates(text: string): Uint8Array[] {
  const plain = new Uint8Array(Buffer.from(text, 'utf8'));
  const pieces = text.split(/(\\x[0-9a-f]{2}|\\u\{[0-9a-f]{1,6}\})/);
  if (pieces.length === 1) return [plain];
  return [plain, new Uint8Array(Buffer.concat(pieces.map(meant)))];
}

/** The bytes of a piece: `\xNN` is one, `\u{…}` a sign, anything else itself. */
function meant(piece: string): Buffer {
  const [, byte, sign] = /^\\(?:x([0-9a-f]{2})|u\{([0-9a-f]{1,6})\})$/.exec(piece) ?? [];
  if (byte !== undefined) return Buffer.from(byte, 'hex');
  const code = Number.parseInt(sign ?? 'ffffff', 16);
  return Buffer.from(code <= 0x10ffff ? String.fromCodePoint(code) : piece);
}

/**
 * Whether a pattern is a whole path, by its spelling: what else it may mean is what lies below it,
 * should it be a folder.
 */
export function isOnePath(pattern: string): boolean {
  return pattern.includes('/') && !/[*?[\]{}()!+@\\]/.test(pattern);
}

/**
 * Whole paths, taken literally whatever signs they hold: each means that file, or that folder and
 * all below it.
 */
export class PathSet {
  readonly #given = new Map<string, string>();
  readonly #found = new Set<string>();

  constructor(paths: Iterable<string>) {
    for (const path of paths) {
      for (const bytes of pathCandidates(path)) {
        this.#given.set(trimmed(pathText(bytes)), path);
        // On Windows `\` and `/` are the same and case does not matter; such a key can be no POSIX
        // path, so both stand in one map.
        this.#given.set(windowsKey(pathText(bytes)), path);
      }
    }
  }

  /** Whether a path (as `pathText` gives it) is meant; remembers which of the given ones it was. */
  has(path: string, platform: Platform = 'posix'): boolean {
    let key = platform === 'windows' ? windowsKey(path) : path;
    for (;;) {
      const given = this.#given.get(key);
      if (given !== undefined) {
        this.#found.add(given);
        return true;
      }
      const slash = key.lastIndexOf('/');
      if (slash === -1 || key === '/') return false;
      key = slash === 0 ? '/' : key.slice(0, slash);
    }
  }

  /** The given paths that nothing was found for, once each. */
  get missing(): string[] {
    return [...new Set(this.#given.values())].filter((path) => !this.#found.has(path));
  }
}

function trimmed(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}

/** A NUL stands before it: no path holds one. */
function windowsKey(path: string): string {
  return `\0${trimmed(path.replaceAll('\\', '/')).toLowerCase()}`;
}

/**
 * The paths of a `--path-file`: one a line, or, with `-0`, each ended by a NUL, as `find -print0`
 * writes them. Bytes are taken as they are; those that are no UTF-8 may also be written `\xNN`, as
 * listings print them. Errors: `USAGE_INVALID`.
 */
export function parsePathFile(bytes: Buffer, file: string, byNul: boolean): string[] {
  const paths: string[] = [];
  const ending = byNul ? 0 : 0x0a;
  for (let from = 0, number = 1; from < bytes.length; number += 1) {
    const found = bytes.indexOf(ending, from);
    const end = found === -1 ? bytes.length : found;
    const name = pathText(bytes.subarray(from, end));
    from = end + 1;
    // What Windows' editors leave: a mark at the beginning, a carriage return at the end.
    const path = byNul ? name : name.replace(number === 1 ? /^\ufeff|\r$/g : /\r$/, '');
    if (path === '') continue;
    if (!/^(\/|[A-Za-z]:[\\/]|\\\\)/.test(path)) {
      throw new UsageError(
        'USAGE_INVALID',
        `${file}, ${byNul ? 'name' : 'line'} ${number}: "${path}" is no whole path; write it from the root on`,
      );
    }
    paths.push(path);
  }
  if (paths.length > 0) return paths;
  throw new UsageError(
    'USAGE_INVALID',
    `${file} names no path; write one a line, or each ended by a NUL with -0`,
  );
}
