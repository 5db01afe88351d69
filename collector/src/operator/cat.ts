import { UsageError } from '@aliquot/shared/cli/errors';
import { printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { parseTime, TIME_HELP } from '@aliquot/shared/cli/time';
import { toRestoreItem } from '@aliquot/shared/restore/placing';
import { restoreFiles } from '@aliquot/shared/restore/restore-files';
import type { Command } from 'commander';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { fetchAgain, fetchItems } from './fetch-items.ts';
import { deletedText, newestOf, requireOneTime, versionById } from './one-path.ts';
import { openVault, type ProvedVault } from './open-vault.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withKit,
} from './options.ts';
import { pathOf } from './paths.ts';
import { proofTarget } from './proof-target.ts';
import { UnopenedList } from './unopened.ts';
import type { OpenVersion } from './verified.ts';

interface CatOptions extends CollectorOptions, KitOptions {
  readonly agent: string;
  readonly path?: string;
  readonly version?: string;
  readonly at?: string;
}

export function registerCat(program: Command, context: CommandContext): void {
  const cat = program
    .command('cat')
    .description(
      'One file to standard output. Every chunk is proved before it is printed; if the whole does not prove, the command fails at the end.',
    )
    .requiredOption('--agent <NAME>', 'whose file')
    .option('--path <PATH>', "the file's whole path as on its PC")
    .option('--at <TIME>', `as it was: ${TIME_HELP}; latest unless given`)
    .option(
      '--version <ID>',
      'this version, as ls and versions print it (then --path may be left out)',
    );
  withKit(withCollector(cat), 'needed');
  withExample(
    cat,
    'aliquot cat --kit lab.kit --agent hplc-1 --path /data/run1/signal.csv | sha256sum',
  );
  cat.action(async (options: CatOptions) => catCommand(context, options));
}

async function catCommand(context: CommandContext, options: CatOptions): Promise<void> {
  const output = outputOf(context, {}, 'reads');
  requireOneTime(options);
  const atMs = parseTime(options.at ?? 'latest', context.clock.nowMs(), '--at', output.note);
  const open = await openVault(context, options);
  const unopened = new UnopenedList();
  const version = await versionAt(open, options, atMs, unopened, output);
  let failure: Error | undefined;
  const { content } = open.vault;
  await restoreFiles([toRestoreItem(version)], {
    vaultId: open.kit.descriptor.vaultId,
    fetchItems: (ids) => fetchItems(content, ids),
    fetchAgain: (id) => fetchAgain(content, id),
    writer: proofTarget((bytes) => output.bytes(bytes)),
    onFailure: (_path, error) => {
      failure = error;
    },
  });
  if (failure !== undefined) {
    throw new CommandError(
      'COMMAND_DAMAGED',
      `what was printed is not the file: ${failure.message}; try an earlier version with --at`,
      {
        cause: failure,
      },
    );
  }
  await unopened.tell(output);
}

/**
 * The version that `--version`, or path and time, mean; undefined when it does not open, which was
 * noted.
 */
async function meantVersion(
  open: ProvedVault,
  options: CatOptions,
  atMs: number | undefined,
  unopened: UnopenedList,
) {
  const { agent, path, version } = options;
  const view = await open.vault.roster.history(agent);
  if (version !== undefined) return versionById(open, view, { version, path }, unopened);
  if (path === undefined)
    throw new UsageError('USAGE_MISSING', 'no file; give --path, or --version');
  const newest = await newestOf(open, view, path, atMs, unopened);
  if (newest !== undefined || unopened.versions > 0) return newest;
  const see = `see \`aliquot versions --agent ${view.name} --path PATH\``;
  throw new CommandError(
    'COMMAND_NO_SUCH_FILE',
    `agent ${view.name} had no file ${printable(path)} then; ${see}`,
  );
}

async function versionAt(
  open: ProvedVault,
  options: CatOptions,
  atMs: number | undefined,
  unopened: UnopenedList,
  output: Output,
): Promise<OpenVersion> {
  const version = await meantVersion(open, options, atMs, unopened);
  if (version === undefined) await unopened.tell(output);
  if (version === undefined) throw new TypeError('a version that is missing was not told');
  const name = printable(pathOf(version.row));
  const { kind } = version.entry;
  if (kind === 'gone') throw new CommandError('COMMAND_NO_SUCH_FILE', deletedText(version.row));
  if (kind !== 'file')
    throw new CommandError(
      'COMMAND_NO_SUCH_FILE',
      `${name} is a ${kind}, not a file; use \`aliquot restore\``,
    );
  return version;
}
