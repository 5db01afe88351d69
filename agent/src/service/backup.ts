import { PartialError, UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import type { Agent } from '../folder/agent.ts';
import { AgentError } from '../socket/errors.ts';
import type { BackupRequest, Emit } from '../socket/protocol.ts';
import { type BytePath, bytePath, isWithin, pathBytes } from '../source/paths.ts';
import type { Problem } from '../source/problem.ts';
import { type Met, tellCentral } from '../status/heartbeat.ts';
import { waitingProblems } from '../status/queue-view.ts';
import type { ServiceView } from '../status/stock.ts';
import { UplinkError } from '../uplink/errors.ts';
import { connected, stillQueued, unreachable } from '../uplink/reach.ts';
import { newTally, type Tally } from '../watch/tally.ts';
import { captureAll, type NameProblem } from './backup-capture.ts';
import { dryRun } from './backup-dry-run.ts';
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
async function nameWaiting(
  agent: Agent,
  roots: readonly Root[],
  named: NameProblem,
): Promise<void> {
  const isNamed = within(roots);
  for await (const { path, message } of waitingProblems(agent.queue)) {
    if (isNamed(bytePath(path)))
      await named(bytePath(path), { code: 'queue-full', message }, false);
  }
}
