import { PartialError } from '@aliquot/shared/cli/errors';
import { formatBytes, pathText, printable } from '@aliquot/shared/cli/format';
import { globMatcher, isOnePath } from '@aliquot/shared/cli/glob';
import type { Output } from '@aliquot/shared/cli/output';
import { parseTime, timeHelp } from '@aliquot/shared/cli/time';
import type { RestoreError } from '@aliquot/shared/restore/errors';
import { OpenPool } from '@aliquot/shared/restore/open-pool';
import { restoreFiles, toRestoreItem } from '@aliquot/shared/restore/restore-files';
import { RestoreWriter } from '@aliquot/shared/restore/writer';
import type { Command } from 'commander';
import type { AgentView } from './agent-view.ts';
import { CommandError } from './command-error.ts';
import { type CommandContext, outputOf } from './context.ts';
import { fetchItems } from './fetch-items.ts';
import { newestOf } from './one-path.ts';
import { type OpenVault, openVault } from './open-vault.ts';
import { type CollectorOptions, type KitOptions, withCollector, withExample, withJson, withKit } from './options.ts';
import { UnopenedList } from './unopened.ts';
import { certifiedAgent, type OpenVersion, openVersions } from './verified.ts';

interface RestoreOptions extends CollectorOptions, KitOptions {
  readonly agent: string;
  readonly path?: string;
  readonly at?: string;
  readonly to: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export function registerRestore(program: Command, context: CommandContext): void {
  const restore = program
    .command('restore')
    .description('Fetch files, prove and open them with the kit on this machine, and write them below DIR with their whole paths.')
    .requiredOption('--agent <NAME>', 'whose files')
    .option('--path <GLOB>', 'only paths that match whole, or lie below a folder that matches')
    .option('--at <TIME>', `the files as they were: ${timeHelp}`, 'latest')
    .requiredOption('--to <DIR>', 'where to; /data/run1/x becomes DIR/data/run1/x, C:\\Data\\x becomes DIR/C/Data/x')
    .option('--overwrite', 'replace other files of the same name below DIR');
  withJson(withKit(withCollector(restore), 'needed'));
  withExample(restore, "aliquot restore --kit lab.kit --agent hplc-1 --path '/data/run1' --at 3d --to ./back");
  restore.action(async (options: RestoreOptions) => restoreCommand(context, options));
}

async function restoreCommand(context: CommandContext, options: RestoreOptions): Promise<void> {
  const output = outputOf(context, options);
  const atMs = parseTime(options.at ?? 'latest', context.clock.nowMs(), '--at', output.note);
  const matches = options.path === undefined ? undefined : globMatcher(options.path);
  const opener = new OpenPool();
  opener.start();
  try {
    const open = await openVault(context, options);
    await restoreFrom(context, options, { open, opener, atMs, matches, output });
  } finally {
    await opener.close();
  }
}

interface Restoring {
  readonly open: OpenVault;
  readonly opener: OpenPool;
  readonly atMs: number | undefined;
  readonly matches: ReturnType<typeof globMatcher> | undefined;
  readonly output: Output;
}

async function restoreFrom(
  context: CommandContext,
  options: RestoreOptions,
  { open, opener, atMs, matches, output }: Restoring,
): Promise<void> {
  const agent = await open.vault.history(options.agent);
  const unopened = new UnopenedList();
  const one = options.path === undefined ? undefined : await oneFile(open, agent, options.path, atMs, unopened);
  const wanted = () => (one === undefined ? selected(open, agent, atMs, matches, unopened) : single(one));
  const totals = await totalsOf(context, agent, atMs === undefined && matches === undefined, wanted);
  if (totals.none) {
    await unopened.tell(output);
    const what = options.path === undefined ? `agent ${agent.name} had no files` : `nothing of agent ${agent.name} matches ${options.path}`;
    throw new CommandError('COMMAND_NO_SUCH_FILE', `${what} at ${options.at ?? 'latest'}; see \`aliquot ls --agent ${agent.name}\``);
  }
  const writer = await RestoreWriter.open({
    port: context.files,
    random: context.random,
    root: options.to,
    overwrite: options.overwrite === true,
  });
  const failures: { path: Uint8Array; error: RestoreError }[] = [];
  const progress = output.progress('restored');
  const summary = await restoreFiles({
    vaultId: open.kit.descriptor.vaultId,
    items: items(wanted()),
    fetchChunks: (ids) => fetchItems(open.vault, ids),
    writer,
    opener,
    onProgress: (done) => progress.update({ ...done, ...totals.figures }),
    onFailure: (path, error) => {
      failures.push({ path, error });
      if (!output.json) output.note(`not restored: ${error.message} [${error.code}]`);
    },
  }).finally(() => progress.done());
  for (const { code, message } of agent.problems) if (code === 'versions-lost') output.note(`not restored, because it is lost: ${message}`);
  await tell(output, summary, failures, options.to);
  await unopened.tell(output);
}

/**
 * The file that a path means by itself. To find it takes its own commits, not a walk over all names. Not on Windows, where the same path in other
 * letters may be meant as well.
 */
async function oneFile(
  open: OpenVault,
  agent: AgentView,
  path: string,
  atMs: number | undefined,
  unopened: UnopenedList,
): Promise<OpenVersion | undefined> {
  if (!isOnePath(path)) return undefined;
  const newest = await newestOf(open, agent.agentId, certifiedAgent(open.kit, agent), path, atMs, unopened);
  return newest?.entry.kind === 'file' && newest.list.platform === 'posix' ? newest : undefined;
}

async function* single(version: OpenVersion): AsyncGenerator<OpenVersion> {
  yield version;
}

/** The verified versions that were asked for. */
async function* selected(
  { kit, vault, collector }: OpenVault,
  agent: AgentView,
  atMs: number | undefined,
  matches: ReturnType<typeof globMatcher> | undefined,
  unopened: UnopenedList,
): AsyncGenerator<OpenVersion> {
  for await (const version of openVersions(vault.state(agent.agentId, atMs), kit, collector, certifiedAgent(kit, agent), unopened)) {
    if (matches === undefined || matches(pathText(version.list.path), version.list.platform)) yield version;
  }
}

async function* items(versions: AsyncIterable<OpenVersion>) {
  for await (const version of versions) yield toRestoreItem(version);
}

/**
 * How much there is to do. For a whole agent the collector's own figures do; else the names are walked through once, on a terminal
 * to the end (somebody wants to know the time left), elsewhere only to see that there is something.
 */
async function totalsOf(context: CommandContext, agent: AgentView, whole: boolean, wanted: () => AsyncIterable<OpenVersion>) {
  if (whole && agent.files > 0) return { none: false, figures: { totalFiles: agent.files, totalBytes: agent.bytes } };
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

async function tell(
  output: Output,
  summary: Awaited<ReturnType<typeof restoreFiles>>,
  failures: readonly { path: Uint8Array; error: RestoreError }[],
  to: string,
): Promise<void> {
  for (const { path, error } of failures) {
    await output.result({ event: 'failed', path: pathText(path), code: error.code, message: error.message });
  }
  const { files, bytes, directories, links, same, growing, failed } = summary;
  const also = [
    directories > 0 ? `${directories} folders` : '',
    links > 0 ? `${links} links` : '',
    same > 0 ? `${same} were there already` : '',
    growing > 0 ? `${growing} captured while growing, proved piece by piece: they have no hash of the whole` : '',
  ];
  const extra = also.filter((text) => text !== '').join(', ');
  await output.result(
    { event: 'summary', files, bytes, failed, directories, links, same, growing },
    `${files} files, ${formatBytes(bytes)} restored and proved, below ${printable(to)}${extra === '' ? '' : ` (${extra})`}`,
  );
  if (failed > 0) throw new PartialError(`${failed} ${failed === 1 ? 'name' : 'names'} could not be restored; each is named above`);
}
