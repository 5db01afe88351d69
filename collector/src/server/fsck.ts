import { UsageError } from '@aliquot/shared/cli/errors';
import { formatBytes, formatCounted, printable } from '@aliquot/shared/cli/format';
import { withExample, withJson } from '@aliquot/shared/cli/help';
import type { Command } from 'commander';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { fsckCollector } from '../store/fsck/fsck.ts';
import type { Finding } from '../store/fsck-finding.ts';

interface FsckOptions {
  readonly data: string;
  readonly repair?: boolean;
  readonly packsLost?: boolean;
  readonly json?: boolean;
}

export function registerFsck(program: Command, context: CommandContext): void {
  const fsck = program
    .command('fsck')
    .description(
      "Prove a collector's folder: packs, catalog, commits, log. Reads a folder in use consistently; exit 1 if anything is found.",
    )
    .requiredOption('--data <DIR>', 'the folder that `aliquot init` made')
    .option(
      '--repair',
      'cut torn tails and rebuild the catalog from the packs; stop `aliquot serve` first',
    )
    .option(
      '--packs-lost',
      'with --repair, where a vault has no pack left: begin without them; agents send again what they still have',
    );
  withJson(fsck);
  withExample(fsck, 'aliquot fsck --data /srv/aliquot');
  fsck.action(async (options: FsckOptions) => fsckCommand(context, options));
}

async function fsckCommand(context: CommandContext, options: FsckOptions): Promise<void> {
  const { repair = false, packsLost = false } = options;
  if (packsLost && !repair)
    throw new UsageError(
      'USAGE_MISSING',
      '--packs-lost goes with --repair: stop `aliquot serve`, and give both',
    );
  const output = outputOf(context, options);
  const { files, clock, random } = context;
  const progress = output.progress('checked');
  // Findings come from a callback; they are printed in order, and nothing waits for a slow reader
  // in between.
  let printed: Promise<void> = Promise.resolve();
  const summary = await fsckCollector(options.data, {
    files,
    clock,
    random,
    repair,
    packsLost,
    onFinding: (finding) => {
      printed = printed.then(() =>
        output.result({ event: 'finding', ...finding }, findingText(finding)),
      );
      printed.catch(() => undefined); // thrown where it is awaited
    },
    onProgress: (bytes, totalBytes) => progress.update({ bytes, totalBytes }),
  }).finally(() => progress.done());
  await printed;
  const { vaults, packs, bytes, commits, items, faults, repaired } = summary;
  const counted = `${formatCounted(vaults, 'vault')}, ${formatCounted(packs, 'pack')} (${formatBytes(bytes)}), ${items} items, ${formatCounted(commits, 'commit')}`;
  await output.result(
    { event: 'summary', ...summary },
    `${counted}: ${faults === 0 ? 'sound' : formatCounted(faults, 'fault')}${repaired > 0 ? `, ${repaired} repaired` : ''}`,
  );
  if (faults > 0)
    throw new CommandError(
      'COMMAND_FSCK',
      `${options.data} has ${formatCounted(faults, 'fault')}; each is named above with its remedy`,
    );
}

function findingText({ severity, code, what, where, remedy }: Finding): string {
  return printable(`${severity}  ${code}  ${where}: ${what}; ${remedy}`);
}
