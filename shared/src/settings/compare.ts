import { globMatcher } from '../cli/glob.ts';
import { isIn } from './globs.ts';
import { isMap, type Plain } from './merge.ts';
import { platformOf } from './where.ts';

/** A folder as settings name it, with what is left out of it. */
export interface CoveredFolder {
  readonly path: string;
  readonly exclude: readonly string[];
}

/**
 * What is not backed up any more: a whole folder, or what new patterns take from one that stays.
 */
export interface LostCover {
  readonly path: string;
  /** Empty: the whole folder. */
  readonly patterns: readonly string[];
}

/** The folders of plain settings. */
export function foldersOf(plain: Plain): readonly CoveredFolder[] {
  const sources = Array.isArray(plain['sources']) ? plain['sources'] : [];
  return sources.filter(isMap).flatMap(({ path, exclude }) =>
    typeof path === 'string'
      ? [
          {
            path,
            exclude: Array.isArray(exclude) ? exclude.filter((one) => typeof one === 'string') : [],
          },
        ]
      : [],
  );
}

/**
 * What `before` covered and `now` does not: folders that no source holds any more, and patterns
 * that are new in one that stays.
 */
export function lostCover(
  before: readonly CoveredFolder[],
  now: readonly CoveredFolder[],
): readonly LostCover[] {
  return before.flatMap(({ path, exclude }): LostCover[] => {
    const windows = platformOf(path) === 'windows';
    const holding = now.find((folder) => isIn(path, folder.path, windows));
    if (holding === undefined) return [{ path, patterns: [] }];
    const fresh = holding.exclude.filter((pattern) => !exclude.includes(pattern));
    if (fresh.some((pattern) => takesFolder(pattern, path, holding.path, windows)))
      return [{ path, patterns: [] }];
    return fresh.length === 0 ? [] : [{ path, patterns: fresh }];
  });
}

/** Whether a pattern of an outer source takes a folder in it whole. */
function takesFolder(pattern: string, folder: string, source: string, windows: boolean): boolean {
  // the source itself is never taken by its own patterns
  if (isIn(source, folder, windows)) return false;
  return globMatcher(pattern)(folder, windows ? 'windows' : 'posix');
}

/** One setting that is not as before. */
export interface SettingChange {
  /** `courtesy.maxCpuPercent`, `sources /data/hplc quietPeriodSeconds`. */
  readonly setting: string;
  /** Undefined: was not set. */
  readonly before: string | undefined;
  readonly now: string | undefined;
}

/** Every setting that differs, in the order of their names; folders by their path. */
export function changesBetween(before: Plain, now: Plain): readonly SettingChange[] {
  const [left, right] = [flatSettings(before), flatSettings(now)];
  return [...new Set([...left.keys(), ...right.keys()])]
    .filter((key) => left.get(key) !== right.get(key))
    .sort()
    .map((setting) => ({ setting, before: left.get(setting), now: right.get(setting) }));
}

/** Every single setting with its value as text, folders by their path. */
export function flatSettings(plain: Plain, prefix = ''): Map<string, string> {
  const all = new Map<string, string>();
  for (const [key, value] of Object.entries(plain)) {
    const name =
      prefix === '' ? key : `${prefix}${prefix.startsWith('sources ') ? ' ' : '.'}${key}`;
    if (key === 'sources' && prefix === '' && Array.isArray(value)) {
      for (const source of value.filter(isMap)) {
        const { path, ...rest } = source;
        all.set(`sources ${String(path)}`, 'watched');
        for (const [inner, text] of flatSettings(rest, `sources ${String(path)}`))
          all.set(inner, text);
      }
    } else if (isMap(value))
      for (const [inner, text] of flatSettings(value, name)) all.set(inner, text);
    else all.set(name, typeof value === 'string' ? value : JSON.stringify(value));
  }
  return all;
}
