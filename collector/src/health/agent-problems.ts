import { formatBytes, formatDuration, formatInstant, formatTime } from '@aliquot/shared/cli/format';
import type { Clock } from '@aliquot/shared/ports';
import type { AgentInfo } from '../api/messages.ts';
import { problemWords } from '../api/pc-problems.ts';
import type { LiveSessions } from '../ingest/live-sessions.ts';
import type { AgentRecord } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';

/** What the collector's own sessions know about an agent. */
export interface SessionFacts {
  readonly connected: boolean;
  readonly problems: readonly NamedProblem[];
}

/** One thing that somebody should look at. */
export type NamedProblem = AgentInfo['problems'][number];

/** The code's own words stand in `message`; `count` and `brief` are for lists of many agents. */
type Found = Omit<NamedProblem, 'sinceMs'> & { readonly sinceMs?: number };

/**
 * Instruments whose clock nobody sets are off by seconds; by more than this, `--at` and "newest"
 * mean something else there.
 */
export const CLOCK_TOLERANCE_MS = 5 * 60_000;
/** A connected agent may send one large file for hours, and says nothing else meanwhile. */
const CONNECTED_SILENCE_MS = 24 * 3_600_000;

/** What it takes to say how an agent is now. */
export interface WatchContext {
  readonly sessions: Pick<LiveSessions, 'isConnected' | 'misconduct' | 'takeovers'>;
  readonly clock: Clock;
}

/** Everything that is wrong with an agent now. */
export function problemsAt(
  context: WatchContext,
  vault: VaultWith<'descriptor' | 'figures'>,
  agent: AgentRecord,
): NamedProblem[] {
  const connected = context.sessions.isConnected(vault.descriptor.vaultId, agent.agentId);
  return problemsOf(
    agent,
    { connected, problems: [...sessionProblems(context, vault, agent), ...claims(vault, agent)] },
    context.clock.nowMs(),
  );
}

function sessionProblems(
  context: WatchContext,
  vault: VaultWith<'descriptor'>,
  agent: AgentRecord,
): NamedProblem[] {
  return [
    ...context.sessions.misconduct(vault.descriptor.vaultId, agent.agentId),
    ...rivals(context, vault, agent),
  ];
}

/**
 * A connection that broke is taken over now and then; again and again means two programs that end
 * each other.
 */
const TAKEOVERS_WORTH_NAMING = 3;

function rivals(
  context: WatchContext,
  vault: VaultWith<'descriptor'>,
  agent: AgentRecord,
): NamedProblem[] {
  const takeovers = context.sessions.takeovers(vault.descriptor.vaultId, agent.agentId);
  if (takeovers < TAKEOVERS_WORTH_NAMING) return [];
  const message = `${takeovers} connections ended each other in ten minutes: two PCs with one identity (a copied folder), or a line that breaks again and again`;
  return [{ code: 'two-sessions', sinceMs: context.clock.nowMs(), message }];
}

/** Below that a check reads back what is claimed in no time worth a word. */
const CLAIMS_BYTES = 1024 ** 4;
/** Honest files are some ten times what is held of them, compressed and stored once. */
const CLAIMS_TIMES_HELD = 100;

/** Sizes are what an agent says: nobody ever had so much. */
function claims({ figures }: VaultWith<'figures'>, agent: AgentRecord): NamedProblem[] {
  if (agent.bytes < CLAIMS_BYTES) return [];
  const { storedBytes } = figures.stats();
  if (agent.bytes < CLAIMS_TIMES_HELD * storedBytes) return [];
  const says = `its files claim ${formatBytes(agent.bytes)}, and all that this vault holds is ${formatBytes(storedBytes)}`;
  const message = `${says}: huge files that are empty nearly everywhere, or an agent in other hands; look at that PC, or revoke it`;
  const sinceMs = agent.lastCommitMs ?? agent.expectedAtMs;
  return [{ code: 'claims-much', sinceMs, message, brief: formatBytes(agent.bytes) }];
}

/**
 * Everything that somebody should know about an agent (P6), worst first. `nowMs` is the collector's
 * clock. Test only: `problemsAt` gathers what the sessions know.
 */
export function problemsOf(agent: AgentRecord, facts: SessionFacts, nowMs: number): NamedProblem[] {
  const found: Found[] = [...agent.problems, ...facts.problems];
  if (agent.state === 'expected' && nowMs > agent.enrolmentBody.expiresAtMs)
    found.push(unused(agent));
  if (agent.state === 'pending') found.push(waiting(agent));
  if (agent.state === 'enrolled') found.push(...living(agent, facts.connected, nowMs));
  return found.map((problem) => ({
    ...problem,
    sinceMs: problem.sinceMs ?? agent.heartbeatAtMs ?? nowMs,
  }));
}

function unused({ enrolmentBody: { expiresAtMs } }: AgentRecord): Found {
  const message = `never enrolled, and its bundle expired on ${formatInstant(expiresAtMs).slice(0, 10)}; revoke it and make a new bundle`;
  return { code: 'bundle-expired', sinceMs: expiresAtMs, message };
}

function waiting({ name, expectedAtMs, group }: AgentRecord): Found {
  const message = `a PC of group ${group?.name ?? ''} waits for approval: aliquot agents approve ${name} (or aliquot agent revoke ${name})`;
  return {
    code: 'waits-for-approval',
    sinceMs: expectedAtMs,
    message,
    brief: `of group ${group?.name ?? ''}`,
  };
}

/**
 * When the agent was last heard; `undefined` when it never was, or by a clock that was ahead of the
 * present one: that it was heard in the future says nothing.
 */
export function lastHeardMs({ lastSeenMs }: AgentRecord, nowMs: number): number | undefined {
  const future = lastSeenMs !== undefined && lastSeenMs > nowMs + CLOCK_TOLERANCE_MS;
  return future ? undefined : lastSeenMs;
}

function living(agent: AgentRecord, connected: boolean, nowMs: number): Found[] {
  const found: Found[] = [];
  const since = lastHeardMs(agent, nowMs) ?? agent.enrolledAtMs ?? agent.expectedAtMs;
  const heardMs = Math.min(since, nowMs);
  const silentMs = nowMs - heardMs;
  const limitMs = connected
    ? Math.max(agent.silenceLimitMs, CONNECTED_SILENCE_MS)
    : agent.silenceLimitMs;
  if (silentMs > limitMs) {
    const state = connected ? 'connected, but it has said nothing' : 'not heard of';
    const message = `${state} for ${formatDuration(silentMs)}; by its own rhythm ${formatDuration(limitMs)} would be long: is that PC off, or its service stopped?`;
    found.push({ code: 'silent', sinceMs: heardMs, message, brief: formatDuration(silentMs) });
  }
  // One that took over its predecessor's folder, and found nothing new, goes on from that one's
  // commits.
  if (agent.lastCommitMs === undefined && agent.heartbeat?.chainHead === undefined)
    found.push({
      code: 'nothing-backed-up',
      sinceMs: agent.enrolledAtMs ?? agent.expectedAtMs,
      message: 'has not backed up anything yet',
    });
  return [...found, ...clock(agent, nowMs), ...reported(agent, connected)];
}

function clock({ heartbeat, heartbeatAtMs }: AgentRecord, nowMs: number): Found[] {
  if (heartbeat === undefined || heartbeatAtMs === undefined) return [];
  if (heartbeatAtMs > nowMs + CLOCK_TOLERANCE_MS) return [];
  const aheadMs = heartbeat.timeMs - heartbeatAtMs;
  if (Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) return [];
  const off = `${formatDuration(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead' : 'behind'}`;
  return [
    {
      code: 'clock-off',
      message: `its clock is ${off} of this collector's; set it by time servers (NTP)`,
      brief: off,
    },
  ];
}

const LOOK = 'see `aliquot-agent status` on that PC';

/** What the agent's newest heartbeat says of itself. */
function reported({ heartbeat }: AgentRecord, connected: boolean): Found[] {
  if (heartbeat === undefined) return [];
  const { unprotected, unsettled, pending, queuedEntries } = heartbeat;
  const found: Found[] = [];
  const add = (code: string, count: number, message: string) => {
    if (count > 0) found.push({ code, count, message });
  };
  const { problems } = heartbeat;
  // The codes say more; what none of them explains must not be passed over.
  const explained = problems.reduce(
    (sum, { code, count }) => (code === 'unsettled' ? sum : sum + count),
    0,
  );
  if (unprotected > explained)
    add('unprotected', unprotected, `${files(unprotected)} not protected; ${LOOK}`);
  if (!problems.some(({ code }) => code === 'unsettled'))
    add('unsettled', unsettled, `${results(unsettled)} not come to rest for long; ${LOOK}`);
  if (!connected) add('pending', pending, `${pending} seen but not captured when last heard of`);
  if (!connected)
    add('queued', queuedEntries, `${queuedEntries} captured but not sent when last heard of`);
  for (const { code, count, sinceMs } of problems) {
    // What has no time of its own, such as a loss, has been there for as long as is known.
    const since = sinceMs === 0 ? '' : `, the first since ${formatTime(sinceMs)}`;
    found.push({
      code,
      count,
      ...(sinceMs === 0 ? {} : { sinceMs }),
      message: `${problemWords(code) ?? code}: ${count}${since}; ${LOOK}`,
    });
  }
  return found;
}

const files = (count: number): string => `${count} ${count === 1 ? 'file is' : 'files are'}`;
const results = (count: number): string =>
  `${count} ${count === 1 ? 'result has' : 'results have'}`;
