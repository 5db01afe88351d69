import { pathText } from '@aliquot/shared/cli/format';
import { globMatcher } from '@aliquot/shared/cli/glob';
import { type BytePath, isWithin, nameOf, pathBytes, separator } from './paths.ts';

/** What a source leaves out and what counts as one result; plain values, so that they travel to the worker. */
export interface WalkRules {
  /** Globs as `--path` takes them: without a slash a name anywhere, else the whole path; a folder takes all below it. */
  readonly exclude: readonly string[];
  /** Globs of folder names (exact case): such a folder is one result with everything below it. */
  readonly folderResults: readonly string[];
  /** Whole paths: the agent's own data folder (never captured), and roots of other sources, which capture themselves. */
  readonly leaveOut: readonly BytePath[];
}

/** Folders that the common instrument makers write as one result (Agilent, Bruker, Waters, Thermo). */
export const defaultFolderResults: readonly string[] = ['*.D', '*.d', '*.raw', '*.RAW'];

/** Rules ready to be asked. */
export interface CompiledRules {
  excluded(path: BytePath): boolean;
  /** Whether a folder of this path is a folder result by its name. */
  folderResult(path: BytePath): boolean;
  /** The topmost folder result that `path` lies in or is, looking below `root` only; `isFolder` says what `path` itself is. */
  resultOf(path: BytePath, root: BytePath, isFolder: boolean): BytePath | undefined;
}

const platform = process.platform === 'win32' ? 'windows' : 'posix';

/** Compiles the globs once for a whole scan. Error: `USAGE_INVALID` for what is no glob. */
export function compileRules(rules: WalkRules): CompiledRules {
  const excludes = rules.exclude.map((glob) => globMatcher(glob));
  const results = rules.folderResults.map((glob) => globMatcher(glob));
  const folderResult = (path: BytePath): boolean => {
    if (results.length === 0) return false;
    const name = pathText(pathBytes(nameOf(path)));
    return results.some((matches) => matches(name));
  };
  return {
    excluded(path) {
      if (rules.leaveOut.some((folder) => isWithin(path, folder))) return true;
      if (excludes.length === 0) return false;
      const text = pathText(pathBytes(path));
      return excludes.some((matches) => matches(text, platform));
    },
    folderResult,
    resultOf(path, root, isFolder) {
      if (results.length === 0 || !isWithin(path, root)) return undefined;
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

/** Whether `path` or a folder above it, down from `root`, is excluded: for paths that a walk did not come by. */
export function excludedFrom(rules: CompiledRules, path: BytePath, root: BytePath): boolean {
  let at = root.length;
  while (at >= 0 && at < path.length) {
    const next = path.indexOf(separator, at + 1);
    if (rules.excluded(next < 0 ? path : path.slice(0, next))) return true;
    at = next;
  }
  return rules.excluded(root);
}
