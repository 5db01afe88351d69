import { formatInstant } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { inspectedVault } from './choose-vault.ts';
import { type CollectorOptions, withCollector, withExample, withJson } from './options.ts';

interface LostOptions extends CollectorOptions {
  readonly reason: string;
  readonly json?: boolean;
}

/** `agent lost`: nobody waits for a PC any more before something is swept. */
export function registerLost(agent: Command, context: CommandContext): void {
  const lost = agent
    .command('lost')
    .description(
      'Say that a PC does not come back, so that collection waits for it no more. What waits in its queue is at risk then; if it does come back, it is waited for again.',
    )
    .argument('NAME', "the agent's name")
    .option('--reason <TEXT>', 'why, for the log', 'said to be lost by the operator');
  withJson(withCollector(lost));
  withExample(lost, "aliquot agent lost hplc-1 --reason 'stands in a cupboard'");
  lost.action(async (name: string, options: LostOptions) => {
    const output = outputOf(context, options);
    const vault = await inspectedVault(context, options);
    const { agentId, lastSeenMs } = await vault.roster.agent(name);
    await vault.roster.lostAgent(agentId, options.reason);
    const seen =
      lastSeenMs === undefined ? 'it was never seen' : `seen ${formatInstant(lastSeenMs)}`;
    await output.result(
      { event: 'lost', agent: name, agentId, lastSeenMs },
      `Nobody waits for agent ${name} any more (${seen}). At risk: results that it captured and has not sent. What it backed up stays; when it comes back it goes on, and names what it cannot send whole.`,
    );
  });
}
