import type { Platform } from '@aliquot/proto';
import { pathText } from '@aliquot/shared/cli/format';
import { globMatcher } from '@aliquot/shared/cli/glob';
import { here } from '@aliquot/shared/settings/where';
import { isWholePath } from './excludes.ts';
import { type BytePath, isWithin, nameOf, pathBytes, separatorOf } from './paths.ts';

/** What to leave out of a source or of a path given to `backup`. */
export interface Exclude {
  /**
   * A glob as `--path` takes them. One that begins at the root of the file system means whole
   * paths. Any other means what lies below `below`: without a slash a name anywhere there, else the
   * path from there. A folder takes all below it.
   */
  readonly glob: string;
  /**
   * No name of this folder, or above it, is ever matched by a glob that does not begin at the root
   * of the file system.
   */
  readonly below: BytePath;
}

/**
 * What a source leaves out and what counts as one result; plain values, so that they travel to the
 * worker.
 */
export interface WalkRules {
  readonly exclude: readonly Exclude[];
  /**
   * Globs of folder names (on Windows in any case): such a folder is one result with everything
   * below it.
   */
  readonly folderResults: readonly string[];
  /**
   * Whole paths: the agent's own data folder (never captured), and roots of other sources, which
   * capture themselves.
   */
  readonly leaveOut: readonly BytePath[];
}

/**
 * The folder that a restore without a target makes beside what was backed up. Wherever it lies,
 * what is in it has its versions already: no source takes it, unless a person names it, or
 * something in it, as the source.
 */
export const RESTORED_FOLDER = 'Restored from backup';

/** What every source leaves out, beside what its owner chose. */
export function builtInExcludes(root: BytePath): readonly Exclude[] {
  return [{ glob: RESTORED_FOLDER, below: root }];
}

/** Rules ready to be asked. */
export interface CompiledRules {
  excluded(path: BytePath): boolean;
  /** The exclude pattern that takes `path`; undefined also for what is left out as a whole. */
  excludedBy(path: BytePath): string | undefined;
  /** Whether a folder of this path is a folder result by its name. */
  folderResult(path: BytePath): boolean;
  /**
   * The topmost folder result that `path` lies in or is, looking below `root` only; `isFolder` says
   * what `path` itself is.
   */
  resultOf(path: BytePath, root: BytePath, isFolder: boolean): BytePath | undefined;
}

/** Compiles the globs once for a whole scan. Error: `USAGE_INVALID` for what is no glob. */
export function compileRules(rules: WalkRules, platform = here): CompiledRules {
  const separator = separatorOf(platform);
  const excludes = rules.exclude.map((exclude) => ({
    glob: exclude.glob,
    takes: matcherOf(exclude, platform),
  }));
  const excludedBy = (path: BytePath): string | undefined =>
    excludes.find(({ takes }) => takes(path))?.glob;
  const results = rules.folderResults.map((glob) => globMatcher(glob));
  const folderResult = (path: BytePath): boolean => {
    if (results.length === 0) return false;
    const name = pathText(pathBytes(nameOf(path, platform)));
    return results.some((matches) => matches(name, platform));
  };
  return {
    excluded(path) {
      return (
        rules.leaveOut.some((folder) => isWithin(path, folder, platform)) ||
        excludedBy(path) !== undefined
      );
    },
    excludedBy,
    folderResult,
    resultOf(path, root, isFolder) {
      if (results.length === 0 || !isWithin(path, root, platform)) return undefined;
      if (folderResult(root) && (path !== root || isFolder)) return root;
      let at = root.endsWith(separator) ? root.length - 1 : root.length;
      while (at < path.length) {
        const next = path.indexOf(separator, at + 1);
        const folder = next < 0 ? path : path.slice(0, next);
        if ((next >= 0 || isFolder) && folderResult(folder)) return folder;
        if (next < 0) return undefined;
        at = next;
      }
      return undefined;
    },
  };
}

function matcherOf({ glob, below }: Exclude, platform: Platform): (path: BytePath) => boolean {
  // Every scan asks for every path, and every source has such a pattern. To decode each path and to
  // run a glob over each of its names took an eighth of the walk.
  if (/^[A-Za-z0-9_ -][A-Za-z0-9_ .-]*$/.test(glob)) return holdsName(glob, below, platform);
  const matches = globMatcher(glob);
  if (isWholePath(glob, platform)) return (path) => matches(pathText(pathBytes(path)), platform);
  return (path) => {
    const inside = partBelow(path, below, platform);
    return inside !== '' && matches(pathText(pathBytes(inside)), platform);
  };
}

/**
 * Whether one of a path's names below a folder is this one: what `globMatcher` says of a pattern
 * that is a plain ASCII name.
 */
function holdsName(name: string, below: BytePath, platform: Platform): (path: BytePath) => boolean {
  const separator = separatorOf(platform);
  // Other characters than ASCII stand as several bytes, none of which is ASCII: folding them
  // changes nothing here.
  const folded = (text: string): string => (platform === 'windows' ? text.toLowerCase() : text);
  const part = folded(separator + name);
  const from = below.endsWith(separator) ? below.length - 1 : below.length;
  return (path) => {
    const text = folded(path);
    for (let at = text.indexOf(part, from); at >= 0; at = text.indexOf(part, at + 1)) {
      const end = at + part.length;
      if (end === text.length || text[end] === separator) return isWithin(path, below, platform);
    }
    return false;
  };
}

/**
 * The part of a path that lies below a folder; empty for the folder itself and what is not in it.
 */
function partBelow(path: BytePath, folder: BytePath, platform: Platform): BytePath {
  if (path.length === folder.length || !isWithin(path, folder, platform)) return '';
  return path.slice(folder.endsWith(separatorOf(platform)) ? folder.length : folder.length + 1);
}

/**
 * Whether `path` or a folder above it, down from `root`, is excluded: for paths that a walk did not
 * come by.
 */
export function excludedFrom(
  rules: CompiledRules,
  path: BytePath,
  root: BytePath,
  platform = here,
): boolean {
  const separator = separatorOf(platform);
  let at = root.length;
  while (at >= 0 && at < path.length) {
    const next = path.indexOf(separator, at + 1);
    if (rules.excluded(next < 0 ? path : path.slice(0, next))) return true;
    at = next;
  }
  return rules.excluded(root);
}
