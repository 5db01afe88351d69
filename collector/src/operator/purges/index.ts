import type { Command } from 'commander';
import type { CommandContext } from '../../cli/context.ts';
import { withBy, withKitOrKeyFile } from '../operator-key.ts';
import { withCollector, withExample, withJson, withKit, withNotes } from '../options.ts';
import { type ApproveOptions, approvePurge } from './approve.ts';
import { type CancelOptions, cancelPurge } from './cancel.ts';
import { listPurges, type PurgeListOptions } from './list.ts';
import { type OrderOptions, orderPurge } from './order.ts';

/** `aliquot purge`. */
export function registerPurge(program: Command, context: CommandContext): void {
  const purge = program
    .command('purge')
    .description('Have a subject’s files go for good, names and all: a request, a mistake.');
  withExample(
    purge,
    "aliquot purge order --agent hplc-1 --path '/data/p-0815/**' --reason 'request 2026-11' --by maria.key",
  );

  const order = purge
    .command('order')
    .description('Order that files and folder results of a PC go. Nothing is done yet.')
    .requiredOption('--agent <NAME>', 'the PC')
    .requiredOption('--path <GLOB>', 'what has such a path, or lies below it, in every version')
    .requiredOption('--reason <TEXT>', 'why, for the log: no name of the subject');
  withJson(withBy(withKit(withCollector(order), 'for blind vaults')));
  withNotes(
    order,
    'Another operator approves it, a day later at the earliest. The log records the PC, the reason and opaque ids of the files; paths and pattern stay on this machine. Refused where a lock or a hold covers a version.',
  );
  withExample(
    order,
    "aliquot purge order --agent hplc-1 --path '/data/p-0815/**' --reason 'request 2026-11' --by maria.key",
  );
  order.action(async (options: OrderOptions) => orderPurge(context, options));

  const approve = purge
    .command('approve')
    .description('Have done what another operator has ordered. It cannot be taken back.')
    .argument('ID', 'as `aliquot purge list` shows it');
  withJson(withBy(withKit(withCollector(approve), 'needed')));
  withNotes(
    approve,
    'A day after the order at the earliest. The kit opens the commits on this machine, where their blocks are sealed anew without what goes; the key signs for exactly these. ALIQUOT_PASSPHRASE and --passphrase-file count for both files; on a terminal each is asked for.',
  );
  withExample(approve, 'aliquot purge approve 3f0a91c2 --by ines.key --kit lab.kit');
  approve.action(async (id: string, options: ApproveOptions) => approvePurge(context, id, options));

  const cancel = purge
    .command('cancel')
    .description('Take an order back that nobody has approved yet.')
    .argument('ID', 'as `aliquot purge list` shows it')
    .requiredOption('--reason <TEXT>', 'why, for the log');
  withJson(withKitOrKeyFile(withCollector(cancel)));
  withNotes(cancel, 'The kit signs it, or the key of an operator for retention.');
  withExample(cancel, "aliquot purge cancel 3f0a91c2 --reason 'another subject' --by ines.key");
  cancel.action(async (id: string, options: CancelOptions) => cancelPurge(context, id, options));

  const list = purge
    .command('list')
    .description('Every purge that was ordered, and what became of it.');
  withJson(withCollector(list));
  withExample(list, 'aliquot purge list');
  list.action(async (options: PurgeListOptions) => listPurges(context, options));
}
