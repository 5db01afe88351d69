import {
  formatBytes,
  formatInstant,
  formatRow,
  formatTime,
  printable,
} from '@aliquot/shared/cli/format';
import { globMatcher, type PathMatcher } from '@aliquot/shared/cli/glob';
import type { Output } from '@aliquot/shared/cli/output';
import type { Command } from 'commander';
import type { NameRow } from '../api/messages.ts';
import { CommandError } from '../cli/command-error.ts';
import type { CommandContext } from '../cli/context.ts';
import { paged } from '../cli/pager.ts';
import { everyBranch } from './agent-view.ts';
import { type ArrangeOptions, arranged, withArrange } from './arrange.ts';
import { rowJson } from './list.ts';
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
import { pathOf } from './paths.ts';
import { UnopenedList } from './unopened.ts';

interface FindOptions extends CollectorOptions, KitOptions, ArrangeOptions {
  readonly agent?: string;
  readonly json?: boolean;
}

/** A version that was found, and since when its file is deleted, if it is. */
interface Found {
  readonly row: NameRow;
  readonly goneSinceMs: number | undefined;
}

export function registerFind(program: Command, context: CommandContext): void {
  const find = program
    .command('find')
    .description(
      'Find files by name among every kept version of all agents, deleted files too. Newest first.',
    )
    .argument('PATTERN', 'a part of a name, a GLOB, or a whole path')
    .option('--agent <NAME>', 'one agent; all agents unless given');
  withArrange(find);
  withJson(withKit(withCollector(find), 'for blind vaults'));
  withNotes(
    find,
    'A word without * ? [ { or / is found in any part of a name, in capitals or not. Each line is a version: when it was captured, its size, its agent, its id (for --version), its path. Exit code 1 when nothing is found.',
  );
  withExample(
    find,
    'aliquot find run-014',
    "aliquot find '/data/**/*.raw' --agent hplc-1 --sort size --limit 20",
  );
  find.action((pattern: string, options: FindOptions) =>
    paged(context, options, (output) => findCommand(context, output, pattern, options)),
  );
}

async function findCommand(
  context: CommandContext,
  output: Output,
  pattern: string,
  options: FindOptions,
): Promise<void> {
  const matches = wordMatcher(pattern) ?? globMatcher(pattern);
  const unopened = new UnopenedList();
  const source = await nameSource(context, options, unopened);
  const agents =
    options.agent === undefined
      ? everyBranch(await source.roster())
      : [await source.vault.roster.history(options.agent)];
  const width = Math.max(...agents.map(({ name }) => name.length));
  let found = 0;
  async function* all(): AsyncGenerator<Found> {
    for (const agent of agents) yield* matching(source.everyVersion(agent), matches);
  }
  const rows = arranged(all(), options, ({ row }) => ({
    name: pathOf(row),
    size: row.size,
    timeMs: row.versionTimeMs,
  }));
  for await (const one of rows) {
    found += 1;
    await output.result(
      {
        ...rowJson(one.row),
        goneSince: one.goneSinceMs === undefined ? null : formatInstant(one.goneSinceMs),
      },
      textOf(one, width, context.stdout.columns),
    );
  }
  await unopened.tell(output);
  if (found > 0) return;
  const where = options.agent === undefined ? 'no agent' : `agent ${options.agent} never`;
  const verb = options.agent === undefined ? 'ever backed up' : 'backed up';
  throw new CommandError(
    'COMMAND_NO_SUCH_FILE',
    `${where} ${verb} anything whose path matches ${pattern}`,
  );
}

/**
 * Versions of one history, newest first. The deletion of a file comes before the versions that it
 * had.
 */
async function* matching(
  rows: AsyncIterable<NameRow>,
  matches: PathMatcher,
): AsyncGenerator<Found> {
  const newest = new Map<string, number | undefined>();
  for await (const row of rows) {
    if (row.kind === 'directory' || !matches(pathOf(row), row.platform)) continue;
    if (!newest.has(row.fileId))
      newest.set(row.fileId, row.kind === 'gone' ? row.versionTimeMs : undefined);
    if (row.kind !== 'gone') yield { row, goneSinceMs: newest.get(row.fileId) };
  }
}

/** A plain word is looked for in every name of the path. */
function wordMatcher(pattern: string): PathMatcher | undefined {
  if (pattern === '' || /[*?[\]{}()!+@/\\]/.test(pattern)) return undefined;
  const word = pattern.toLowerCase();
  return (path) => path.toLowerCase().includes(word);
}

function textOf({ row, goneSinceMs }: Found, width: number, columns: number | undefined): string {
  const gone = goneSinceMs === undefined ? [] : [`(deleted, seen ${formatTime(goneSinceMs)})`];
  const cells = [
    formatTime(row.versionTimeMs),
    formatBytes(row.size).padStart(8),
    row.agent.padEnd(width),
    row.version.padEnd(18),
  ];
  return formatRow([...cells, printable(pathOf(row)), ...gone], columns);
}
