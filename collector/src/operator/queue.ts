import { resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatBytes, printable } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { type BroughtQueue, bringQueue } from './bring.ts';
import type { VaultClient } from './client/vault-client.ts';
import {
  type CollectorOptions,
  endpointOf,
  withCollector,
  withExample,
  withJson,
  withNotes,
} from './options.ts';
import { demandContinuation } from './witness.ts';

interface ImportOptions extends CollectorOptions {
  readonly out: string;
  readonly acceptEnded?: boolean;
  readonly json?: boolean;
}

export function registerQueue(program: Command, context: CommandContext): void {
  const queue = program
    .command('queue')
    .description(
      'Queues that were carried here by hand, from PCs that do not reach the collector.',
    );
  withExample(queue, 'aliquot queue import pc-7.queue --out pc-7.receipts');
  const bring = queue
    .command('import <file>')
    .description(
      'Hand a carried queue to the collector, and write the receipts for the PC that it came from.',
    )
    .requiredOption(
      '--out <RECEIPTS>',
      'where to write the receipts; the PC keeps its queue until they are back there',
    );
  bring.option(
    '--accept-ended',
    'take it although its agent was revoked or replaced: it is held apart',
  );
  withJson(withCollector(bring));
  withNotes(
    bring,
    'The way: `aliquot-agent queue export FILE` on the PC, this command here, `aliquot-agent queue import RECEIPTS` on the PC.',
    'Every step may be repeated. The vault is found by the file itself. A file that was cut or altered is refused before anything is sent.',
  );
  withExample(
    bring,
    'aliquot queue import pc-7.queue --out pc-7.receipts --token-file /srv/aliquot/admin.token',
  );
  bring.action(async (file: string, options: ImportOptions) =>
    importCommand(context, file, options),
  );
}

async function importCommand(
  context: CommandContext,
  file: string,
  options: ImportOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const [from, to] = [resolve(file), resolve(options.out)];
  if (from === to)
    throw new UsageError(
      'USAGE_INVALID',
      '--out names the carried queue itself; choose another file for the receipts',
    );
  const endpoint = await endpointOf(context, options);
  const progress = output.progress('handed over');
  let brought: BroughtQueue;
  try {
    const demand = async (vault: VaultClient): Promise<void> => {
      await demandContinuation(context, vault);
    };
    const acceptEnded = options.acceptEnded === true;
    brought = await bringQueue(
      { files: context.files, random: context.random, endpoint, demand, acceptEnded },
      from,
      to,
      (state) => progress.update(state),
    );
  } finally {
    progress.done();
  }
  const { stopped, ...summary } = brought;
  await output.result(
    { event: 'brought', file: from, receipts: to, ...summary, stopped: stopped?.message ?? null },
    textOf(brought, to),
  );
  if (stopped === undefined) return;
  throw new CommandError(
    'COMMAND_CARRIED_PART',
    `commit ${stopped.number} of ${brought.commits} was not taken: ${printable(stopped.message)}`,
  );
}

function textOf({ agent, accepted, repeated, commits, bytes }: BroughtQueue, to: string): string {
  const news = repeated === 0 ? '' : ` (${repeated} had been here before)`;
  const what =
    commits === 0
      ? 'nothing new, only a question'
      : `${accepted} of ${commits} ${commits === 1 ? 'commit' : 'commits'}${news}`;
  return `Agent ${agent}: ${what}, ${formatBytes(bytes)}.\nNext, on that PC: aliquot-agent queue import ${to} --data DIR`;
}
