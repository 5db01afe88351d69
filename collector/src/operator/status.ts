import {
  formatBytes,
  formatCount,
  formatCounted,
  formatInstant,
  formatTime,
} from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import type { GcStatus } from '../api/gc-messages.ts';
import type { AgentInfo } from '../api/messages.ts';
import type { PurgeInfo } from '../api/purge-messages.ts';
import type { RetentionInfo, RunInfo } from '../api/retention-messages.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { inspectedVault } from './choose-vault.ts';
import {
  type CollectorOptions,
  withCollector,
  withExample,
  withJson,
  withNotes,
} from './options.ts';
import { daysText } from './stats.ts';

/** `aliquot status`. */
export function registerStatus(program: Command, context: CommandContext): void {
  const status = program
    .command('status')
    .description(
      'How the vault stands: retention, holds, purges, collection, room, and what is wrong.',
    );
  withJson(withCollector(status));
  withNotes(
    status,
    'Exit code 1 if anything is wrong with the collector or the vault; what PCs report is counted here, and named by `aliquot agents --problems`.',
  );
  withExample(status, 'aliquot status --json');
  status.action(async (options: CollectorOptions & { json?: boolean }) =>
    statusCommand(context, options),
  );
}

async function statusCommand(
  context: CommandContext,
  options: CollectorOptions & { readonly json?: boolean },
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const vault = await inspectedVault(context, options);
  const [retention, holds, purges, gc, figures, list] = await Promise.all([
    vault.retention.info(),
    vault.holds.list(),
    vault.purges.list(),
    vault.gc.status(),
    vault.stats(),
    vault.roster.list(),
  ]);
  const inForce = holds.filter(({ released }) => released === undefined);
  const unresolved = vault.info.blind
    ? inForce.filter(({ globs, resolved }) => globs === undefined && resolved === undefined)
    : [];
  const ailing = list.agents.filter(({ problems }) => problems.length > 0);
  const problems = [
    ...list.collectorProblems.map(({ code, message }) => ({ code, message })),
    ...(figures.damaged === 0
      ? []
      : [
          {
            code: 'damaged',
            message: `${formatCounted(figures.damaged, 'item')} cannot be read any more: run aliquot fsck`,
          },
        ]),
  ];
  const runs = runsOf(retention);
  const open = openPurges(purges);
  const lines: readonly (readonly [string, string])[] = [
    ['vault', vault.info.name],
    ['retention', retentionText(retention, runs.last)],
    ['holds', holdsText(inForce.length, unresolved.length)],
    ['purges', purgesText(open)],
    ['collection', collectionText(gc)],
    [
      'stored',
      `${formatBytes(figures.packBytes)}, of which ${formatBytes(figures.deadBytes)} are dead`,
    ],
    ['free', freeText(figures.freeBytes)],
    ['grows', growsText(figures.growthPerDay, figures.daysLeft)],
    ['PCs', `${formatCount(list.agents.length)}, ${pcsText(ailing)}`],
    ...problems.map(({ message }) => ['wrong', message] as const),
  ];
  await output.result(
    {
      event: 'status',
      vault: vault.info.name,
      retention: {
        rulesSince: retention.rulesSince ?? null,
        held: retention.held ?? null,
        lastRun: runs.last === undefined ? null : formatInstant(runs.last.atMs),
        waits: runs.waits?.run ?? null,
        canUndo: runs.undoable.map(({ run }) => run),
      },
      holds: { inForce: inForce.length, unresolved: unresolved.length },
      purges: open,
      collection: { paused: gc.paused, running: gc.running, waitsFor: waitedFor(gc) },
      space: {
        ...{ packBytes: figures.packBytes, deadBytes: figures.deadBytes },
        reserveBytes: figures.reserveBytes,
        freeBytes: figures.freeBytes ?? null,
        growthPerDay: figures.growthPerDay ?? null,
        daysLeft: figures.daysLeft ?? null,
      },
      agents: { all: list.agents.length, withProblems: ailing.length },
      problems,
    },
    lines.map(([name, value]) => `${name.padEnd(11)} ${value}`).join('\n'),
  );
  if (problems.length > 0)
    throw new CommandError(
      'COMMAND_PROBLEMS',
      `${formatCounted(problems.length, 'problem')} of the collector; each is named above`,
    );
}

function runsOf({ runs, atMs }: RetentionInfo): {
  readonly last: RunInfo | undefined;
  readonly waits: RunInfo | undefined;
  readonly undoable: readonly RunInfo[];
} {
  const last = runs.at(-1);
  const isWaiting = last !== undefined && last.brakes.length > 0 && last.approvedAtMs === undefined;
  return {
    last,
    waits: isWaiting ? last : undefined,
    undoable: runs.filter(
      ({ undoUntilMs = 0, undoneAtMs }) => undoneAtMs === undefined && undoUntilMs > atMs,
    ),
  };
}

function retentionText({ rulesSince }: RetentionInfo, last: RunInfo | undefined): string {
  if (rulesSince === undefined) return 'no rules are set: everything stays';
  const rules = `rules of policy ${rulesSince}`;
  return last === undefined
    ? `${rules}; nothing has expired yet`
    : `${rules}; last run ${last.run}, ${formatTime(last.atMs)}`;
}

function holdsText(inForce: number, unresolved: number): string {
  const open =
    unresolved === 0 ? '' : `; ${unresolved} cover PCs whole until \`aliquot hold resolve\``;
  return `${inForce === 0 ? 'none' : formatCount(inForce)} in force${open}`;
}

interface OpenPurges {
  /** So many wait for another operator. */
  readonly ordered: number;
  /** Of so many the content is still there. */
  readonly content: number;
  /** PCs that have to answer before it goes. */
  readonly waitsFor: readonly string[];
}

function openPurges(purges: readonly PurgeInfo[]): OpenPurges {
  const isOrdered = ({ approved, cancelled }: PurgeInfo) => !(approved ?? cancelled);
  const content = purges.filter(({ waits }) => waits === true);
  const names = content.flatMap(({ waitsFor }) => waitsFor);
  return {
    ordered: purges.filter(isOrdered).length,
    content: content.length,
    waitsFor: [...new Set(names)].sort(),
  };
}

function purgesText({ ordered, content, waitsFor }: OpenPurges): string {
  if (ordered + content === 0) return 'none open';
  const parts: string[] = [];
  if (ordered > 0) parts.push(`${formatCounted(ordered, 'order')} to approve`);
  const whom = waitsFor.length === 0 ? 'collection' : waitsFor.join(', ');
  if (content > 0) parts.push(`content of ${formatCount(content)} waits for ${whom}`);
  return `${parts.join('; ')}: aliquot purge list`;
}

/** PCs whose answer collection waits for, each once. */
function waitedFor({ lineages }: GcStatus): string[] {
  const names = lineages.flatMap(({ waits }) => waits.map(({ agent }) => agent));
  return [...new Set(names)].sort();
}

function collectionText(gc: GcStatus): string {
  const [first, ...more] = waitedFor(gc);
  const now = gc.paused ? 'paused' : gc.running ? 'running' : 'goes on by itself';
  if (first === undefined) return now;
  const others = more.length === 0 ? '' : ` and ${formatCounted(more.length, 'other PC')}`;
  return `${now}; waits for ${first}${others}: aliquot gc status`;
}

function freeText(bytes: number | undefined): string {
  return bytes === undefined ? 'not known: the disk does not answer' : formatBytes(bytes);
}

function growsText(perDay: number | undefined, daysLeft: number | undefined): string {
  if (perDay === undefined) return 'not known yet';
  const left = daysLeft === undefined ? '' : `; the room lasts ${daysText(daysLeft)}`;
  return `${formatBytes(perDay)} a day, all vaults${left}`;
}

function pcsText(ailing: readonly AgentInfo[]): string {
  return ailing.length === 0
    ? 'none reports a problem'
    : `${formatCount(ailing.length)} with problems: aliquot agents --problems`;
}
