import { pathText } from '@aliquot/shared/cli/format';
import { resultPath } from '../capture/scan.ts';
import type { FolderStanding } from '../queue/intake/results.ts';
import type { FileProblem, KnownFile } from '../queue/ledger/ledger.ts';
import type { Queue } from '../queue/queue.ts';
import {
  type BytePath,
  bytePath,
  isWithin,
  orderOf,
  pathBytes,
  separator,
} from '../source/paths.ts';
import type { Stock } from './stock.ts';

/**
 * - `safe`: receipted
 * - `queued`: captured here, not yet receipted
 * - `open`: a folder of which not everything is captured yet, or not as one: it is looked at again
 * - `capturing`: complete, and being read, or about to be; not in the queue yet
 * - `settling`: still being written, or was a moment ago. With the problem `unsettled` for longer
 *   than it should; it is captured as it is meanwhile
 * - `problem`: not protected, see its message
 */
export type ResultState = 'safe' | 'queued' | 'open' | 'capturing' | 'settling' | 'problem';

/** One result as a technician thinks of it: a file, or a folder that an instrument wrote as one. */
export interface Result {
  readonly path: BytePath;
  readonly state: ResultState;
  readonly files: number;
  readonly bytes: number;
  /** When the newest version of any member was captured; undefined when nothing was yet. */
  readonly capturedAtMs: number | undefined;
  readonly problem: Pick<FileProblem, 'code' | 'message' | 'sinceMs'> | undefined;
  /** Of a folder: what its row says. */
  readonly standing: FolderStanding | undefined;
}

/** What results are made of, beside the known files. */
export interface ResultSources extends Pick<Stock, 'problems' | 'settling' | 'capturing'> {
  standing(folder: Uint8Array): Promise<FolderStanding>;
}

interface OpenResult {
  files: number;
  bytes: number;
  queued: boolean;
  capturedAtMs: number;
}

const afterSeparator = String.fromCharCode(separator.charCodeAt(0) + 1);

/**
 * Every result that is known, in the making, or in trouble. Streams: memory depends on the number
 * of problems and of results in the making, not on the number of files. Plain folders are no
 * results.
 */
export async function* results(
  known: AsyncIterable<KnownFile>,
  { problems, settling, capturing, standing: standingOf }: ResultSources,
): AsyncGenerator<Result, void, void> {
  const troubles = problems
    .map((problem) => ({ ...problem, at: bytePath(problem.path) }))
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const told = new Set<BytePath>();
  const making = new Map<BytePath, ResultState>();
  for (const path of settling) making.set(path, 'settling');
  for (const path of capturing) making.set(path, 'capturing');
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
  const describe = async (
    path: BytePath,
    result: OpenResult,
    isFolder: boolean,
  ): Promise<Result> => {
    const trouble = troubleOf(path, isFolder);
    if (trouble !== undefined) {
      for (const one of troubles)
        if (one.at === path || (isFolder && isWithin(one.at, path))) told.add(one.at);
    }
    const inTheMaking = making.get(path);
    making.delete(path);
    const standing = isFolder ? await standingOf(pathBytes(path)) : undefined;
    const isSafe = !result.queued && standing?.isSafe !== false;
    const captured = standing?.isOwed === true ? 'open' : isSafe ? 'safe' : 'queued';
    const state = stateOf(trouble, inTheMaking) ?? captured;
    const { files, bytes, capturedAtMs } = result;
    const problem = trouble && ofMember(trouble, path);
    return { path, state, files, bytes, capturedAtMs, problem, standing };
  };

  for await (const file of known) {
    const path = bytePath(file.path);
    for (const [folder, result] of open) {
      if (orderOf(path) < orderOf(folder) + afterSeparator) continue;
      open.delete(folder);
      yield await describe(folder, result, true);
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
    else yield await describe(name, result, false);
  }
  for (const [folder, result] of open) yield await describe(folder, result, true);
  for (const { at, code, message, sinceMs } of troubles) {
    if (!told.has(at)) {
      const state = stateOf({ code }, making.get(at)) ?? 'problem';
      yield {
        path: at,
        state,
        files: 0,
        bytes: 0,
        capturedAtMs: undefined,
        problem: { code, message, sinceMs },
        standing: undefined,
      };
    }
    making.delete(at);
  }
  for (const [path, state] of making)
    yield {
      ...{ path, state, files: 0, bytes: 0 },
      ...{ capturedAtMs: undefined, problem: undefined, standing: undefined },
    };
}

/** The problem of a folder result says which member has it. */
function ofMember(
  problem: FileProblem & { readonly at: BytePath },
  folder: BytePath,
): NonNullable<Result['problem']> {
  const { code, message, sinceMs, at } = problem;
  if (at === folder) return { code, message, sinceMs };
  const member = pathText(pathBytes(at.slice(folder.length + 1)));
  return { code, message: `${member}: ${message}`, sinceMs };
}

/** How folders stand in a queue. */
export function standingIn({ results }: Pick<Queue, 'results'>): ResultSources['standing'] {
  return (folder) => results.standing(folder);
}

/** What scripts see of a folder result beside its state; nothing of what is none. */
export function folderFields(standing: FolderStanding | undefined): object {
  if (standing?.row === undefined) return {};
  const { grade, members } = standing.row;
  return { complete: !standing.isOwed, grade, members };
}

/**
 * Undefined: it is as its newest version is. What is only not at rest is protected as it was
 * captured.
 */
export function stateOf(
  problem: Pick<FileProblem, 'code'> | undefined,
  inTheMaking: ResultState | undefined,
): ResultState | undefined {
  if (problem === undefined) return inTheMaking;
  return problem.code === 'unsettled' ? (inTheMaking ?? 'settling') : 'problem';
}
