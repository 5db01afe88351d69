import { formatDuration, formatInstant } from '@aliquot/shared/cli/format';
import type { AgentInfo } from '../rest/messages.ts';

/** Agents send a heartbeat after every finished scan, many times a day: a day without a word means that somebody should look. */
const SILENT_MS = 24 * 3600 * 1000;

export interface NamedProblem {
  readonly code: string;
  readonly message: string;
}

/** Everything that somebody should know about an agent (P6), worst first. `nowMs` is the collector's clock. */
export function problemsOf(agent: AgentInfo, nowMs: number): NamedProblem[] {
  const problems: NamedProblem[] = agent.problems.map(({ code, message }) => ({ code, message }));
  if (agent.state === 'revoked')
    problems.push({ code: 'revoked', message: `revoked ${when(agent.endedAtMs)}${agent.endReason ? `: ${agent.endReason}` : ''}` });
  if (agent.state === 'replaced') problems.push({ code: 'replaced', message: `replaced ${when(agent.endedAtMs)}` });
  if (agent.state === 'expected') problems.push(unused(agent, nowMs));
  if (agent.state === 'enrolled') problems.push(...living(agent, nowMs));
  return problems;
}

function unused(agent: AgentInfo, nowMs: number): NamedProblem {
  return nowMs > agent.expiresAtMs
    ? {
        code: 'bundle-expired',
        message: `never enrolled, and its bundle expired ${when(agent.expiresAtMs)}; revoke it and make a new bundle`,
      }
    : { code: 'not-enrolled', message: `never enrolled; its bundle can be used until ${formatInstant(agent.expiresAtMs)}` };
}

function living(agent: AgentInfo, nowMs: number): NamedProblem[] {
  const problems: NamedProblem[] = [];
  const heard = agent.lastSeenMs ?? agent.enrolledAtMs ?? agent.expectedAtMs;
  if (!agent.connected && nowMs - heard > SILENT_MS)
    problems.push({ code: 'silent', message: `not heard of for ${formatDuration(nowMs - heard)}` });
  if (agent.lastCommitMs === undefined) problems.push({ code: 'nothing-backed-up', message: 'has not backed up anything yet' });
  const beat = agent.heartbeat;
  if (beat !== undefined && beat.unprotected > 0) {
    problems.push({
      code: 'unprotected',
      message: `${beat.unprotected} ${beat.unprotected === 1 ? 'file is' : 'files are'} not protected; see \`aliquot-agent status\` on that PC`,
    });
  }
  if (beat !== undefined && beat.queuedEntries > 0 && !agent.connected) {
    problems.push({ code: 'queued', message: `${beat.queuedEntries} captured but not sent when last heard of` });
  }
  return problems;
}

function when(ms: number | undefined): string {
  return ms === undefined ? '' : `on ${formatInstant(ms).slice(0, 10)}`;
}
