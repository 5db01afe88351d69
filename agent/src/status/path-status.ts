import type { FileId } from '@aliquot/proto';
import { PartialError } from '@aliquot/shared/cli/errors';
import { formatInstant, pathText } from '@aliquot/shared/cli/format';
import { isDeletedResult } from '@aliquot/shared/commit/results';
import { whenForeseen } from '@aliquot/shared/durable/unexpected';
import { fileIdFor, resultIdFor } from '@aliquot/shared/keys/derive';
import { sourceFor } from '../capture/scan.ts';
import type { Agent } from '../folder/agent.ts';
import type { FileProblem, KnownFile } from '../queue/ledger/ledger.ts';
import type { OwnVersion } from '../queue/outbox/own-versions.ts';
import { AgentError } from '../socket/errors.ts';
import type { Emit, PathsRequest } from '../socket/protocol.ts';
import {
  type BytePath,
  bytePath,
  fromText,
  isWithin,
  pathBytes,
  separator,
  spelledPath,
} from '../source/paths.ts';
import { compileRules, excludedFrom } from '../source/rules.ts';
import {
  folderFields,
  type Result,
  type ResultState,
  results,
  standingIn,
  stateOf,
} from './results.ts';
import { type ServiceView, type Stock, takeStock } from './stock.ts';

/**
 * What can be said of a path. The first four are those of results; besides:
 *
 * - `several`: a folder that holds results, with how many of each state
 * - `not-captured`: it is in a watched folder, and no version of it exists yet
 * - `excluded`: the configuration leaves it out
 * - `not-watched`: it lies in no watched folder
 * - `gone`: it is not there any more, and versions of it are kept
 * - `unknown`: there is nothing of that name, and never was
 */
export type PathState =
  | Result['state']
  | 'several'
  | 'not-captured'
  | 'excluded'
  | 'not-watched'
  | 'gone'
  | 'unknown';

/**
 * `status PATH…` and `versions PATH`: one `path` event for each path with its state, since when it
 * is safe and how many versions there are; with `versions`, a `version` event for each. Changes
 * nothing, and asks nobody but this PC. Throws for names of nothing, after all were reported.
 */
export async function pathStatus(
  agent: Agent,
  view: ServiceView | undefined,
  request: PathsRequest,
  emit: Emit,
): Promise<void> {
  const stock = await takeStock(agent, view);
  let unknown = 0;
  for (const text of request.paths) {
    const typed = await spelledPath(agent.port, fromText(text, '/'));
    const told = await describe(agent, stock, typed);
    // A link on the way is no other file: what is captured bears the name without it.
    const real =
      told.state === 'unknown' || told.state === 'not-watched'
        ? await realPath(agent, typed)
        : typed;
    const { versions, ...facts } = real === typed ? told : await describe(agent, stock, real);
    await emit({ event: 'path', path: pathText(pathBytes(real)), ...facts });
    if (facts.state === 'unknown') unknown += 1;
    if (!request.versions) continue;
    for (const one of versions)
      await emit({ event: 'version', path: pathText(pathBytes(real)), ...versionFields(one) });
  }
  if (unknown === 0) return;
  const says = `${unknown === 1 ? 'one name is' : `${unknown} names are`} of nothing that is here or was captured; check the spelling`;
  if (unknown === request.paths.length) throw new AgentError('AGENT_NOT_BACKED_UP', says);
  throw new PartialError('PARTIAL', says);
}

interface Told {
  readonly state: PathState;
  readonly versions: readonly OwnVersion[];
  readonly [field: string]: unknown;
}

async function realPath({ port }: Agent, path: BytePath): Promise<BytePath> {
  return port.realpath(pathBytes(path)).then(bytePath, whenForeseen(path));
}

async function describe(agent: Agent, stock: Stock, path: BytePath): Promise<Told> {
  const problems = stock.problems.filter((problem) => isWithin(bytePath(problem.path), path));
  const settling = stock.settling.filter((one) => isWithin(one, path));
  const capturing = stock.capturing.filter((one) => isWithin(one, path));
  const self = await agent.queue.ledger.known(pathBytes(path));
  if (self !== undefined && self.kind !== 'directory') {
    const inTheMaking =
      capturing.length > 0 ? 'capturing' : settling.length > 0 ? 'settling' : undefined;
    return ofFile(agent, self, problems, inTheMaking);
  }
  const all: Result[] = [];
  const counts = { safe: 0, queued: 0, open: 0, capturing: 0, settling: 0, problem: 0 };
  const sources = { problems, settling, capturing, standing: standingIn(agent.queue) };
  for await (const result of results(knownAt(agent, path), sources)) {
    counts[result.state] += 1;
    if (all.length < 2) all.push(result);
  }
  const [one, second] = all;
  if (one === undefined) return absent(agent, path);
  if (one.path === path && second === undefined) return ofResult(agent, one);
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { state: 'several', results: { total, ...counts }, versions: [] };
}

async function ofFile(
  agent: Agent,
  file: KnownFile,
  problems: readonly FileProblem[],
  inTheMaking: ResultState | undefined,
): Promise<Told> {
  const path = bytePath(file.path);
  const versions = await agent.queue.outbox.ownVersions({ fileIds: [idOf(agent, path)] });
  const [problem] = problems;
  const state = stateOf(problem, inTheMaking) ?? file.state;
  // Not simply of the newest: another version may have been captured since the file was asked for.
  const safeSinceMs =
    file.state === 'safe'
      ? versions.findLast((version) => version.safeSinceMs !== undefined)?.safeSinceMs
      : undefined;
  return {
    state,
    files: 1,
    bytes: file.size,
    ...common(file.capturedAtMs, safeSinceMs, problem),
    kept: versions.filter(({ kind }) => kind !== 'gone').length,
    versions,
  };
}

/** A folder result's versions are its own, whatever its members have. */
async function ofResult(agent: Agent, result: Result): Promise<Told> {
  const { state, files, bytes, capturedAtMs, problem, standing } = result;
  const versions = await agent.queue.outbox.ownVersions({
    fileIds: [],
    folder: folderOf(agent, result.path),
  });
  const safeSinceMs = state === 'safe' ? versions.at(-1)?.safeSinceMs : undefined;
  const kept = versions.filter(({ result }) => result?.members !== 0).length;
  return {
    ...{ state, files, bytes, ...folderFields(standing) },
    ...{ ...common(capturedAtMs, safeSinceMs, problem), kept, versions },
  };
}

/** Of something that was never captured, or is not there any more. */
async function absent(agent: Agent, path: BytePath): Promise<Told> {
  const all = await agent.queue.outbox.ownVersions({
    fileIds: [idOf(agent, path)],
    folder: folderOf(agent, path),
  });
  const rows = all.filter(({ result }) => result !== undefined);
  // Of a folder that was a result its own versions say more than those of the bare folder.
  const versions = rows.length > 0 ? rows : all;
  const newest = versions.at(-1);
  if (newest !== undefined) {
    const kept = versions.filter((version) => !isGone(version)).length;
    return {
      state: 'gone',
      kept,
      ...(isGone(newest) ? { goneSince: formatInstant(newest.capturedAtMs) } : {}),
      versions,
    };
  }
  const there = typeof (await agent.host.look(path)) !== 'string';
  const source = sourceFor(agent.sources.now, path);
  if (!there) return { state: 'unknown', versions: [] };
  if (source === undefined) return { state: 'not-watched', versions: [] };
  const excluded = excludedFrom(compileRules(source.rules), path, source.root);
  return { state: excluded ? 'excluded' : 'not-captured', versions: [] };
}

/** Whether nothing was there any more. */
function isGone({ kind, result }: OwnVersion): boolean {
  return kind === 'gone' || (result !== undefined && isDeletedResult(result));
}

function common(
  capturedAtMs: number | undefined,
  safeSinceMs: number | undefined,
  problem: Result['problem'],
): object {
  return {
    ...(capturedAtMs === undefined || capturedAtMs === 0
      ? {}
      : { capturedAt: formatInstant(capturedAtMs) }),
    ...(safeSinceMs === undefined ? {} : { safeSince: formatInstant(safeSinceMs) }),
    ...(problem === undefined
      ? {}
      : { code: problem.code, problem: problem.message, since: formatInstant(problem.sinceMs) }),
  };
}

function versionFields(one: OwnVersion): object {
  const { kind, size, capturedAtMs, growing, version, safeSinceMs, result } = one;
  return {
    time: formatInstant(capturedAtMs),
    kind: isGone(one) ? 'gone' : kind,
    size,
    ...(result === undefined
      ? {}
      : { state: result.progress, grade: result.grade, members: result.members }),
    ...(version === undefined ? {} : { version }),
    ...(safeSinceMs === undefined ? {} : { safeSince: formatInstant(safeSinceMs) }),
    growing,
  };
}

function idOf(agent: Agent, path: BytePath): FileId {
  return fileIdFor(agent.identity.pathKey, pathBytes(path));
}

function folderOf({ identity }: Agent, path: BytePath) {
  const root = pathBytes(path);
  return { root, resultId: resultIdFor(identity.pathKey, root) };
}

/**
 * What is known at and below a path. Not by the bare prefix: `/data/run` must not read through all
 * of `/data/run-2024`.
 */
async function* knownAt({ queue }: Agent, path: BytePath): AsyncGenerator<KnownFile, void, void> {
  const self = await queue.ledger.known(pathBytes(path));
  if (self !== undefined) yield self;
  yield* queue.ledger.knownUnder(pathBytes(path.endsWith(separator) ? path : path + separator));
}
