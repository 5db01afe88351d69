import { type BytePath, bytePath, isWithin, separator } from '../capture/paths.ts';
import { resultPath } from '../capture/scan.ts';
import type { FileProblem, KnownFile } from '../queue/queue.ts';

/** `safe`: receipted; `queued`: captured here, not yet receipted; `settling`: still in the making; `problem`: see its message. */
export type ResultState = 'safe' | 'queued' | 'settling' | 'problem';

/** One result as a technician thinks of it: a file, or a folder that an instrument wrote as one. */
export interface Result {
  readonly path: BytePath;
  readonly state: ResultState;
  readonly files: number;
  readonly bytes: number;
  /** When the newest version of any member was captured; undefined when nothing was yet. */
  readonly capturedAtMs: number | undefined;
  readonly problem: Pick<FileProblem, 'code' | 'message' | 'sinceMs'> | undefined;
}

interface OpenResult {
  files: number;
  bytes: number;
  queued: boolean;
  capturedAtMs: number;
}

const afterSeparator = String.fromCharCode(separator.charCodeAt(0) + 1);

/**
 * Every result that is known, in the making, or in trouble. Streams: memory depends on the number of problems and of results
 * in the making, not on the number of files. Plain folders are no results.
 */
export async function* results(
  known: AsyncIterable<KnownFile>,
  problems: readonly FileProblem[],
  settling: Iterable<BytePath>,
): AsyncGenerator<Result, void, void> {
  const troubles = problems
    .map((problem) => ({ ...problem, at: bytePath(problem.path) }))
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const told = new Set<BytePath>();
  const making = new Set(settling);
  const open = new Map<BytePath, OpenResult>();

  const troubleOf = (path: BytePath, isFolder: boolean) => {
    let low = 0;
    let high = troubles.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((troubles[middle]?.at ?? '') < path) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < troubles.length; at += 1) {
      const trouble = troubles[at];
      if (trouble === undefined || trouble.at >= path + afterSeparator) return undefined;
      if (trouble.at === path || (isFolder && isWithin(trouble.at, path))) return trouble;
    }
    return undefined;
  };
  const describe = (path: BytePath, result: OpenResult, isFolder: boolean): Result => {
    const trouble = troubleOf(path, isFolder);
    if (trouble !== undefined) {
      for (const one of troubles) if (one.at === path || (isFolder && isWithin(one.at, path))) told.add(one.at);
    }
    const isMaking = making.delete(path);
    const state = trouble !== undefined ? 'problem' : isMaking ? 'settling' : result.queued ? 'queued' : 'safe';
    const { files, bytes, capturedAtMs } = result;
    return { path, state, files, bytes, capturedAtMs, problem: trouble };
  };

  for await (const file of known) {
    const path = bytePath(file.path);
    for (const [folder, result] of open) {
      if (path < folder + afterSeparator) continue;
      open.delete(folder);
      yield describe(folder, result, true);
    }
    const folder = file.resultPathLength > 0;
    if (!folder && file.kind === 'directory') {
      making.delete(path);
      continue;
    }
    const name = resultPath(path, file.resultPathLength);
    const result = open.get(name) ?? { files: 0, bytes: 0, queued: false, capturedAtMs: 0 };
    if (file.kind !== 'directory') result.files += 1;
    result.bytes += file.size;
    result.queued ||= file.state === 'queued';
    result.capturedAtMs = Math.max(result.capturedAtMs, file.capturedAtMs);
    if (folder) open.set(name, result);
    else yield describe(name, result, false);
  }
  for (const [folder, result] of open) yield describe(folder, result, true);
  for (const { at, code, message, sinceMs } of troubles) {
    if (!told.has(at))
      yield { path: at, state: 'problem', files: 0, bytes: 0, capturedAtMs: undefined, problem: { code, message, sinceMs } };
    making.delete(at);
  }
  for (const path of making) yield { path, state: 'settling', files: 0, bytes: 0, capturedAtMs: undefined, problem: undefined };
}
