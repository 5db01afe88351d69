/*
 * What an exclude pattern may be, for a PC of either kind. What it takes is in docs/sources.md.
 */
import { posix, win32 } from 'node:path';

/**
 * Whether a pattern begins at the root of the file system, so that it means whole paths and not
 * what lies below a source.
 */
export function isWholePath(glob: string, windows: boolean): boolean {
  return windows ? /^([A-Za-z]:[\\/]|[\\/]{2})/.test(glob) : glob.startsWith('/');
}

/**
 * Why a pattern can never take what a person means by it, with the way out; undefined when it may.
 * `roots` are the folders (or paths) that it is for. A pattern that silently takes nothing lets in
 * what it should keep out, and one that takes everything keeps out all.
 */
export function excludeMistake(
  glob: string,
  roots: readonly string[],
  windows: boolean,
): string | undefined {
  if (glob !== glob.trim())
    return 'begins or ends with a blank; take that away, or write [ ] for a blank that belongs to the name';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  if (/[\u0000-\u001f\u007f]/.test(glob))
    return 'holds a control character such as a line end; use ? in its place';
  if (glob.startsWith('!') && !glob.startsWith('!('))
    return 'begins with "!", which brings nothing back here; make the other patterns take less instead';
  if (glob.startsWith('~'))
    return 'begins with "~", which is not read as a home folder here; write the whole path';
  if (!windows && glob.includes('\\'))
    return 'holds "\\", which separates nothing on this system; write "/"';
  if (!windows && /^[A-Za-z]:/.test(glob))
    return 'begins with a drive’s letter, which there is only on Windows';
  if (windows && /^[\\/](?![\\/])/.test(glob))
    return 'begins with a separator but names no drive; write it as in D:\\Data\\scratch';
  const names = (windows ? glob.replaceAll('\\', '/') : glob).split('/');
  if (names.some((name) => name === '.' || name === '..'))
    return 'holds "." or ".." as a name, which no path here has; leave it out';
  if (names.slice(windows ? 2 : 1, -1).includes(''))
    return 'holds "//", which no path here has; write one "/"';
  if (!isWholePath(glob, windows) || roots.length === 0) return undefined;
  const fixed = fixedPart(glob, windows);
  if (
    fixed === '' ||
    roots.some((root) => isIn(fixed, root, windows) || isIn(root, fixed, windows))
  )
    return undefined;
  return `lies outside ${roots.length === 1 ? roots[0] : 'everything that is backed up'}, so it can never match; name a path below it, or only a name`;
}

/**
 * Whether a pattern without wildcards names a root itself or a folder above it, and so leaves
 * nothing of it.
 */
export function takesWhole(glob: string, root: string, windows: boolean): boolean {
  if (!isWholePath(glob, windows) || fixedPart(glob, windows) !== glob.replace(/[\\/]+$/, ''))
    return false;
  return isIn(root, fixedPart(glob, windows), windows);
}

/** The folders in front of the first name that holds a sign. */
function fixedPart(glob: string, windows: boolean): string {
  const sign = glob.search(/[*?[{]|[!+@]\(/);
  const fixed =
    sign < 0
      ? glob
      : glob.slice(
          0,
          Math.max(glob.lastIndexOf('/', sign), windows ? glob.lastIndexOf('\\', sign) : -1),
        );
  return fixed.replace(/[\\/]+$/, '');
}

/**
 * Whether a path is a folder or lies in it, by their names; those that differ only in case are one
 * on Windows.
 */
export function isIn(path: string, folder: string, windows: boolean): boolean {
  const { resolve, sep } = windows ? win32 : posix;
  const [inner, outer] = [path, folder].map((one) =>
    resolve(windows ? 'C:\\' : '/', windows ? one.toLowerCase() : one),
  ) as [string, string];
  return inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep);
}
