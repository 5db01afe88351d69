import type { Command } from 'commander';
import type { CommandContext } from '../../cli/context.ts';
import { type ByOptions, withKitOrKeyFile } from '../operator-key.ts';
import { withCollector, withExample, withJson, withNotes } from '../options.ts';
import {
  approveCommand,
  type RetentionOptions,
  retentionStatus,
  runCommand,
  undoCommand,
} from './run.ts';

/** `aliquot retention`. */
export function registerRetention(program: Command, context: CommandContext): void {
  const retention = program
    .command('retention')
    .description(
      'What expires by the rules of the policy, what waits for a person, what comes back.',
    );
  withExample(retention, 'aliquot retention status');

  const status = retention
    .command('status')
    .description('Which rules are in force, every run, and what can be undone.');
  withJson(withCollector(status));
  withExample(status, 'aliquot retention status');
  status.action(async (options: RetentionOptions) => retentionStatus(context, options));

  const run = retention
    .command('run')
    .description('Expire now what nothing keeps any more; a collector does it daily by itself.')
    .option('--dry-run', 'only say what would expire, and which brake would hold it');
  withJson(withCollector(run));
  withNotes(
    run,
    'What expires is still there, and comes back with `aliquot retention undo`, for the grace of the policy. A run that would let go more than 5 % of the bytes of the vault, or 10 % of the versions of a PC and more than 100, waits for a person; so do several within seven days that come to that together, and to more than came in them. Exit code 3: a brake holds it, and each is named.',
  );
  withExample(run, 'aliquot retention run --dry-run');
  run.action(async (options: RetentionOptions & { dryRun?: boolean }) =>
    runCommand(context, options),
  );

  const approve = retention
    .command('approve')
    .description('Let a run go on that waits for a person.')
    .argument('RUN', 'its number, as `aliquot retention status` shows it');
  withJson(withKitOrKeyFile(withCollector(approve)));
  withNotes(
    approve,
    'The kit signs it, or the key of an operator for retention: the token alone lets nothing go. It is looked at again what goes; what was decided to stay since then stays, and more than was approved waits again.',
  );
  withExample(approve, 'aliquot retention approve 7 --by maria.key');
  approve.action(async (number: string, options: RetentionOptions & ByOptions) =>
    approveCommand(context, number, options),
  );

  const undo = retention
    .command('undo')
    .description('Have back what a run expired; it stays until the rules change.')
    .argument('RUN', 'its number, as `aliquot retention status` shows it');
  withJson(withCollector(undo));
  withExample(undo, 'aliquot retention undo 8');
  undo.action(async (number: string, options: RetentionOptions) =>
    undoCommand(context, number, options),
  );
}
