import type { AgentInfo } from '../api/messages.ts';

/**
 * An agent, or one history beside it dressed as an agent: its name and figures, the agent's
 * certificates. Its `agentId` is then `AGENT~HISTORY`, which is how the collector's paths name it.
 */
export interface AgentView extends AgentInfo {
  /**
   * The name in the enrolment; the same as `name` unless it is a history beside the agent's own.
   */
  readonly enrolledAs?: string;
  /** Of a history beside the agent's own: whether anybody has decided whose it is. */
  readonly beside?: 'held' | 'clone';
}

/** What is held apart from an agent, and its clones. */
export function besides(agent: AgentInfo): AgentView[] {
  return agent.histories.map(({ branchId, name, state, lastCommitMs, files, bytes }) => ({
    ...agent,
    name,
    enrolledAs: agent.name,
    beside: state,
    agentId: `${agent.agentId}~${branchId}`,
    lastCommitMs,
    files,
    bytes,
    heartbeat: undefined,
    histories: [],
    problems: [],
  }));
}

/**
 * Each lineage once, under its newest agent's name, and everything that is held apart: what a
 * command over all agents walks through.
 */
export function everyBranch(agents: readonly AgentInfo[]): AgentView[] {
  const newest = new Map<string, AgentInfo>();
  for (const agent of agents) newest.set(agent.lineageId, agent);
  return [...newest.values(), ...agents.flatMap(besides)];
}
