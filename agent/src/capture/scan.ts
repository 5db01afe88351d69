import type { KnownFile, Queue } from '../queue/queue.ts';
import { type Change, compare } from './compare.ts';
import type { CaptureHost } from './host.ts';
import { type BytePath, bytePath, isWithin, pathBytes, separator } from './paths.ts';
import { compileRules, excludedFrom } from './rules.ts';
import type { Source } from './source.ts';
import type { SourceStat } from './source-port.ts';

/**
 * Everything below `at` (a source's root, or a path in it) that differs from what is known, and what does not, in byte order
 * of whole paths. Looks at the disk as it is now and changes nothing.
 *
 * A missing root is a problem; a missing path below a root that is there is gone.
 */
export async function* scan(
  host: CaptureHost,
  queue: Queue,
  source: Source,
  nowMs: number,
  at: BytePath = source.root,
): AsyncGenerator<Change, void, void> {
  for await (const batch of scanBatches(host, queue, source, nowMs, at)) yield* batch;
}

/** `scan`, many changes at a time. */
export async function* scanBatches(
  host: CaptureHost,
  queue: Queue,
  source: Source,
  nowMs: number,
  at: BytePath = source.root,
): AsyncGenerator<readonly Change[], void, void> {
  const rules = compileRules(source.rules);
  if (at !== source.root && isMissing(await host.look(at))) {
    if (!(await isSameRoot(host, queue, source.root))) return;
    for await (const batch of knownAt(queue, at)) {
      const gone = batch.map((known): Change => ({ type: 'gone', path: bytePath(known.path), known }));
      yield gone.filter((change) => change.type === 'gone' && !excludedFrom(rules, change.path, source.root));
    }
    return;
  }
  const request = { root: at, sourceRoot: source.root, rules: source.rules };
  yield* compare(at, host.walk(request), knownAt(queue, at), rules, nowMs);
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
