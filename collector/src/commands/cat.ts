import { printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { parseTime, timeHelp } from '@aliquot/shared/cli/time';
import { OpenPool } from '@aliquot/shared/restore/open-pool';
import { restoreFiles, toRestoreItem } from '@aliquot/shared/restore/restore-files';
import type { Command } from 'commander';
import { CommandError } from './command-error.ts';
import { type CommandContext, outputOf } from './context.ts';
import { fetchItems } from './fetch-items.ts';
import { newestOf } from './one-path.ts';
import { type OpenVault, openVault } from './open-vault.ts';
import { type CollectorOptions, type KitOptions, withCollector, withExample, withKit } from './options.ts';
import { instantText } from './paths.ts';
import { proofTarget } from './proof-target.ts';
import { UnopenedList } from './unopened.ts';
import { certifiedAgent, type OpenVersion } from './verified.ts';

interface CatOptions extends CollectorOptions, KitOptions {
  readonly agent: string;
  readonly path: string;
  readonly at?: string;
}

export function registerCat(program: Command, context: CommandContext): void {
  const cat = program
    .command('cat')
    .description(
      'One file to standard output. Every chunk is proved before it is printed; if the whole does not prove, the command fails at the end.',
    )
    .requiredOption('--agent <NAME>', 'whose file')
    .requiredOption('--path <PATH>', "the file's whole path as on its PC")
    .option('--at <TIME>', `as it was: ${timeHelp}`, 'latest');
  withKit(withCollector(cat), 'needed');
  withExample(cat, 'aliquot cat --kit lab.kit --agent hplc-1 --path /data/run1/signal.csv | sha256sum');
  cat.action(async (options: CatOptions) => catCommand(context, options));
}

async function catCommand(context: CommandContext, options: CatOptions): Promise<void> {
  const output = outputOf(context, {}, 'reads');
  const atMs = parseTime(options.at ?? 'latest', context.clock.nowMs(), '--at', output.note);
  const open = await openVault(context, options);
  const unopened = new UnopenedList();
  const version = await versionAt(open, options, atMs, unopened, output);
  let failure: Error | undefined;
  const opener = new OpenPool();
  await restoreFiles({
    vaultId: open.kit.descriptor.vaultId,
    items: [toRestoreItem(version)],
    fetchChunks: (ids) => fetchItems(open.vault, ids),
    writer: proofTarget((bytes) => output.bytes(bytes)),
    opener,
    onFailure: (_path, error) => {
      failure = error;
    },
  }).finally(() => opener.close());
  if (failure !== undefined) {
    throw new CommandError('COMMAND_DAMAGED', `what was printed is not the file: ${failure.message}; try an earlier version with --at`, {
      cause: failure,
    });
  }
}

async function versionAt(
  open: OpenVault,
  options: CatOptions,
  atMs: number | undefined,
  unopened: UnopenedList,
  output: Output,
): Promise<OpenVersion> {
  const info = await open.vault.history(options.agent);
  const agent = certifiedAgent(open.kit, info);
  const newest = await newestOf(open, info.agentId, agent, options.path, atMs, unopened);
  await unopened.tell(output);
  const name = printable(options.path);
  const see = `see \`aliquot versions --agent ${agent.name} --path PATH\``;
  if (newest === undefined) throw new CommandError('COMMAND_NO_SUCH_FILE', `agent ${agent.name} had no file ${name} then; ${see}`);
  const { kind } = newest.entry;
  if (kind === 'gone') {
    throw new CommandError('COMMAND_NO_SUCH_FILE', `${name} was deleted, as captured at ${instantText(newest.row.versionTimeMs)}; ${see}`);
  }
  if (kind !== 'file') throw new CommandError('COMMAND_NO_SUCH_FILE', `${name} is a ${kind}, not a file; use \`aliquot restore\``);
  return newest;
}
