import { formatBytes, formatInstant, formatTable, formatTime } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import type { Command } from 'commander';
import type { AgentInfo } from '../rest/messages.ts';
import { problemsOf } from './agent-problems.ts';
import { type AgentView, besides } from './agent-view.ts';
import { chosenVault, inspectedVault } from './choose-vault.ts';
import { type CommandContext, outputOf } from './context.ts';
import { historyJson } from './fork.ts';
import { registerGone } from './gone.ts';
import { type CollectorOptions, type KitOptions, withCollector, withExample, withJson } from './options.ts';
import { demandContinuation } from './witness.ts';

interface AgentsOptions extends CollectorOptions, KitOptions {
  readonly json?: boolean;
}

export function registerAgents(program: Command, context: CommandContext): void {
  const agents = program
    .command('agents')
    .description('Every agent: state, last seen, last commit, protected files and bytes, queue, what is wrong.');
  withJson(withCollector(agents));
  withExample(agents, 'aliquot agents --url http://127.0.0.1:8480 --token-file /srv/aliquot/admin.token');
  agents.action(async (options: AgentsOptions) => listAgents(context, options));

  const agent = program.command('agent').description('One agent.');
  withExample(agent, 'aliquot agent acknowledge hplc-1');
  const revoke = agent
    .command('revoke')
    .description('End an agent for good: it is refused from now on; what it backed up stays.')
    .argument('NAME', "the agent's name")
    .option('--reason <TEXT>', 'why, for the log', 'revoked by the operator');
  withJson(withCollector(revoke));
  withExample(revoke, "aliquot agent revoke hplc-1 --reason 'PC stolen'");
  revoke.action(async (name: string, options: AgentsOptions & { reason: string }) => {
    const output = outputOf(context, options);
    const vault = await inspectedVault(context, options);
    const found = await vault.agent(name);
    await vault.revokeAgent(found.agentId, options.reason);
    const text = `Agent ${name} is revoked. What it backed up stays, and can be restored with the kit.`;
    await output.result({ event: 'revoked', agent: name, agentId: found.agentId }, text);
  });
  registerAcknowledge(agent, context);
  registerGone(agent, context);
}

/** What nothing mends, and what therefore stays in `agents` until somebody says that it was seen. */
const ACKNOWLEDGEABLE: ReadonlySet<string> = new Set(['versions-lost', 'chain-clone']);

function registerAcknowledge(agent: Command, context: CommandContext): void {
  const acknowledge = agent
    .command('acknowledge')
    .description(
      'Say that you have seen what cannot be mended: versions that are lost, and clones that were enrolled anew. The log records it.',
    )
    .argument('NAME', "the agent's name");
  withJson(withCollector(acknowledge));
  withExample(acknowledge, 'aliquot agent acknowledge hplc-1');
  acknowledge.action(async (name: string, options: AgentsOptions) => {
    const output = outputOf(context, options);
    const vault = await inspectedVault(context, options);
    const { agentId, problems } = await vault.agent(name);
    const seen = problems.filter(({ code }) => ACKNOWLEDGEABLE.has(code)).map(({ code, message }) => ({ code, message }));
    if (seen.length > 0) await vault.acknowledgeProblems(agentId);
    const text =
      seen.length === 0
        ? `Nothing is wrong with ${name} that could be acknowledged; \`aliquot agents\` shows what is, and what to do.`
        : `Acknowledged, and recorded in the log:\n${seen.map(({ message }) => `  ${message}`).join('\n')}`;
    await output.result({ event: 'acknowledged', agent: name, problems: seen }, text);
  });
}

async function listAgents(context: CommandContext, options: AgentsOptions): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const vault = await chosenVault(context, options);
  const { agents, timeMs } = await vault.agents();
  await tellAgents(output, agents, timeMs);
  // Last: what a collector that was put back says of its agents is worth seeing all the same.
  await demandContinuation(context, vault);
}

async function tellAgents(output: Output, agents: readonly AgentInfo[], timeMs: number): Promise<void> {
  if (output.json) {
    for (const agent of agents) await output.result(agentJson(agent, timeMs));
    return;
  }
  const rows = agents
    .flatMap((agent): AgentView[] => [agent, ...besides(agent)])
    .map((agent) => [
      agent.name,
      stateText(agent),
      agent.lastSeenMs === undefined ? 'never' : formatTime(agent.lastSeenMs),
      agent.lastCommitMs === undefined ? 'never' : formatTime(agent.lastCommitMs),
      agent.files,
      formatBytes(agent.bytes),
      agent.heartbeat?.queuedEntries ?? 0,
      agent.beside === undefined
        ? problemsOf(agent, timeMs)
            .map((problem) => problem.message)
            .join('; ') || 'nothing'
        : `see ${agent.enrolledAs}`,
    ]);
  const table = formatTable(['AGENT', 'STATE', 'LAST SEEN', 'LAST COMMIT', 'FILES>', 'BYTES>', 'QUEUE>', 'WRONG'], rows);
  await output.result({}, agents.length === 0 ? 'No agents yet; make a bundle with `aliquot enroll NAME --kit KIT --out BUNDLE`.' : table);
}

function stateText(agent: AgentView): string {
  if (agent.beside === 'held') return 'held apart';
  if (agent.beside === 'clone') return `clone of ${agent.enrolledAs}`;
  return agent.connected ? 'connected' : agent.state;
}

function agentJson(agent: AgentInfo, nowMs: number): object {
  const { name, agentId, lineageId, state, connected, files, bytes } = agent;
  const problems = problemsOf(agent, nowMs);
  return {
    agent: name,
    agentId,
    lineageId,
    state,
    connected,
    lastSeen: instantOrNull(agent.lastSeenMs),
    lastCommit: instantOrNull(agent.lastCommitMs),
    files,
    bytes,
    queued: agent.heartbeat?.queuedEntries ?? 0,
    unprotected: agent.heartbeat?.unprotected ?? 0,
    enrolled: instantOrNull(agent.enrolledAtMs),
    ...(agent.state === 'expected' ? { bundleExpires: formatInstant(agent.expiresAtMs) } : {}),
    ...(agent.histories.length > 0 ? { histories: agent.histories.map(historyJson) } : {}),
    problems,
  };
}

function instantOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : formatInstant(ms);
}
