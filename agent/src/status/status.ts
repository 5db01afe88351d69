import { formatInstant, pathText } from '@aliquot/shared/cli/format';
import type { Pause } from '../courtesy/busy.ts';
import type { Agent } from '../folder/agent.ts';
import { enrolmentOf } from '../identity/identity.ts';
import type { Emit, StatusRequest } from '../socket/protocol.ts';
import { pathBytes } from '../source/paths.ts';
import { queueView } from './queue-view.ts';
import { folderFields, results, standingIn } from './results.ts';
import { type ServiceView, type SourceView, takeStock } from './stock.ts';

const nothing = new Uint8Array(0);

/**
 * `status`: one `status` event, then (with `results`) one `result` event for each result, then
 * `lost` for what a collector lost. `view` is undefined when no service runs. Nothing that is not
 * protected is left out (P6).
 */
export async function status(
  agent: Agent,
  view: ServiceView | undefined,
  request: StatusRequest,
  emit: Emit,
): Promise<void> {
  const stock = await takeStock(agent, view);
  const { problems } = stock;
  const lost: { path: string | null; version: number; why: string }[] = [];
  for await (const { path, entry, why } of agent.queue.losses.list())
    lost.push({ path: path === undefined ? null : pathText(path), version: entry, why });

  const sources = { ...stock, standing: standingIn(agent.queue) };
  const counts = { total: 0, safe: 0, queued: 0, open: 0, capturing: 0, settling: 0, problem: 0 };
  let files = 0;
  let bytes = 0;
  for await (const result of results(agent.queue.ledger.knownUnder(nothing), sources)) {
    counts.total += 1;
    counts[result.state] += 1;
    files += result.files;
    bytes += result.bytes;
  }
  const queue = await queueView(agent.queue);
  const pause = view === undefined ? undefined : await agent.courtesy.paused();
  await emit({
    event: 'status',
    ...head(agent, view),
    ...heldBack(agent, pause),
    ...safety(agent, view, {
      pending: counts.capturing + counts.settling + stock.unlisted,
      open: counts.open,
      pause,
      problems: problems.length,
      lost: lost.length,
    }),
    queue,
    results: counts,
    files,
    bytes,
    problems: problems.length,
    // Of these: captured as they were, and not at rest.
    unsettled: problems.filter(({ code }) => code === 'unsettled').length,
    lost: lost.length,
  });
  // Problems first, so that a reader who stops early has seen them.
  for (const { path, code, message, sinceMs } of problems) {
    await emit({
      event: 'problem',
      path: pathText(path),
      code,
      message,
      since: formatInstant(sinceMs),
    });
  }
  for (const one of lost) await emit({ event: 'lost', ...one });
  if (!request.results) return;
  const { sinceMs = 0 } = request;
  const known = agent.queue.ledger.knownUnder(nothing);
  for await (const result of results(known, sources)) {
    const { path, state, files, bytes, capturedAtMs, problem, standing } = result;
    if (state === 'safe' && (capturedAtMs ?? 0) < sinceMs) continue;
    await emit({
      event: 'result',
      path: pathText(pathBytes(path)),
      state,
      files,
      bytes,
      ...folderFields(standing),
      ...(capturedAtMs === undefined ? {} : { capturedAt: formatInstant(capturedAtMs) }),
      ...(problem === undefined
        ? {}
        : { code: problem.code, problem: problem.message, since: formatInstant(problem.sinceMs) }),
    });
  }
}

/** Whether the agent holds back for the instrument's sake, since when and why. */
function heldBack({ courtesy }: Agent, pause: Pause | undefined): object {
  return {
    ...(pause === undefined
      ? {}
      : { paused: { since: formatInstant(pause.sinceMs), because: pause.because } }),
    ...(courtesy.trouble === undefined ? {} : { pauseTrouble: courtesy.trouble }),
  };
}

function sourceShown({ root, isLink, eventsMissing, excluded }: SourceView): object {
  const taken = excluded?.counts.map(({ glob, files, folders }) => ({
    pattern: glob,
    files,
    folders,
  }));
  return {
    path: pathText(pathBytes(root)),
    ...(isLink === true ? { link: true } : {}),
    ...(eventsMissing === undefined ? {} : { eventsMissing }),
    ...(taken === undefined || taken.length === 0 ? {} : { excluded: taken }),
  };
}

interface Unsafe {
  readonly pending: number;
  /** Folder results that are not whole. */
  readonly open: number;
  readonly pause: Pause | undefined;
  readonly problems: number;
  readonly lost: number;
}

/**
 * Whether everything that is here is safe, and if that cannot be said, up to when: the most that
 * can be said truthfully (P6). "Everything" is known only while the service runs, has looked at
 * everything lately, is told of changes, and has nothing in its hands.
 */
function safety(
  { queue, uplink }: Agent,
  view: ServiceView | undefined,
  { pending, open, pause, problems, lost }: Unsafe,
): object {
  const { entries, oldestMs } = queue.intake.pending();
  const sees =
    view?.isFresh === true &&
    view.trouble === undefined &&
    view.sources.every(({ eventsMissing }) => eventsMissing === undefined);
  const isRefused = uplink.status().problem?.code === 'UPLINK_ROLLED_BACK';
  const allSafe =
    sees && pause === undefined && pending + entries + open + problems + lost === 0 && !isRefused;
  // What was there when the last whole look began has been seen; without a service, what had been
  // captured when the last receipt came.
  const seenMs =
    view === undefined ? queue.outbox.lastReceipt()?.receivedAtMs : view.lastScan?.beganMs;
  const openMs = [oldestMs, view?.settlingSinceMs].filter((ms) => ms !== undefined);
  const safeAsOf = seenMs === undefined ? null : formatInstant(Math.min(seenMs, ...openMs));
  return { pending, allSafe, safeAsOf };
}

function head(agent: Agent, view: ServiceView | undefined): object {
  const { queue, uplink, identity } = agent;
  const link = uplink.status();
  const receipt = queue.outbox.lastReceipt();
  return {
    service: view === undefined ? 'stopped' : 'running',
    data: agent.dataDir,
    agent: enrolmentOf(identity).name,
    vault: identity.descriptor.name,
    collector: link.url,
    connection: link.state,
    ...(link.connectedSinceMs === undefined
      ? {}
      : { connectedSince: formatInstant(link.connectedSinceMs) }),
    ...(link.nextAttemptMs === undefined ? {} : { nextAttempt: formatInstant(link.nextAttemptMs) }),
    ...(link.problem === undefined
      ? {}
      : {
          connectionProblem: {
            code: link.problem.code,
            message: link.problem.message,
            since: formatInstant(link.problem.sinceMs),
          },
        }),
    ...(link.clockSkewMs === undefined ? {} : { clockSkewMs: link.clockSkewMs }),
    // Also while it connects again, and after the process that found it has ended.
    rolledBack: link.problem?.code === 'UPLINK_ROLLED_BACK',
    lastReceipt:
      receipt === undefined
        ? null
        : {
            at: formatInstant(receipt.receivedAtMs),
            commit: receipt.sequence,
            copies: receipt.copies,
          },
    lastScan: view?.lastScan === undefined ? null : formatInstant(view.lastScan.endedMs),
    scanning: view?.scanning ?? false,
    ...(view?.trouble === undefined ? {} : { trouble: view.trouble }),
    sources: (view?.sources ?? agent.sources.now).map(sourceShown),
  };
}
