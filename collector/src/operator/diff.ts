import { printable } from '@aliquot/shared/cli/format';
import { parseTime, TIME_HELP } from '@aliquot/shared/cli/time';
import type { Command } from 'commander';
import type { NameRow } from '../api/messages.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { rowJson } from './list.ts';
import { nameSource } from './names.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
} from './options.ts';
import { type PathOptions, wantedPaths, withPaths } from './path-options.ts';
import { nameOf, pathOf } from './paths.ts';
import { UnopenedList } from './unopened.ts';

interface DiffOptions extends CollectorOptions, KitOptions, PathOptions {
  readonly agent: string;
  readonly from: string;
  readonly to: string;
  readonly json?: boolean;
}

export type DiffMark = 'A' | 'M' | 'D';

export function registerDiff(program: Command, context: CommandContext): void {
  const diff = program
    .command('diff')
    .description('What came (A), changed (M) and went (D) between two times.')
    .requiredOption('--agent <NAME>', 'the agent')
    .requiredOption('--from <TIME>', TIME_HELP)
    .requiredOption('--to <TIME>', 'the same');
  withJson(withKit(withCollector(withPaths(diff)), 'for blind vaults'));
  withExample(diff, 'aliquot diff --agent hplc-1 --from 3d --to latest');
  diff.action(async (options: DiffOptions) => {
    const output = outputOf(context, options, 'reads');
    const nowMs = context.clock.nowMs();
    const wanted = await wantedPaths(context, options);
    const fromMs = parseTime(options.from, nowMs, '--from', output.note);
    const toMs = parseTime(options.to, nowMs, '--to', output.note);
    const unopened = new UnopenedList();
    const source = await nameSource(context, options, unopened);
    const agent = await source.vault.roster.history(options.agent);
    const changes = () => differences(source.state(agent, fromMs), source.state(agent, toMs));
    for await (const { change, row } of wanted.of(changes, ({ row }) => nameOf(row))) {
      await output.result({ change, ...rowJson(row) }, `${change}  ${printable(pathOf(row))}`);
    }
    await unopened.tell(output);
  });
}

/**
 * Compares two states by file id: changed and new files in the order of the second, then those that
 * are gone. A folder whose only news is its time (every new file in it does that) is not a change.
 *
 * Test only: the rule for what counts as a change is worth proving without a collector.
 */
export async function* differences(
  before: AsyncIterable<NameRow>,
  after: AsyncIterable<NameRow>,
): AsyncGenerator<{ change: DiffMark; row: NameRow }> {
  const old = new Map<string, NameRow>();
  for await (const row of before) old.set(row.fileId, row);
  for await (const row of after) {
    const was = old.get(row.fileId);
    old.delete(row.fileId);
    if (was === undefined) yield { change: 'A', row };
    else if (was.version !== row.version && isChange(was, row)) yield { change: 'M', row };
  }
  for (const row of old.values()) yield { change: 'D', row };
}

function isChange(was: NameRow, is: NameRow): boolean {
  if (was.kind !== is.kind || is.kind !== 'directory') return true;
  return was.mode !== is.mode;
}
