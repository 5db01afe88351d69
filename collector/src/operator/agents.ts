import { foldWords } from '@aliquot/shared/cli/fold';
import {
  formatAge,
  formatBytes,
  formatCount,
  formatCounted,
  formatInstant,
  formatTable,
  printable,
} from '@aliquot/shared/cli/format';
import { worksAlone } from '@aliquot/shared/cli/help';
import type { Output } from '@aliquot/shared/cli/output';
import type { Command } from 'commander';
import type { AgentInfo, AgentList, GroupInfo } from '../api/messages.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { paged } from '../cli/pager.ts';
import { agentTables } from './agent-tables.ts';
import { type AgentView, besides } from './agent-view.ts';
import { registerApprove } from './approve.ts';
import { chosenVault, inspectedVault } from './choose-vault.ts';
import type { VaultClient } from './client/vault-client.ts';
import { keepDecisions } from './decisions.ts';
import { registerDiagnose } from './diagnose.ts';
import { callsOf } from './find-agent.ts';
import { branchJson } from './fork.ts';
import { registerGone } from './gone.ts';
import { registerLost } from './lost.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
} from './options.ts';
import { type ProblemOf, problemList } from './problem-list.ts';
import { registerRevoke } from './revoke.ts';
import { demandContinuation } from './witness.ts';

interface AgentsOptions extends CollectorOptions, KitOptions {
  readonly problems?: boolean;
  readonly json?: boolean;
}

/** How the collector is named among those who have problems. */
const COLLECTOR = 'the collector';

export function registerAgents(program: Command, context: CommandContext): void {
  const agents = worksAlone(program.command('agents'))
    .description(
      'Every agent: state, last seen, last backup, protected files and bytes, queue, what is wrong.',
    )
    .option(
      '--problems',
      'only what is wrong, like problems together; exit code 1 if there is anything',
    );
  withJson(withCollector(agents));
  withExample(
    agents,
    'aliquot agents --url http://127.0.0.1:8480 --token-file /srv/aliquot/admin.token',
  );
  registerApprove(agents, context);
  agents.action((options: AgentsOptions) =>
    paged(context, options, (output) => listAgents(context, output, options)),
  );

  registerDiagnose(agents, context);

  const agent = program.command('agent').description('One agent.');
  withExample(agent, 'aliquot agent acknowledge hplc-1');
  registerRevoke(agent, context);
  registerAcknowledge(agent, context);
  registerGone(agent, context);
  registerLost(agent, context);
}

/**
 * What nothing mends, and what therefore stays in `agents` until somebody says that it was seen.
 */
const acknowledgeable: ReadonlySet<string> = new Set(['versions-lost', 'chain-clone']);

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
    const { agentId, problems } = await vault.roster.agent(name);
    const seen = problems
      .filter(({ code }) => acknowledgeable.has(code))
      .map(({ code, message }) => ({ code, message }));
    if (seen.length > 0) await vault.roster.acknowledgeProblems(agentId);
    const text =
      seen.length === 0
        ? `Nothing is wrong with ${name} that could be acknowledged; \`aliquot agents\` shows what is, and what to do.`
        : `Acknowledged, and recorded in the log:\n${seen.map(({ message }) => `  ${message}`).join('\n')}`;
    await output.result({ event: 'acknowledged', agent: name, problems: seen }, text);
  });
}

async function listAgents(
  context: CommandContext,
  output: Output,
  options: AgentsOptions,
): Promise<void> {
  const vault = await chosenVault(context, options);
  const list = await vault.roster.list();
  const problems = problemsOf(list);
  if (output.json) await tellJson(output, list, options.problems === true);
  else
    await output.result(
      {},
      options.problems === true
        ? problemList(problems) || nothingWrong(vault)
        : overview(list, problems),
    );
  // Last: what a collector that was put back says of its agents is worth seeing anyway.
  await demandContinuation(context, vault);
  await keepDecisions(context, vault);
  if (options.problems === true && problems.length > 0) {
    const names = new Set(problems.map(({ name }) => name)).size;
    throw new CommandError(
      'COMMAND_PROBLEMS',
      `${formatCounted(problems.length, 'problem')} at ${formatCounted(names, 'place')}; each is named above`,
    );
  }
}

/** What was looked at is one vault, so that is what is said where there are several. */
function nothingWrong({ info, collector }: Pick<VaultClient, 'info' | 'collector'>): string {
  const others = collector.info.vaults
    .filter(({ vaultId }) => vaultId !== info.vaultId)
    .map(({ name }) => name);
  if (others.length === 0) return 'Nothing is wrong.';
  return foldWords(
    `Nothing is wrong in vault ${info.name}. Ask for the others too, with --vault: ${printable(others.join(', '))}.`,
    80,
    '',
  );
}

/** The collector's own problems first: while its disk is full, no agent's matter. */
function problemsOf({ agents, collectorProblems }: AgentList): ProblemOf[] {
  const called = callsOf(agents);
  return [
    ...collectorProblems.map((problem) => ({ name: COLLECTOR, problem })),
    ...agents.flatMap((agent) =>
      agent.problems.map((problem) => ({ name: called(agent), problem })),
    ),
  ];
}

async function tellJson(
  output: Output,
  { agents, groups, collectorProblems }: AgentList,
  onlyProblems: boolean,
): Promise<void> {
  if (collectorProblems.length > 0)
    await output.result({ event: 'collector', problems: collectorProblems.map(problemJson) });
  for (const agent of agents)
    if (!onlyProblems || agent.problems.length > 0) await output.result(agentJson(agent));
  if (!onlyProblems) for (const group of groups) await output.result(groupJson(group));
}

/**
 * One line an agent, and below what is wrong. Its name is last, for it may be long and is there to
 * be pasted.
 */
function overview({ agents, groups, timeMs }: AgentList, problems: readonly ProblemOf[]): string {
  const none = 'No agents yet; make a bundle with `aliquot enroll NAME --kit KIT --out BUNDLE`.';
  const wrong = problems.length === 0 ? [] : ['', problemList(problems)];
  const open = openGroups(groups, timeMs);
  if (agents.length === 0) return [none, ...open, ...wrong].join('\n');
  const age = (ms: number | undefined) => (ms === undefined ? 'never' : formatAge(timeMs - ms));
  const called = callsOf(agents);
  const rows = agents
    // Who waited and was approved in the place of another never was an agent of its own.
    .filter(({ state, enrolledAtMs }) => state !== 'replaced' || enrolledAtMs !== undefined)
    .flatMap((agent): AgentView[] => [agent, ...besides(agent)])
    .map((agent) => [
      stateText(agent),
      age(agent.lastSeenMs),
      age(agent.lastCommitMs),
      formatCount(agent.files),
      formatBytes(agent.bytes),
      formatCount(agent.heartbeat?.queuedEntries ?? 0),
      agent.problems.length === 0 ? '-' : String(agent.problems.length),
      releaseText(agent),
      settingsText(agent),
      agent.settings.groups.join(',') || '-',
      agent.beside === undefined ? called(agent) : agent.name,
    ]);
  const heads = [
    'STATE',
    'SEEN>',
    'BACKUP>',
    'FILES>',
    'BYTES>',
    'QUEUE>',
    'WRONG>',
    'RELEASE',
    'SETTINGS',
    'GROUP',
    'AGENT',
  ];
  return [...agentTables(heads, rows), ...open, ...wrong].join('\n');
}

/** With whose bundles PCs may still enrol, or could until they were full. */
function openGroups(groups: readonly GroupInfo[], timeMs: number): string[] {
  const open = groups.filter(
    ({ endedAtMs, expiresAtMs }) => endedAtMs === undefined && expiresAtMs > timeMs,
  );
  if (open.length === 0) return [];
  const rows = open.map(({ name, uses, used, names, approve, expiresAtMs }) => [
    name,
    `${formatCount(used)} of ${formatCount(uses)}`,
    formatInstant(expiresAtMs),
    approve ? 'each is approved' : 'any that comes',
    names.join(',') || '*',
  ]);
  return ['', formatTable(['GROUP', 'CAME>', 'UNTIL', 'TAKES', 'NAMED'], rows)];
}

/** `aliquot-agent 0.1.0` as `0.1.0`. */
function releaseText({ software }: AgentInfo): string {
  return software?.replace(/^\S+ /, '') ?? '-';
}

/**
 * Which settings from the desk the PC has: the newest (`12`), older ones (`11, not 12`), or that it
 * refuses them, or does not know what they hold.
 */
function settingsText(agent: AgentInfo): string {
  const { inForce, offered, waiting } = agent.settings;
  if (offered === 0 && inForce === 0) return waiting === 0 ? '-' : `waits ${waiting}`;
  const waits = waiting === 0 ? '' : `, waits ${waiting}`;
  switch (settingsState(agent)) {
    case 'current':
      return `${inForce}${waits}`;
    case 'refused':
      return `refused ${offered}${waits}`;
    case 'cannot':
      return `cannot ${offered}${waits}`;
    default:
      return inForce === 0 ? `not yet ${offered}${waits}` : `${inForce}, not ${offered}${waits}`;
  }
}

function settingsState({
  settings: { inForce, offered, reply },
}: AgentInfo): 'none' | 'current' | 'older' | 'refused' | 'cannot' {
  if (offered === 0 && inForce === 0) return 'none';
  if (inForce >= offered) return 'current';
  return reply !== undefined && reply.sequence >= offered && reply.outcome !== 'applied'
    ? reply.outcome
    : 'older';
}

function settingsJson(agent: AgentInfo): object {
  const { inForce, offered, waiting, groups, reply } = agent.settings;
  const code = reply === undefined || reply.code === '' ? {} : { code: reply.code };
  return { state: settingsState(agent), inForce, offered, waiting, groups, ...code };
}

function stateText(agent: AgentView): string {
  if (agent.beside === 'held') return 'held apart';
  if (agent.beside === 'clone') return `clone of ${agent.enrolledAs}`;
  return agent.connected ? 'connected' : agent.state;
}

function agentJson(agent: AgentInfo): object {
  const { name, agentId, lineageId, state, connected, files, bytes } = agent;
  return {
    agent: name,
    agentId,
    lineageId,
    state,
    ...(agent.group === undefined ? {} : { group: agent.group }),
    connected,
    lastSeen: instantOrNull(agent.lastSeenMs),
    lastCommit: instantOrNull(agent.lastCommitMs),
    files,
    bytes,
    queued: agent.heartbeat?.queuedEntries ?? 0,
    pending: agent.heartbeat?.pending ?? 0,
    unprotected: agent.heartbeat?.unprotected ?? 0,
    unsettled: agent.heartbeat?.unsettled ?? 0,
    release: agent.software?.split(' ')[1] ?? null,
    settings: settingsJson(agent),
    silentAfterSeconds: Math.round(agent.silenceLimitMs / 1000),
    enrolled: instantOrNull(agent.enrolledAtMs),
    ...(agent.endedAtMs === undefined
      ? {}
      : { ended: formatInstant(agent.endedAtMs), endReason: agent.endReason ?? '' }),
    ...(agent.state === 'expected' ? { bundleExpires: formatInstant(agent.expiresAtMs) } : {}),
    ...(agent.histories.length > 0 ? { histories: agent.histories.map(branchJson) } : {}),
    problems: agent.problems.map(problemJson),
  };
}

function groupJson({
  name,
  groupId,
  uses,
  used,
  names,
  approve,
  selfRestore,
  expiresAtMs,
  endedAtMs,
}: GroupInfo): object {
  const ended = endedAtMs === undefined ? {} : { ended: formatInstant(endedAtMs) };
  return {
    event: 'group',
    group: name,
    groupId,
    uses,
    used,
    names,
    approve,
    selfRestore,
    expires: formatInstant(expiresAtMs),
    ...ended,
  };
}

function problemJson({ code, sinceMs, message, count }: ProblemOf['problem']): object {
  return {
    code,
    since: formatInstant(sinceMs),
    message,
    ...(count === undefined ? {} : { count }),
  };
}

function instantOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : formatInstant(ms);
}
