import { PartialError, UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { Capturer } from '../capture/capturer.ts';
import type { Alike, FoundItem } from '../capture/comparison.ts';
import { ResultLook } from '../capture/results.ts';
import { type Look, scan, scanBatches } from '../capture/scan.ts';
import { unlessStopped } from '../capture/stop.ts';
import type { CaptureOutcome } from '../capture/task.ts';
import type { Agent } from '../folder/agent.ts';
import { AgentError } from '../socket/errors.ts';
import type { BackupRequest, Emit } from '../socket/protocol.ts';
import type { Excluded } from '../source/excludes.ts';
import { type BytePath, bytePath, isWithin, pathBytes } from '../source/paths.ts';
import { changingProblem, endedEarlyProblem, type Problem } from '../source/problem.ts';
import { type Met, tellCentral } from '../status/heartbeat.ts';
import { waitingProblems } from '../status/queue-view.ts';
import type { ServiceView } from '../status/stock.ts';
import { UplinkError } from '../uplink/errors.ts';
import { connected, stillQueued, unreachable } from '../uplink/reach.ts';
import { immediate } from '../watch/gate.ts';
import { countAlike, countOutcome, countSame, newTally, type Tally } from '../watch/tally.ts';
import { CountAhead } from './count-ahead.ts';
import { type LossList, lossesOf } from './losses.ts';
import { findRoots, type Root } from './roots.ts';
import { interrupted, sendAndFill } from './sending.ts';

/**
 * `backup PATH…`: captures the paths as they are now, then sends and waits for the receipts (unless
 * `offline`).
 *
 * Events: `problem` for each thing that could not be protected, `progress`, with `dryRun` `would`
 * for each change, and at the end one `summary`. Throws `UsageError` when nothing named is there,
 * `PartialError` when something is not safe, and the uplink's error when the collector refuses for
 * good.
 */
export async function backup(
  agent: Agent,
  view: ServiceView | undefined,
  request: BackupRequest,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const startedMs = agent.clock.nowMs();
  const tally = newTally();
  const unlisted: Problem[] = [];
  const named = async (path: BytePath, problem: Problem, keep: boolean): Promise<void> => {
    tally.failed += 1;
    if (!keep && problem.code !== 'queue-full') unlisted.push(problem);
    if (keep && !request.dryRun) await agent.problems.set(path, problem);
    await emit({
      event: 'problem',
      path: pathText(pathBytes(path)),
      code: problem.code,
      message: problem.message,
    });
  };
  let commits = 0;
  const sentBefore = agent.uplink.status().sentBytes;
  const ofUplink = agent.uplink.subscribe((event) => {
    if (event.type === 'receipt') commits += 1;
  });
  const ofCourtesy = agent.courtesy.subscribe((event) => {
    if (event.type === 'paused')
      void emit({
        event: 'note',
        message: `paused, because ${event.pause.because}; it goes on when that ends (pauseWhile in agent.yaml)`,
      });
  });
  const unsubscribe = (): void => {
    ofUplink();
    ofCourtesy();
  };
  try {
    // Not waited for: neither a look at the paths nor the capture needs a session. What was queued
    // before may go even if nothing named is there.
    if (!request.offline && !request.dryRun) void agent.uplink.start();
    const roots = await findRoots(agent, request, (path, problem) => named(path, problem, false));
    const goes = !request.offline && !request.dryRun;
    if (roots.length === 0) {
      if (goes)
        await tellOfNothing(agent, view, { files: 0, bytes: 0, problems: unlisted }, signal);
      throw new UsageError(
        'USAGE_INVALID',
        'there is nothing to back up; what is wrong with each path is named above',
      );
    }
    if (request.dryRun) return await dryRun(agent, roots, tally, named, emit, signal);
    const readBytes = await captureAll(
      agent,
      roots,
      tally,
      named,
      emit,
      signal,
      request.totals === true,
    );
    const sending = signal.aborted
      ? { error: interrupted() }
      : goes
        ? await sendAndFill(agent, within(roots), tally, emit, signal)
        : {};
    await nameWaiting(agent, roots, named);
    const { files, newFiles, bytes, failed, changed, unchanged, gone, folders, links } = tally;
    const heartbeat =
      goes &&
      !signal.aborted &&
      (await tellCentral(agent, view, { files, bytes, problems: unlisted }));
    const wentOut =
      goes && !signal.aborted && sending.error === undefined && sending.gaveUp === undefined;
    const { queued, capturedMeanwhile } = stillQueued(agent.queue, wentOut);
    const losses = await lossesOf(agent.queue.losses);
    await emit({
      event: 'summary',
      files,
      newFiles,
      bytes,
      sentBytes: agent.uplink.status().sentBytes - sentBefore,
      queued,
      ...capturedMeanwhile,
      failed,
      changed,
      unchanged,
      gone,
      folders,
      links,
      readBytes,
      commits,
      heartbeat,
      lost: losses.listed,
      ...(signal.aborted ? { interrupted: true } : {}),
      ...(sending.gaveUp === undefined ? {} : { unreached: true }),
      seconds: Math.max(0, agent.clock.nowMs() - startedMs) / 1000,
    });
    if (sending.error !== undefined) throw sending.error;
    judge(agent, request, tally, queued, sending.gaveUp, losses);
  } finally {
    unsubscribe();
  }
}

/** What the command ends with when not everything is safe. */
function judge(
  agent: Agent,
  request: BackupRequest,
  tally: Tally,
  queued: number,
  gaveUp: AgentError | undefined,
  losses: LossList,
): void {
  const { failed } = tally;
  const unprotected =
    failed === 0
      ? []
      : [`${failed} ${failed === 1 ? 'path' : 'paths'} could not be protected, each named above`];
  const failures = [...unprotected, ...(losses.says === undefined ? [] : [losses.says])].join('; ');
  if (!request.offline && queued > 0) {
    const { message } = gaveUp ?? unreachable(agent.uplink);
    const waiting = `${queued} ${queued === 1 ? 'version is' : 'versions are'} queued, not yet safe: ${message}`;
    throw new PartialError('PARTIAL', failures === '' ? waiting : `${failures}; ${waiting}`);
  }
  if (failures === '') return;
  if (losses.says === undefined && tally.files + tally.folders + tally.links === 0)
    throw new AgentError('AGENT_NOTHING_PROTECTED', `nothing was captured: ${failures}`);
  throw new PartialError('PARTIAL', failures);
}

/** Tells central IT that nothing of what was named could be looked at, if it can be reached. */
async function tellOfNothing(
  agent: Agent,
  view: ServiceView | undefined,
  met: Met,
  signal: AbortSignal,
): Promise<void> {
  try {
    await connected(agent.uplink, signal);
  } catch (error) {
    if (error instanceof AgentError || error instanceof UplinkError) return;
    throw error;
  }
  await tellCentral(agent, view, met);
}

/** Whether a path is one of those that were named. */
function within(roots: readonly Root[]): (path: BytePath) => boolean {
  return (path) => roots.some(({ at }) => isWithin(path, at));
}

/** Names what is only at its source, because the queue has no space. */
async function nameWaiting(agent: Agent, roots: readonly Root[], named: Named): Promise<void> {
  const isNamed = within(roots);
  for await (const { path, message } of waitingProblems(agent.queue)) {
    if (isNamed(bytePath(path)))
      await named(bytePath(path), { code: 'queue-full', message }, false);
  }
}

/**
 * Time between two words about the progress: one for each of a hundred thousand files would cost
 * more than to capture them.
 */
const PROGRESS_MS = 100;

/** How often a backup looks again at what was no file any more when it was to be read. */
const LOOKS_AGAIN = 3;

type Named = (path: BytePath, problem: Problem, keep: boolean) => Promise<void>;

async function captureAll(
  agent: Agent,
  roots: readonly Root[],
  tally: Tally,
  named: Named,
  emit: Emit,
  signal: AbortSignal,
  totals: boolean,
): Promise<number> {
  const { host, queue, places, problems, references, underWay, identity, clock } = agent;
  const startedMs = clock.nowMs();
  let toldMs = Number.NEGATIVE_INFINITY;
  let latest: BytePath | undefined;
  const ahead = totals ? new CountAhead(agent, roots) : undefined;
  const progress = (bytes: number): Promise<void> | undefined => {
    const nowMs = clock.nowMs();
    if (Math.abs(nowMs - toldMs) < PROGRESS_MS) return undefined;
    toldMs = nowMs;
    return emit({
      event: 'progress',
      files: tally.files,
      bytes: Math.max(bytes, tally.bytes),
      ...ahead?.found,
      ...(latest === undefined ? {} : { path: pathText(pathBytes(latest)) }),
    });
  };
  const vanished = new Set<BytePath>();
  let results: ResultLook | undefined;
  const onOutcome = (outcome: CaptureOutcome): Promise<void> | undefined => {
    results?.ended(outcome);
    countOutcome(tally, outcome);
    if (outcome.type !== 'version') return onOther(outcome);
    const path = outcome.task.type === 'gone' ? outcome.task.path : outcome.task.item.path;
    latest = path;
    const ended = problems.captured(path);
    const { beside } = outcome;
    // A hundred thousand times nothing is to be waited for.
    if (ended === undefined && beside === undefined) return progress(0);
    return (async () => {
      await ended;
      if (beside !== undefined) await named(path, beside, true);
      await progress(0);
    })();
  };
  const onOther = async (outcome: CaptureOutcome): Promise<void> => {
    if (outcome.type === 'vanished') vanished.add(outcome.path);
    if (outcome.type === 'full') tally.failed -= 1; // named at the end, if it still waits then
    if (outcome.type === 'problem') {
      tally.failed -= 1; // counted by `named`
      await named(outcome.path, outcome.problem, true);
    }
    await progress(0);
  };
  const capturer = new Capturer(
    { host, queue, references, underWay, pathKey: identity.pathKey, clock },
    onOutcome,
    progress,
  );
  try {
    for (const { source, at, acceptGone } of roots) {
      const sweep = problems.sweep(at);
      const folders = await ResultLook.begin(queue, source, at);
      results = folders;
      const on = {
        same: (item: FoundItem) => {
          countSame(tally, item);
          // Only a capture looks for them.
          if (problems.codeOf(item.path) === 'streams') sweep.keep(item.path);
        },
        alike: (alike: Alike) => countAlike(tally, alike),
        problem: (path: BytePath, problem: Problem) => named(path, problem, true),
      };
      const look = (path: BytePath): Look => ({
        host,
        queue,
        places,
        source,
        nowMs: startedMs,
        at: path,
        wanted: [...problems.pathsWith('streams'), ...folders.owed],
      });
      const capture = (what: Look): Promise<void> =>
        capturer.run(
          immediate(unlessStopped(scanBatches(what), signal), source, folders, on),
          signal,
        );
      await capture({ ...look(at), onExcluded: () => undefined, acceptGone });
      for (let again = 1; again <= LOOKS_AGAIN && vanished.size > 0; again += 1) {
        const moved = [...vanished];
        vanished.clear();
        for (const path of moved) await capture(look(path));
      }
      if (signal.aborted) folders.end();
      else await folders.write(clock.nowMs());
      for (const path of vanished) await named(path, changingProblem(LOOKS_AGAIN), true);
      vanished.clear();
      // What is missing stays named, also for later questions: even if all that is known is safe,
      // that is not all that was asked for.
      if (signal.aborted) await named(at, endedEarlyProblem(pathText(pathBytes(at))), true);
      else await sweep.finish();
    }
  } finally {
    results?.end();
    await ahead?.end();
  }
  await queue.sync();
  return capturer.readBytes;
}

async function dryRun(
  agent: Agent,
  roots: readonly Root[],
  tally: Tally,
  named: Named,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { host, queue, places, clock } = agent;
  for (const { source, at, acceptGone } of roots) {
    let excluded: Excluded | undefined;
    const onExcluded = (taken: Excluded): void => {
      excluded = taken;
    };
    for await (const change of scan({
      host,
      queue,
      places,
      source,
      nowMs: clock.nowMs(),
      at,
      onExcluded,
      acceptGone,
      dryRun: true,
      wanted: [],
    })) {
      if (signal.aborted) throw interrupted();
      if (change.type === 'problem') await named(change.path, change.problem, false);
      else if (change.type === 'same') countSame(tally, change.item);
      else if (change.type === 'alike') countAlike(tally, change.alike);
      else if (change.type === 'gone') {
        tally.gone += 1;
        await emit({
          event: 'would',
          change: 'gone',
          path: pathText(pathBytes(change.path)),
          kind: change.known.kind,
          size: change.known.size,
        });
      } else {
        const { path, stat } = change.item;
        const isNew = change.known === undefined;
        if (stat.kind === 'file') {
          tally.files += 1;
          tally.bytes += stat.size;
          if (isNew) tally.newFiles += 1;
          else tally.changed += 1;
        }
        await emit({
          event: 'would',
          change: isNew ? 'new' : 'changed',
          path: pathText(pathBytes(path)),
          kind: stat.kind,
          size: stat.kind === 'file' ? stat.size : 0,
        });
      }
    }
    for (const { glob, files, folders } of excluded?.counts ?? [])
      await emit({
        event: 'excluded',
        path: pathText(pathBytes(at)),
        pattern: glob,
        files,
        folders,
      });
  }
  const { files, newFiles, bytes, failed, changed, unchanged, gone } = tally;
  const { entries: queued } = agent.queue.intake.pending();
  await emit({
    event: 'summary',
    files,
    newFiles,
    bytes,
    sentBytes: 0,
    queued,
    failed,
    changed,
    unchanged,
    gone,
    dryRun: true,
  });
  if (failed > 0)
    throw new PartialError(
      'PARTIAL',
      `${failed} ${failed === 1 ? 'path' : 'paths'} could not be protected, each named above`,
    );
}
