import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { parseTime, TIME_HELP } from '@aliquot/shared/cli/time';
import { toRestoreItem } from '@aliquot/shared/restore/placing';
import { RestoreWriter } from '@aliquot/shared/restore/writer';
import type { Command } from 'commander';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import type { AgentView } from './agent-view.ts';
import { deletedText, newestOf, requireOneTime, versionById } from './one-path.ts';
import { openVault, type ProvedVault } from './open-vault.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
} from './options.ts';
import { type PathOptions, type WantedPaths, wantedPaths, withPaths } from './path-options.ts';
import { provedState } from './proof/answers.ts';
import { restoreResult } from './restore-result.ts';
import { type FailedName, tellFailures, tellRestored } from './restore-told.ts';
import { FileThreads } from './restoring.ts';
import { UnopenedList } from './unopened.ts';
import type { OpenVersion } from './verified.ts';

interface RestoreOptions extends CollectorOptions, KitOptions, PathOptions {
  readonly agent: string;
  readonly at?: string;
  readonly version?: string;
  readonly result?: string;
  readonly to: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export function registerRestore(program: Command, context: CommandContext): void {
  const restore = program
    .command('restore')
    .description(
      'Fetch files, prove and open them with the kit on this machine, and write them below DIR with their whole paths.',
    )
    .requiredOption('--agent <NAME>', 'whose files');
  withPaths(restore)
    .option('--at <TIME>', `the files as they were: ${TIME_HELP}; latest unless given`)
    .option('--version <ID>', 'only this version of a file, as ls and versions print it')
    .option('--result <PATH>', 'the folder result with this whole path, whole or not at all')
    .requiredOption(
      '--to <DIR>',
      'where to; /data/run1/x becomes DIR/data/run1/x, C:\\Data\\x becomes DIR/C/Data/x',
    )
    .option('--overwrite', 'replace other files of the same name below DIR');
  withJson(withKit(withCollector(restore), 'needed'));
  withExample(
    restore,
    "aliquot restore --kit lab.kit --agent hplc-1 --path '/data/run1' --at 3d --to ./back",
    'aliquot restore --kit lab.kit --agent hplc-1 --result /data/run1.D --to ./back',
  );
  restore.action(async (options: RestoreOptions) => restoreCommand(context, options));
}

async function restoreCommand(context: CommandContext, options: RestoreOptions): Promise<void> {
  const output = outputOf(context, options);
  requireOneTime(options);
  const atMs = parseTime(options.at ?? 'latest', context.clock.nowMs(), '--at', output.note);
  const paths = await wantedPaths(context, options);
  if (options.result !== undefined && (!paths.all || options.overwrite === true)) {
    const says = `--result is for one folder result and replaces nothing; leave out ${paths.all ? '--overwrite' : '--path'}`;
    throw new UsageError('USAGE_INVALID', says);
  }
  const threads = new FileThreads();
  try {
    const open = await openVault(context, options, () => threads.start());
    const { result: root, version, to } = options;
    if (root === undefined)
      await restoreFrom(context, options, { open, threads, atMs, paths, output });
    else {
      const agent = await open.vault.roster.history(options.agent);
      const wanted = { agent, root, atMs, version, to };
      await restoreResult(context, { open, threads, output }, wanted);
    }
  } finally {
    await threads.close();
  }
}

interface Restoring {
  readonly open: ProvedVault;
  readonly threads: FileThreads;
  readonly atMs: number | undefined;
  readonly paths: WantedPaths;
  readonly output: Output;
}

async function restoreFrom(
  context: CommandContext,
  options: RestoreOptions,
  { open, threads, atMs, paths, output }: Restoring,
): Promise<void> {
  const agent = await open.vault.roster.history(options.agent);
  const unopened = new UnopenedList();
  const one = await oneVersion(open, agent, options, atMs, unopened);
  if (one === undefined && options.version !== undefined) await unopened.tell(output);
  const wanted = () =>
    one === undefined ? selected(open, agent, atMs, paths, unopened) : single(one);
  const whole =
    one === undefined && atMs === undefined && paths.all && options.version === undefined;
  const totals = await totalsOf(context, agent, whole, wanted);
  if (totals.none) {
    await unopened.tell(output);
    await paths.requireFound(output, false);
    const what =
      options.path === undefined
        ? `agent ${agent.name} had no files`
        : `nothing of agent ${agent.name} matches ${options.path}`;
    throw new CommandError(
      'COMMAND_NO_SUCH_FILE',
      `${what} at ${options.at ?? 'latest'}; see \`aliquot ls --agent ${agent.name}\``,
    );
  }
  const writer = await RestoreWriter.open({
    port: context.files,
    random: context.random,
    root: options.to,
    overwrite: options.overwrite === true,
  });
  const failures: FailedName[] = [];
  const progress = output.progress('restored');
  const summary = await threads
    .restore(
      open,
      items(wanted()),
      { overwrite: options.overwrite === true },
      {
        writer,
        onProgress: ({ files, bytes, path }) =>
          progress.update({ files, bytes, ...totals.figures, current: () => pathText(path) }),
        onFailure: (path, error) => {
          failures.push({ path, error });
        },
      },
    )
    .finally(() => progress.done());
  for (const { code, message } of agent.problems)
    if (code === 'versions-lost') output.note(`not restored, because it is lost: ${message}`);
  await tellFailures(output, failures);
  await tellRestored(output, summary, options.to);
  await unopened.tell(output);
  await paths.requireFound(output, true);
}

/**
 * The version that `--version` means, or the file that a path means by itself: to find it takes its
 * own commits, not a walk over all names. A folder is not one, nor a path that was spelled in
 * another way than it is kept (on Windows `\` and `/` are the same).
 */
async function oneVersion(
  open: ProvedVault,
  agent: AgentView,
  { version, path }: RestoreOptions,
  atMs: number | undefined,
  unopened: UnopenedList,
): Promise<OpenVersion | undefined> {
  if (version !== undefined) return versionById(open, agent, { version, path }, unopened);
  if (path === undefined) return undefined;
  const newest = await newestOf(open, agent, path, atMs, unopened);
  if (newest?.entry.kind === 'gone')
    throw new CommandError('COMMAND_NO_SUCH_FILE', deletedText(newest.row));
  if (newest?.entry.kind === 'file' || newest?.entry.kind === 'symlink') return newest;
  return undefined;
}

async function* single(version: OpenVersion): AsyncGenerator<OpenVersion> {
  yield version;
}

/** The verified versions that were asked for. */
async function* selected(
  open: ProvedVault,
  agent: AgentView,
  atMs: number | undefined,
  paths: WantedPaths,
  unopened: UnopenedList,
): AsyncGenerator<OpenVersion> {
  const all = () => provedState(open, agent, atMs, unopened);
  yield* paths.of(all, ({ list }) => ({ path: pathText(list.path), platform: list.platform }));
}

async function* items(versions: AsyncIterable<OpenVersion>) {
  for await (const version of versions) yield toRestoreItem(version);
}

/**
 * How much there is to do. For a whole agent the collector's own figures do; else the names are
 * walked through once, on a terminal to the end (somebody wants to know the time left), elsewhere
 * only to see that there is something.
 */
async function totalsOf(
  context: CommandContext,
  agent: AgentView,
  whole: boolean,
  wanted: () => AsyncIterable<OpenVersion>,
) {
  if (whole && agent.files > 0)
    return { none: false, figures: { totalFiles: agent.files, totalBytes: agent.bytes } };
  let files = 0;
  let bytes = 0;
  let any = false;
  for await (const { entry } of wanted()) {
    any = true;
    if (context.stderr.isTTY !== true) return { none: false, figures: {} };
    if (entry.kind === 'file') files++;
    bytes += entry.size;
  }
  return { none: !any, figures: { totalFiles: files, totalBytes: bytes } };
}
