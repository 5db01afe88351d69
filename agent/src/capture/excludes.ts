import { type BytePath, fromText, isWithin } from './paths.ts';
import type { Problem } from './problem.ts';

/** What one exclude pattern took in a walk. A folder that it took whole counts once, and nobody looks at what is in it. */
export interface ExcludeCount {
  readonly glob: string;
  readonly files: number;
  readonly folders: number;
}

/** What all patterns took in a walk, and what they left. */
export interface Excluded {
  /** Patterns that took something, in the order in which they met it. */
  readonly counts: readonly ExcludeCount[];
  /** Files, links, and things that could not be looked at: everything but folders. */
  readonly left: number;
}

const windows = process.platform === 'win32';

/** Whether a pattern begins at the root of the file system, so that it means whole paths and not what lies below a source. */
export function isWholePath(glob: string): boolean {
  return windows ? /^([A-Za-z]:[\\/]|[\\/]{2})/.test(glob) : glob.startsWith('/');
}

/**
 * Why a pattern can never take what a person means by it, with the way out; undefined when it may. `roots` are the folders (or paths)
 * that it is for. A pattern that silently takes nothing lets in what it should keep out, and one that takes everything keeps out all.
 */
export function excludeMistake(glob: string, roots: readonly string[]): string | undefined {
  if (glob !== glob.trim()) return 'begins or ends with a blank; take that away, or write [ ] for a blank that belongs to the name';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  if (/[\u0000-\u001f\u007f]/.test(glob)) return 'holds a control character such as a line end; use ? in its place';
  if (glob.startsWith('!') && !glob.startsWith('!('))
    return 'begins with "!", which brings nothing back here; make the other patterns take less instead';
  if (glob.startsWith('~')) return 'begins with "~", which is not read as a home folder here; write the whole path';
  if (!windows && glob.includes('\\')) return 'holds "\\", which separates nothing on this system; write "/"';
  if (!windows && /^[A-Za-z]:/.test(glob)) return 'begins with a drive’s letter, which there is only on Windows';
  if (windows && /^[\\/](?![\\/])/.test(glob)) return 'begins with a separator but names no drive; write it as in D:\\Data\\scratch';
  const names = (windows ? glob.replaceAll('\\', '/') : glob).split('/');
  if (names.some((name) => name === '.' || name === '..')) return 'holds "." or ".." as a name, which no path here has; leave it out';
  if (names.slice(windows ? 2 : 1, -1).includes('')) return 'holds "//", which no path here has; write one "/"';
  if (!isWholePath(glob) || roots.length === 0) return undefined;
  const fixed = fixedPart(glob);
  if (roots.some((root) => reaches(fixed, root))) return undefined;
  return `lies outside ${roots.length === 1 ? roots[0] : 'everything that is backed up'}, so it can never match; name a path below it, or only a name`;
}

/** Whether a pattern without signs names a root itself or a folder above it, and so leaves nothing of it. */
export function takesWhole(glob: string, root: string): boolean {
  if (!isWholePath(glob) || fixedPart(glob) !== glob.replace(/[\\/]+$/, '')) return false;
  return isWithin(folded(root), folded(fixedPart(glob)));
}

/** The folders in front of the first name that holds a sign. */
function fixedPart(glob: string): string {
  const sign = glob.search(/[*?[{]|[!+@]\(/);
  const fixed = sign < 0 ? glob : glob.slice(0, Math.max(glob.lastIndexOf('/', sign), windows ? glob.lastIndexOf('\\', sign) : -1));
  return fixed.replace(/[\\/]+$/, '');
}

function reaches(fixed: string, root: string): boolean {
  return fixed === '' || isWithin(folded(fixed), folded(root)) || isWithin(folded(root), folded(fixed));
}

/** Names that differ only in case are one on Windows. */
function folded(path: string): BytePath {
  return fromText(windows ? path.toLowerCase() : path, '/');
}

/** The problem of a source, or of a path given to `backup`, of which the patterns leave nothing. */
export function allExcludedProblem({ counts }: Excluded): Problem {
  const told = counts.slice(0, 3).map((count) => `"${count.glob}" (${spoken(count)})`);
  const more = counts.length > told.length ? ` and ${counts.length - told.length} more` : '';
  const message = `nothing of it is backed up, because everything in it is excluded by ${told.join(', ')}${more}; make them take less`;
  return { code: 'all-excluded', message: message.slice(0, 500) };
}

/** `3 files and 1 folder`, for people. */
function spoken({ files, folders }: ExcludeCount): string {
  const parts = [
    files > 0 ? `${files} ${files === 1 ? 'file' : 'files'}` : '',
    folders > 0 ? `${folders} ${folders === 1 ? 'folder' : 'folders'}` : '',
  ];
  return parts.filter((part) => part !== '').join(' and ');
}

/** Counts what is excluded, in as many counters as there are patterns. */
export class ExcludeTally {
  readonly #counts = new Map<string, { glob: string; files: number; folders: number }>();
  left = 0;

  take(glob: string, isFolder: boolean): void {
    const count = this.#counts.get(glob) ?? { glob, files: 0, folders: 0 };
    if (isFolder) count.folders += 1;
    else count.files += 1;
    this.#counts.set(glob, count);
  }

  get excluded(): Excluded {
    return { counts: [...this.#counts.values()], left: this.left };
  }
}
