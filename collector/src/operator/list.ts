import { UsageError } from '@aliquot/shared/cli/errors';
import { formatBytes, formatRow, formatTime, printable } from '@aliquot/shared/cli/format';
import { didYouMean } from '@aliquot/shared/cli/nearest';
import type { Output } from '@aliquot/shared/cli/output';
import { isOnePath } from '@aliquot/shared/cli/path-set';
import { parseTime, TIME_HELP } from '@aliquot/shared/cli/time';
import type { Command } from 'commander';
import type { NameRow } from '../api/messages.ts';
import { CommandError } from '../cli/command-error.ts';
import type { CommandContext } from '../cli/context.ts';
import { paged } from '../cli/pager.ts';
import { everyBranch } from './agent-view.ts';
import { type ArrangeOptions, arranged, withArrange } from './arrange.ts';
import { listResults, listResultVersions } from './list-results.ts';
import { nameSource } from './names.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
  withNotes,
} from './options.ts';
import { PathGuess } from './path-guess.ts';
import { type PathOptions, wantedPaths, withPaths } from './path-options.ts';
import { instantText, mtimeMs, nameOf, pathJson, pathOf } from './paths.ts';
import { UnopenedList } from './unopened.ts';

interface ListOptions extends CollectorOptions, KitOptions, PathOptions, ArrangeOptions {
  readonly agent?: string;
  readonly at?: string;
  readonly folders?: boolean;
  readonly results?: boolean;
  readonly json?: boolean;
}

interface VersionsOptions extends CollectorOptions, KitOptions {
  readonly agent: string;
  readonly path: string;
  readonly json?: boolean;
}

export function registerList(program: Command, context: CommandContext): void {
  const ls = program
    .command('ls')
    .description(
      'List the files as they were at a time: agent, size, time of the file, version, path.',
    )
    .option('--agent <NAME>', 'one agent; all agents unless given')
    .option('--at <TIME>', TIME_HELP, 'latest')
    .option('--folders', 'list folders too')
    .option('--results', 'list folder results instead, such as run.D: one line each');
  withArrange(withPaths(ls));
  withJson(withKit(withCollector(ls), 'for blind vaults'));
  withNotes(
    ls,
    'The version is the first 16 digits of the commit and the place in it; `aliquot versions` has the same.',
  );
  withExample(
    ls,
    "aliquot ls --agent hplc-1 --path '/data/**/*.csv' --at 2026-11-20",
    'aliquot ls --agent hplc-1 --results',
  );
  ls.action((options: ListOptions) =>
    paged(context, options, (output) => list(context, output, options)),
  );

  const versions = program
    .command('versions')
    .description(
      'List every kept version of one file or folder result, oldest first; a deletion is a line of its own.',
    )
    .requiredOption('--agent <NAME>', 'the agent that the file belongs to')
    .requiredOption('--path <PATH>', 'its whole path as on its PC');
  withJson(withKit(withCollector(versions), 'for blind vaults'));
  withExample(versions, 'aliquot versions --agent hplc-1 --path /data/run1/signal.csv');
  versions.action((options: VersionsOptions) =>
    paged(context, options, (output) => listVersions(context, output, options)),
  );
}

async function list(context: CommandContext, output: Output, options: ListOptions): Promise<void> {
  if (options.results === true && options.folders === true)
    throw new UsageError('USAGE_INVALID', 'give --results or --folders, not both');
  const atMs = parseTime(options.at ?? 'latest', context.clock.nowMs(), '--at', output.note);
  const wanted = await wantedPaths(context, options);
  const unopened = new UnopenedList();
  const source = await nameSource(context, options, unopened);
  const agents =
    options.agent === undefined
      ? everyBranch(await source.roster())
      : [await source.vault.roster.history(options.agent)];
  const width = Math.max(0, ...agents.map(({ name }) => name.length));
  const guess =
    options.path !== undefined && isOnePath(options.path) ? new PathGuess(options.path) : undefined;
  const passedBy = (path: string) => {
    if (!met) guess?.consider(path);
  };
  let met = false;
  async function* matching(): AsyncGenerator<NameRow> {
    for (const agent of agents) {
      for await (const row of wanted.of(() => source.state(agent, atMs), nameOf, passedBy)) {
        met = true;
        if (row.kind !== 'directory' || options.folders === true) yield row;
      }
    }
  }
  const { columns } = context.stdout;
  if (options.results === true) {
    const listing = { source, agents, atMs, wanted, options, columns };
    met = await listResults(output, listing, passedBy);
  } else {
    const rows = arranged(matching(), options, (row) => ({
      name: pathOf(row),
      size: row.size,
      timeMs: mtimeMs(row),
    }));
    for await (const row of rows) await output.result(rowJson(row), rowText(row, width, columns));
  }
  await unopened.tell(output);
  await wanted.requireFound(output, met);
  if (!met && options.path === undefined)
    output.note(
      `${options.results === true ? 'No folder result' : 'Nothing'} was there${atMs === undefined ? ' yet' : ` at ${instantText(atMs)}`}.`,
    );
  if (options.path === undefined || met) return;
  const when = atMs === undefined ? '' : ` at ${instantText(atMs)}`;
  const who = options.agent === undefined ? 'any agent' : `agent ${options.agent}`;
  const hint =
    didYouMean(guess?.best) || '; `aliquot find` looks among deleted files and older versions too';
  throw new CommandError(
    'COMMAND_NO_SUCH_FILE',
    `no ${options.results === true ? 'folder result' : 'path'} of ${who} matches ${options.path}${when}${hint}`,
  );
}

async function listVersions(
  context: CommandContext,
  output: Output,
  options: VersionsOptions,
): Promise<void> {
  const unopened = new UnopenedList();
  const source = await nameSource(context, options, unopened);
  const agent = await source.vault.roster.history(options.agent);
  const { columns } = context.stdout;
  // A folder result says more than the folder that is its root.
  const results = source.resultVersions(agent, options.path);
  let found = await listResultVersions(output, results, columns);
  if (!found)
    for await (const row of source.versions(agent, options.path)) {
      found = true;
      await output.result(rowJson(row), versionText(row, columns));
    }
  await unopened.tell(output);
  if (found) return;
  const guess = new PathGuess(options.path);
  for await (const row of source.state(agent, undefined)) guess.consider(pathOf(row));
  const hint =
    didYouMean(guess.best) ||
    `; give the whole path as \`aliquot ls --agent ${options.agent}\` lists it`;
  throw new CommandError(
    'COMMAND_NO_SUCH_FILE',
    `no version of ${options.path} by agent ${options.agent}${hint}`,
  );
}

/**
 * One version as scripts see it. Times are RFC 3339; `time` is the version's, by which `--at`
 * selects.
 */
export function rowJson(row: NameRow): object {
  const { agent, kind, size, version } = row;
  return {
    agent,
    ...pathJson(row),
    kind,
    size,
    mtime: instantText(mtimeMs(row)),
    mtimeNs: row.mtimeNs,
    version,
    time: instantText(row.versionTimeMs),
    received: instantText(row.receivedAtMs),
    captured: instantText(row.capturedAtMs),
    class: row.class,
    completion: row.completion,
    ...(row.platform === 'posix' ? { mode: row.mode.toString(8).padStart(4, '0') } : {}),
    ...(row.kind === 'symlink'
      ? { target: Buffer.from(row.linkTarget, 'base64').toString('utf8') }
      : {}),
  };
}

function rowText(row: NameRow, width: number, columns: number | undefined): string {
  const name = pathOf(row) + (row.kind === 'directory' ? '/' : '');
  const target =
    row.kind === 'symlink' ? ` -> ${Buffer.from(row.linkTarget, 'base64').toString('utf8')}` : '';
  const cells = [
    row.agent.padEnd(width),
    formatBytes(row.size).padStart(8),
    timeText(mtimeMs(row)),
    row.version.padEnd(18),
  ];
  return formatRow([...cells, printable(name + target)], columns);
}

function versionText(row: NameRow, columns: number | undefined): string {
  const what = (row.kind === 'gone' ? 'deleted' : formatBytes(row.size)).padStart(8);
  const growing = row.completion === 'growing' ? ['(captured while growing)'] : [];
  return formatRow(
    [timeText(row.versionTimeMs), what, timeText(mtimeMs(row)), row.version, ...growing],
    columns,
  );
}

function timeText(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? formatTime(ms) : String(ms).padEnd(27);
}
