import { UsageError } from '@aliquot/shared/cli/errors';
import { formatBytes, formatInstant, formatTable, formatTime } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import type { BranchInfo } from '../api/messages.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { inspectedVault } from './choose-vault.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
} from './options.ts';

interface ForkOptions extends CollectorOptions, KitOptions {
  readonly json?: boolean;
}

interface DecideOptions extends ForkOptions {
  readonly restored?: boolean;
  readonly clone?: string;
}

export function registerFork(program: Command, context: CommandContext): void {
  const fork = program
    .command('fork')
    .description(
      'Two histories under one identity: a copied folder or disk, or a PC that was put back to an older state.',
    );
  withExample(fork, 'aliquot fork list');
  const list = fork
    .command('list')
    .description('What is held apart until somebody decides, and the clones that were named.');
  withJson(withCollector(list));
  withExample(list, 'aliquot fork list');
  list.action(async (options: ForkOptions) => listForks(context, options));

  const decide = fork
    .command('decide')
    .description(
      'Say whose a branch held apart is. It is said once and for all; nothing is deleted either way.',
    )
    .argument('HISTORY', 'its name as `aliquot fork list` shows it, such as hplc-1~0a1b2c3d')
    .option(
      '--restored',
      "it is the agent's own PC, put back to an older state: its versions join the agent's, and it goes on as the agent",
    )
    .option(
      '--clone <NEWNAME>',
      'it is another PC, such as a copied disk: its versions stay apart for good, under this name',
    );
  withJson(withCollector(decide));
  withExample(
    decide,
    'aliquot fork decide hplc-1~0a1b2c3d --restored',
    'aliquot fork decide hplc-1~0a1b2c3d --clone hplc-7',
  );
  decide.action(async (name: string, options: DecideOptions) => decideFork(context, name, options));
}

async function listForks(context: CommandContext, options: ForkOptions): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const vault = await inspectedVault(context, options);
  const { agents } = await vault.roster.list();
  const forks = agents.flatMap((agent) =>
    agent.histories.map((history) => ({ agent: agent.name, history })),
  );
  if (output.json) {
    for (const { agent, history } of forks)
      await output.result({ of: agent, ...branchJson(history) });
    return;
  }
  const rows = forks.map(({ agent, history }) => [
    history.name,
    agent,
    history.state === 'held' ? 'held apart: nobody has decided' : 'clone',
    formatTime(history.openedAtMs),
    formatTime(history.lastCommitMs),
    history.files,
    formatBytes(history.bytes),
  ]);
  const table = formatTable(
    ['NAME', 'OF', 'STATE', 'SINCE', 'LAST COMMIT', 'FILES>', 'BYTES>'],
    rows,
  );
  const undecided = forks.find(({ history }) => history.state === 'held');
  const help =
    undecided === undefined
      ? ''
      : `\nSee what is in one with \`aliquot ls --agent ${undecided.history.name}\`, then say whose it is:\n` +
        `  the agent's own PC, put back to an older state:  aliquot fork decide ${undecided.history.name} --restored\n` +
        `  another PC with a copy of its disk or folder:    aliquot fork decide ${undecided.history.name} --clone NEWNAME`;
  await output.result({}, forks.length === 0 ? 'Every agent has one history.' : table + help);
}

async function decideFork(
  context: CommandContext,
  name: string,
  options: DecideOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const { clone } = options;
  if ((options.restored === true) === (clone !== undefined)) {
    throw new UsageError(
      'USAGE_MISSING',
      'say whose it is: --restored (the same PC, put back) or --clone NEWNAME (another PC)',
    );
  }
  const vault = await inspectedVault(context, options);
  const { name: of } = await vault.roster.decideFork(
    name,
    clone === undefined ? { decision: 'restored' } : { decision: 'clone', name: clone },
  );
  const text =
    clone === undefined
      ? `${name} is ${of} itself, put back: its versions are among those of ${of} now, and it goes on as ${of}.`
      : `${name} is another PC, called ${clone} from now on. It still uses the identity of ${of}: enroll it anew with \`aliquot enroll\`.`;
  await output.result(
    {
      event: 'decided',
      history: name,
      of,
      decision: clone === undefined ? 'restored' : 'clone',
      name: clone ?? of,
    },
    text,
  );
}

/** A history beside an agent's own, as scripts see it. */
export function branchJson({
  name,
  branchId,
  state,
  openedAtMs,
  lastCommitMs,
  files,
  bytes,
}: BranchInfo): object {
  return {
    name,
    branchId,
    state,
    since: formatInstant(openedAtMs),
    lastCommit: formatInstant(lastCommitMs),
    files,
    bytes,
  };
}
