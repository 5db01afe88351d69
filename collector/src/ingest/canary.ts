import type { AgentDesk, Offered } from '../store/catalog/desk.ts';
import type { AgentRecord } from '../store/vault-records.ts';

/**
 * For so long the first PCs must have had their settings without a new problem before the others
 * get theirs by themselves.
 */
const CANARY_MS = 24 * 3600 * 1000;

/** A living agent, and which of the desk's settings it has. */
export interface DeskOf {
  readonly agent: AgentRecord;
  readonly desk: AgentDesk;
}

/**
 * The number up to which waiting settings may be handed out by themselves at `nowMs`; undefined
 * while a person has to say so. Each PC that has the new ones must have applied them, a day ago,
 * and have no problem that began since.
 */
export function promotable(all: readonly DeskOf[], nowMs: number): number | undefined {
  const waiting = all.flatMap(({ desk }) => desk.waiting ?? []);
  if (waiting.length === 0) return undefined;
  const first = Math.min(...waiting.map(({ sequence }) => sequence));
  const canaries = all.flatMap(({ agent, desk }) => {
    const { current } = desk;
    return current !== undefined && current.sequence >= first ? [{ agent, desk, current }] : [];
  });
  if (canaries.length === 0) return undefined;
  const quiet = canaries.every(
    ({ agent, desk, current }) =>
      (desk.said?.inForce ?? 0) >= current.sequence &&
      nowMs - current.sinceMs >= CANARY_MS &&
      !hasNewProblem(agent, current, nowMs),
  );
  return quiet ? Math.max(...waiting.map(({ sequence }) => sequence)) : undefined;
}

/**
 * By the agent's own clock, because that is what its problems are dated by: how long ago each
 * began, and how long it has the settings.
 */
function hasNewProblem(
  { heartbeat, heartbeatAtMs }: AgentRecord,
  { sinceMs }: Offered,
  nowMs: number,
): boolean {
  if (heartbeat === undefined || heartbeatAtMs === undefined || heartbeatAtMs < sinceMs)
    return true; // nothing was heard since
  const hasThem = nowMs - sinceMs;
  const sinceHeartbeat = nowMs - heartbeatAtMs;
  return heartbeat.problems.some(
    (problem) => heartbeat.timeMs - problem.sinceMs + sinceHeartbeat < hasThem,
  );
}
