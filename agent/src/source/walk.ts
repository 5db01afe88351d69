import type { Platform } from '@aliquot/proto';
import { pathText } from '@aliquot/shared/cli/format';
import { here } from '@aliquot/shared/settings/where';
import { type Excluded, ExcludeTally } from './excludes.ts';
import { type BytePath, join, orderOf, pathBytes, separatorOf } from './paths.ts';
import {
  junctionProblem,
  oddTimeProblem,
  ownFolderProblem,
  type Problem,
  problemOf,
  shareInstead,
  specialProblem,
  twinProblem,
} from './problem.ts';
import type { CompiledRules } from './rules.ts';
import { SortedNames } from './sorted-names.ts';
import { type SourcePort, type SourceStat, systemCode } from './source-port.ts';

/** One thing that a walk came by. */
export type Found =
  | {
      readonly type: 'item';
      readonly path: BytePath;
      readonly stat: SourceStat;
      /** Target of a symbolic link, as a binary string; empty otherwise. */
      readonly linkTarget: string;
      /**
       * Bytes of `path` that name the folder result it belongs to; 0 when it is a result by itself.
       */
      readonly resultPathLength: number;
    }
  /** Something that could not be looked at: it and everything below it is unknown, not gone. */
  | { readonly type: 'problem'; readonly path: BytePath; readonly problem: Problem }
  /** At the end, when exclude patterns took anything. `path` is the walk's root. */
  | { readonly type: 'excluded'; readonly path: BytePath; readonly excluded: Excluded };

interface Frame {
  readonly folder: BytePath;
  /** As `sortable` names. */
  readonly names: SortedNames;
  /** What `names` may hold. */
  readonly budgetBytes: number;
  /**
   * Folders that were named already and whose content is still to come, as `sortable` of `name/`,
   * sorted.
   */
  readonly pending: string[];
  readonly resultPathLength: number;
  /** The name that was met last, as names are put in order. */
  last: string;
}

/**
 * What the names of all open folders together may hold in memory, and what one folder always may.
 */
const NAMES_BYTES = 6 << 20;
const LEAST_NAMES_BYTES = 64 << 10;

/**
 * Walks a file or folder without following links. Everything comes in the byte order of whole paths
 * (on Windows in one case), so that the result can be merged with another sorted list. No memory
 * depends on the number of files, or of names in one folder.
 *
 * That order is subtle: `run`, `run.txt`, `run/a` — a folder's content comes after siblings that
 * continue its name with a byte below the separator. So a folder is named when it is met, and
 * entered when its turn as `name/` has come.
 *
 * A root that is missing yields one problem `root-missing`. Names that disappear between listing
 * and looking are skipped.
 */
export function* walk(
  port: SourcePort,
  root: BytePath,
  rules: CompiledRules,
  resultRoot = root,
  budgetBytes = NAMES_BYTES,
  platform = here,
): Generator<Found, void, void> {
  const tally = new ExcludeTally();
  for (const found of walkIn(port, root, rules, resultRoot, budgetBytes, tally, platform)) {
    if (found.type === 'problem' || (found.type === 'item' && found.stat.kind !== 'directory'))
      tally.left += 1;
    yield found;
  }
  const { excluded } = tally;
  if (excluded.counts.length > 0) yield { type: 'excluded', path: root, excluded };
}

function* walkIn(
  port: SourcePort,
  root: BytePath,
  rules: CompiledRules,
  resultRoot: BytePath,
  budgetBytes: number,
  tally: ExcludeTally,
  platform: Platform,
): Generator<Found, void, void> {
  let rootStat: SourceStat;
  try {
    rootStat = port.lstat(pathBytes(root));
  } catch (error) {
    const code = systemCode(error);
    const problem: Problem =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? { code: 'root-missing', message: missingMessage(port, root) }
        : problemOf(error, 'folder');
    yield { type: 'problem', path: root, problem };
    return;
  }
  if (rootStat.own === true) {
    yield { type: 'problem', path: root, problem: ownFolderProblem() };
    return;
  }
  if (rules.excluded(root)) {
    const glob = rules.excludedBy(root);
    if (glob !== undefined) tally.take(glob, rootStat.kind === 'directory');
    return;
  }
  const rootResult = rules.resultOf(root, resultRoot, rootStat.kind === 'directory');
  const rootLength =
    rootResult === undefined || (rootResult === root && rootStat.kind !== 'directory')
      ? 0
      : rootResult.length;
  yield* describe(port, root, root, rootStat, rootLength);
  if (rootStat.kind !== 'directory') return;

  const stack: Frame[] = [];
  let freeBytes = budgetBytes;
  const open = function* (
    folder: BytePath,
    resultPathLength: number,
  ): Generator<Found, void, void> {
    // Half of what is left, so that the deepest tree stays within the whole.
    const share = Math.max(Math.min(LEAST_NAMES_BYTES, budgetBytes), freeBytes >> 1);
    const frame = yield* enter(port, folder, resultPathLength, share, platform);
    if (frame === undefined) return;
    freeBytes -= share;
    stack.push(frame);
  };
  const close = (): void => {
    freeBytes += stack.pop()?.budgetBytes ?? 0;
  };
  yield* open(root, rootLength);
  for (;;) {
    const frame = stack.at(-1);
    if (frame === undefined) return;
    let next: string | undefined;
    try {
      next = frame.names.peek();
    } catch (error) {
      // Between two listings of a very large folder: what was not seen yet is unknown.
      yield { type: 'problem', path: frame.folder, problem: problemOf(error, 'folder') };
      close();
      continue;
    }
    const waiting = frame.pending[0];
    if (waiting !== undefined && (next === undefined || waiting < next)) {
      frame.pending.shift();
      const folder = join(frame.folder, nameIn(waiting).slice(0, -1), platform);
      const length =
        frame.resultPathLength > 0
          ? frame.resultPathLength
          : rules.folderResult(folder)
            ? folder.length
            : 0;
      yield* open(folder, length);
      continue;
    }
    if (next === undefined) {
      close();
      continue;
    }
    frame.names.pass();
    const name = nameIn(next);
    const path = join(frame.folder, name, platform);
    if (isTwin(frame, name, platform)) {
      yield { type: 'problem', path, problem: twinProblem() };
      continue;
    }
    const excluded = rules.excluded(path);
    const glob = excluded ? rules.excludedBy(path) : undefined;
    if (excluded && glob === undefined) continue;
    let stat: SourceStat;
    try {
      stat = port.lstat(pathBytes(path));
    } catch (error) {
      const code = systemCode(error);
      if (glob !== undefined) tally.take(glob, false);
      else if (code !== 'ENOENT')
        yield { type: 'problem', path, problem: problemOf(error, 'file') };
      continue;
    }
    if (stat.own === true) continue;
    const isFolder = stat.kind === 'directory';
    if (glob !== undefined) {
      tally.take(glob, isFolder);
      continue;
    }
    const length =
      frame.resultPathLength > 0
        ? frame.resultPathLength
        : isFolder && rules.folderResult(path)
          ? path.length
          : 0;
    yield* describe(port, root, path, stat, length);
    if (isFolder) insertSorted(frame.pending, sortable(name + separatorOf(platform), platform));
  }
}

/**
 * Why a watched folder is not there. On Windows each user has drive letters of his own, and a
 * service has none of those.
 */
function missingMessage(port: SourcePort, root: BytePath): string {
  const [drive] = /^[A-Za-z]:\\/.exec(root) ?? [];
  if (drive === undefined || isThere(port, drive))
    return 'is not there; if it is on a removable or network drive, connect it';
  return (
    `is not there: the service sees no drive ${drive.slice(0, 2)}. A letter that a user gave to a network share exists for that user alone: ` +
    `${shareInstead(pathText(pathBytes(root)))}; connect the drive if it is a real one`
  ).slice(0, 500);
}

function isThere(port: SourcePort, path: BytePath): boolean {
  try {
    port.lstat(pathBytes(path));
    return true;
  } catch (error) {
    systemCode(error);
    return false;
  }
}

function* describe(
  port: SourcePort,
  root: BytePath,
  path: BytePath,
  stat: SourceStat,
  resultPathLength: number,
): Generator<Found, void, void> {
  if (stat.kind === 'special') {
    yield { type: 'problem', path, problem: specialProblem() };
    return;
  }
  let linkTarget = '';
  if (stat.kind === 'symlink') {
    try {
      linkTarget = port.readlink(pathBytes(path)).toString('latin1');
    } catch (error) {
      if (systemCode(error) !== 'ENOENT')
        yield { type: 'problem', path, problem: problemOf(error, 'file') };
      return;
    }
  }
  if (stat.junction === true && path !== root)
    yield {
      type: 'problem',
      path,
      problem: junctionProblem(pathText(Buffer.from(linkTarget, 'latin1'))),
    };
  if (stat.beyondTime === true) yield { type: 'problem', path, problem: oddTimeProblem() };
  yield { type: 'item', path, stat, linkTarget, resultPathLength };
}

function* enter(
  port: SourcePort,
  folder: BytePath,
  resultPathLength: number,
  budgetBytes: number,
  platform: Platform,
): Generator<Found, Frame | undefined, void> {
  try {
    const path = pathBytes(folder);
    const names = new SortedNames(() => sortableNames(port.readdir(path), platform), budgetBytes);
    return { folder, names, budgetBytes, pending: [], resultPathLength, last: '' };
  } catch (error) {
    // A folder that went away after it was named: its known content is judged by the parent's next
    // listing.
    yield { type: 'problem', path: folder, problem: problemOf(error, 'folder') };
    return undefined;
  }
}

/**
 * A name as it is put in order: on Windows in one case, behind which, after a byte that no name
 * holds, the name itself stands.
 */
function sortable(name: string, platform: Platform): string {
  return platform === 'windows' ? `${orderOf(name, platform)}\0${name}` : name;
}

function* sortableNames(names: Iterable<string>, platform: Platform): Iterable<string> {
  for (const name of names) yield sortable(name, platform);
}

/** The name in what `sortable` made of it. */
function nameIn(sorted: string): string {
  return sorted.slice(sorted.indexOf('\0') + 1);
}

/**
 * Whether a name differs only in case from the one before it: a folder of Windows can be made
 * case-sensitive, and nothing else there is.
 */
function isTwin(frame: Frame, name: string, platform: Platform): boolean {
  const before = frame.last;
  frame.last = orderOf(name, platform);
  return platform === 'windows' && frame.last === before;
}

function insertSorted(list: string[], value: string): void {
  let at = list.length;
  while (at > 0 && (list[at - 1] ?? '') > value) at -= 1;
  list.splice(at, 0, value);
}
