import type { AgentInfo } from '../api/messages.ts';
import { CommandError } from '../cli/command-error.ts';
import { type AgentView, besides } from './agent-view.ts';

/**
 * How a branch held apart is named: its agent's name or id, and the beginning of the history's id.
 */
const HELD = /^(.+)~([0-9a-f]{8,32})$/;
/** An agent's id, or enough of its beginning to tell it apart. */
const ID = /^[0-9a-f]{8,32}$/;

/**
 * The agent that a name or an id means: by name a living one rather than a dead one, the newest
 * first; else by its id, whole or at least eight digits of it. Undefined when there is none.
 * Errors: `COMMAND_AGENT` when the beginning of an id fits several.
 */
export function agentCalled(agents: readonly AgentInfo[], name: string): AgentInfo | undefined {
  const named = bearerOf(agents, name);
  if (named !== undefined || !ID.test(name)) return named;
  const [found, ...more] = agents.filter(({ agentId }) => agentId.startsWith(name));
  if (more.length === 0) return found;
  const all = [found, ...more].map((agent) => `${agent?.agentId} (${agent?.name})`).join(', ');
  throw new CommandError(
    'COMMAND_AGENT',
    `several agents have ids that begin with ${name}; give more digits: ${all}`,
  );
}

/**
 * What each agent is called in a list: its name, unless that means another now; then its id, which
 * every command takes as well.
 */
export function callsOf(agents: readonly AgentInfo[]): (agent: AgentInfo) => string {
  const bearers = Map.groupBy(agents, ({ name }) => name);
  return (agent) => {
    const { name, agentId } = agent;
    return bearerOf(bearers.get(name) ?? [], name)?.agentId === agentId
      ? name
      : `${agentId.slice(0, 8)} (was ${name})`;
  };
}

/**
 * Whose files a name means: an agent's own, those held apart from it (`AGENT~xxxxxxxx`), or a
 * clone's. Undefined when there are none.
 */
export function branchCalled(agents: readonly AgentInfo[], name: string): AgentView | undefined {
  const own = agentCalled(agents, name);
  if (own !== undefined) return own;
  const [, of = '', digits = ''] = HELD.exec(name) ?? [];
  const owner = agentCalled(agents, of);
  const fits = (view: AgentView) => {
    const [agentId, branchId = ''] = view.agentId.split('~');
    const isTheirs = view.enrolledAs === of || agentId === owner?.agentId;
    return (
      view.name === name || (view.beside === 'held' && isTheirs && branchId.startsWith(digits))
    );
  };
  const [found, ...more] = agents.flatMap(besides).filter(fits);
  return more.length === 0 ? found : undefined;
}

/**
 * The agent that a history is held apart from, with the history's digits; whichever bearer of its
 * name: that may have gone to a successor.
 */
export function ownerCalled(
  agents: readonly AgentInfo[],
  name: string,
): { readonly agent: AgentInfo; readonly digits: string } | undefined {
  const [, of, digits] = HELD.exec(name) ?? [];
  if (of === undefined || digits === undefined) return undefined;
  const holds = ({ histories }: AgentInfo) =>
    histories.some(({ branchId }) => branchId.startsWith(digits));
  // One that was merged is no history any more: its agent is asked, so that saying the same again
  // is answered.
  const agent = agents.find((one) => one.name === of && holds(one)) ?? agentCalled(agents, of);
  return agent && { agent, digits };
}

/** Living before dead, newest first: the rule by which a name means one agent. */
function bearerOf(agents: readonly AgentInfo[], name: string): AgentInfo | undefined {
  const order = ['enrolled', 'pending', 'expected', 'revoked', 'replaced'];
  return agents
    .filter((agent) => agent.name === name)
    .toSorted(
      (a, b) => order.indexOf(a.state) - order.indexOf(b.state) || b.expectedAtMs - a.expectedAtMs,
    )[0];
}
