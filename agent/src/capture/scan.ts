import type { KnownFile, Queue } from '../queue/queue.ts';
import { type Change, compare, type Item } from './compare.ts';
import { allExcludedProblem, type Excluded } from './excludes.ts';
import type { CaptureHost } from './host.ts';
import { type BytePath, bytePath, isWithin, pathBytes, separator } from './paths.ts';
import { compileRules, excludedFrom } from './rules.ts';
import type { Source } from './source.ts';
import type { SourceStat } from './source-port.ts';
import type { Found } from './walk.ts';

/** One look at a source, or at a path in it. Changes nothing. */
export interface Look {
  readonly host: CaptureHost;
  readonly queue: Queue;
  readonly source: Source;
  readonly nowMs: number;
  /** The source's root, or a path in it. */
  readonly at: BytePath;
  /**
   * Set when `at` is what a person named, a source or a path for `backup`: is told what the exclude patterns took. Nothing left of it
   * is then a problem (`all-excluded`).
   */
  readonly onExcluded?: (excluded: Excluded) => void;
}

/**
 * Everything below `at` that differs from what is known, and what does not, in byte order of whole paths. Looks at the disk as it is now.
 *
 * A missing root is a problem; a missing path below a root that is there is gone.
 */
export async function* scan(look: Look): AsyncGenerator<Change, void, void> {
  for await (const batch of scanBatches(look)) yield* batch;
}

/** `scan`, many changes at a time. */
export async function* scanBatches(look: Look): AsyncGenerator<readonly Change[], void, void> {
  const { host, queue, source, nowMs, at, onExcluded } = look;
  const rules = compileRules(source.rules);
  if (at !== source.root && isMissing(await host.look(at))) {
    if (!(await isSameRoot(host, queue, source.root))) return;
    for await (const batch of knownAt(queue, at)) {
      const gone = batch.map((known): Change => ({ type: 'gone', path: bytePath(known.path), known }));
      yield gone.filter((change) => change.type === 'gone' && !excludedFrom(rules, change.path, source.root));
    }
    return;
  }
  let excluded: Excluded | undefined;
  const found = withoutExcluded(host.walk({ root: at, sourceRoot: source.root, rules: source.rules }), (taken) => {
    excluded = taken;
  });
  yield* compare(at, found, knownAt(queue, at), rules, nowMs);
  if (onExcluded === undefined) return;
  onExcluded(excluded ?? { counts: [], left: 0 });
  if (excluded?.left === 0) yield [{ type: 'problem', path: at, problem: allExcludedProblem(excluded) }];
}

/** What was found; what was excluded is told apart. */
async function* withoutExcluded(
  walked: AsyncIterable<readonly Found[]>,
  tell: (excluded: Excluded) => void,
): AsyncGenerator<readonly Item[], void, void> {
  for await (const batch of walked) {
    const last = batch.at(-1);
    if (last?.type === 'excluded') tell(last.excluded);
    yield batch.filter((found) => found.type !== 'excluded');
  }
}

function isMissing(seen: SourceStat | string): boolean {
  return seen === 'ENOENT' || seen === 'ENOTDIR';
}

/** Whether the source's root is there, and the folder that it was: not the empty place where a drive was mounted. */
export async function isSameRoot(host: CaptureHost, queue: Queue, root: BytePath): Promise<boolean> {
  const seen = await host.look(root);
  if (typeof seen === 'string') return false;
  const known = await queue.known(pathBytes(root));
  return known === undefined || known.ino === seen.ino;
}

/** What is known at and below a path, in byte order. */
async function* knownAt(queue: Queue, at: BytePath): AsyncGenerator<readonly KnownFile[], void, void> {
  const self = await queue.known(pathBytes(at));
  if (self !== undefined) yield [self];
  // Not by the bare prefix: `/data/run` must not read through all of `/data/run-2024`.
  for await (const batch of queue.knownBatches(pathBytes(at.endsWith(separator) ? at : at + separator))) yield batch;
}

/** The source that a path belongs to: the innermost root that holds it. */
export function sourceFor(sources: readonly Source[], path: BytePath): Source | undefined {
  let best: Source | undefined;
  for (const source of sources) {
    if (isWithin(path, source.root) && (best === undefined || source.root.length > best.root.length)) best = source;
  }
  return best;
}

/** The path of a result for people: its folder, or the file itself. */
export function resultPath(path: BytePath, resultPathLength: number): BytePath {
  return resultPathLength > 0 ? path.slice(0, resultPathLength) : path;
}
