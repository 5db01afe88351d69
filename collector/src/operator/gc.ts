import { PartialError, UsageError } from '@aliquot/shared/cli/errors';
import { formatBytes, formatCounted, formatInstant, printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import type { Command } from 'commander';
import type { GcLineage, GcRecord, GcStatus, GcWait } from '../api/gc-messages.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { inspectedVault } from './choose-vault.ts';
import { failedJson, failedText } from './failed-work.ts';
import { type CollectorOptions, withCollector, withExample, withJson } from './options.ts';

interface GcOptions extends CollectorOptions {
  readonly json?: boolean;
}

interface RunOptions extends GcOptions {
  readonly dryRun?: boolean;
  readonly all?: boolean;
}

/** `gc`: what nobody needs any more leaves the disk. */
export function registerGc(program: Command, context: CommandContext): void {
  const gc = program
    .command('gc')
    .description('Collection: what nobody needs any more leaves the disk.');
  withExample(gc, 'aliquot gc run --dry-run');

  const status = gc
    .command('status')
    .description('What was dropped and is still there, who is waited for, and what is dead.');
  withJson(withCollector(status));
  withExample(status, 'aliquot gc status');
  status.action(async (options: GcOptions) => {
    const output = outputOf(context, options, 'reads');
    const vault = await inspectedVault(context, options);
    const answer = await vault.gc.status();
    const failed = failedJson(answer.failed);
    await output.result({ vault: vault.info.name, ...answer, failed }, statusText(answer));
  });

  const run = gc
    .command('run')
    .description(
      'Drop what retention lets go, ask the PCs concerned, and remove what nobody reaches any more. Ends with 3 while PCs have to answer first.',
    )
    .option('--dry-run', 'only say what would be freed once everybody has answered')
    .option('--all', 'also where little would be freed, and rewrite packs of which little is dead');
  withJson(withCollector(run));
  withExample(run, 'aliquot gc run --dry-run', 'aliquot gc run');
  run.action((options: RunOptions) => runGc(context, options));

  for (const [name, paused, does] of [
    ['pause', true, 'Stop collection after its step at hand, until it is resumed.'],
    ['resume', false, 'Let collection go on that was paused.'],
  ] as const) {
    const command = gc.command(name).description(does);
    withJson(withCollector(command));
    withExample(command, `aliquot gc ${name}`);
    command.action(async (options: GcOptions) => {
      const output = outputOf(context, options);
      const vault = await inspectedVault(context, options);
      const answer = await vault.gc.pause(paused);
      const says = paused ? 'Collection is paused.' : 'Collection goes on.';
      await output.result({ event: name, ...answer }, says);
    });
  }
}

async function runGc(context: CommandContext, options: RunOptions): Promise<void> {
  const { dryRun = false, all = false } = options;
  if (dryRun && all)
    throw new UsageError('USAGE_INVALID', '--dry-run says what all would free: leave --all');
  const output = outputOf(context, options);
  const vault = await inspectedVault(context, options);
  const tally = new Tally(output, dryRun);
  for await (const record of vault.gc.run({ dryRun, all })) await tally.take(record);
  await tally.end();
}

/** What a collection has told. */
class Tally {
  readonly #output: Output;
  readonly #dryRun: boolean;
  readonly #waits: GcLineage[] = [];
  readonly #unreadable: GcLineage[] = [];
  #heldBy: string | undefined;
  #versions = 0;
  #items = 0;
  #bytes = 0;
  #freedBytes = 0;
  /** Of the history: freed, or to be freed. */
  #historyBytes = 0;
  #isDone = true;

  constructor(output: Output, dryRun: boolean) {
    this.#output = output;
    this.#dryRun = dryRun;
  }

  async take(record: GcRecord): Promise<void> {
    switch (record.event) {
      case 'working':
        return;
      case 'dropped':
        this.#versions = record.versions;
        this.#heldBy = record.heldBy;
        if (record.heldBy !== undefined)
          this.#output.note(`nothing more is dropped: ${record.heldBy}`);
        return;
      case 'removed':
        this.#freedBytes += record.bytes - record.copiedBytes + record.historyBytes;
        this.#historyBytes = record.historyBytes;
        this.#isDone = record.isDone;
        for (const { pack, why } of record.kept) this.#output.note(`pack ${pack} stays: ${why}`);
        for (const { file, why } of record.keptFiles)
          this.#output.note(`history file ${file} stays: ${why}`);
        return;
      case 'history':
        this.#historyBytes = record.bytes;
        return;
      case 'lineage':
        await this.#lineage(record);
    }
  }

  async #lineage(record: GcLineage): Promise<void> {
    const { event: _, ...told } = record;
    await this.#output.result({ event: 'lineage', ...told }, lineageText(record));
    this.#items += record.items;
    this.#bytes += record.bytes;
    if (record.state === 'waits') this.#waits.push(record);
    if (record.state === 'unreadable') this.#unreadable.push(record);
  }

  async end(): Promise<void> {
    const versions = formatCounted(this.#versions, 'version');
    const items = formatCounted(this.#items, 'item');
    const text = this.#dryRun
      ? `Would drop ${versions}, and free ${formatBytes(this.#bytes)} (${items}) once everybody has answered; ${formatBytes(this.#historyBytes)} of the history at once.`
      : `Dropped ${versions}; ${items} left their sets; freed ${formatBytes(this.#freedBytes)}, ${formatBytes(this.#historyBytes)} of them of the history.`;
    await this.#output.result(
      {
        ...{ event: 'summary', dryRun: this.#dryRun, versions: this.#versions },
        ...{ items: this.#items, bytes: this.#bytes, freedBytes: this.#freedBytes },
        historyBytes: this.#historyBytes,
        ...{ waits: this.#waits.length, isDone: this.#isDone, heldBy: this.#heldBy },
      },
      text,
    );
    const [unreadable] = this.#unreadable;
    if (unreadable !== undefined)
      throw new PartialError(
        'PARTIAL',
        `nothing of ${unreadable.agent} is swept, because ${unreadable.why}: put it back from a copy, or let its agent send it again`,
      );
    if (this.#waits.length > 0)
      throw new PartialError(
        'PARTIAL',
        `${formatCounted(this.#waits.length, 'lineage')} waited for, each named above; what is not swept now is swept by a later run. A PC that does not come back: aliquot agent lost NAME`,
      );
  }
}

function lineageText({ agent, state, items, bytes, droppedBytes, waits, why }: GcLineage): string {
  const name = printable(agent);
  switch (state) {
    case 'swept':
      return `${name}: ${formatCounted(items, 'item')}, ${formatBytes(bytes)} that nobody else has`;
    case 'waits':
      return [
        `${name}: waits, with up to ${formatBytes(droppedBytes)}, for`,
        ...waits.map((wait) => `  ${waitText(wait)}`),
      ].join('\n');
    case 'not-worth-it':
      return `${name}: ${formatBytes(droppedBytes)} were dropped, too little to ask its PCs yet (--all asks them)`;
    case 'unreadable':
      return `${name}: stays as it is, because ${why}`;
    case 'stopped':
      return `${name}: not yet; the next run goes on`;
  }
}

function waitText({ history, reason, lastSeenMs }: GcWait): string {
  const seen = lastSeenMs === undefined ? 'never seen' : `last seen ${formatInstant(lastSeenMs)}`;
  return `${printable(history)}, which ${reason} (${seen})`;
}

function statusText({
  paused,
  running,
  packBytes,
  deadBytes,
  historyBytes,
  failed,
  lineages,
}: GcStatus): string {
  const how = paused ? 'paused: aliquot gc resume' : running ? 'running' : 'not running';
  const lines = lineages.map(({ agent, isAnnounced, droppedVersions, droppedBytes, waits }) => {
    const what = `${printable(agent)}: ${formatCounted(droppedVersions, 'version')} dropped, up to ${formatBytes(droppedBytes)}`;
    if (!isAnnounced) return `${what}; its PCs were not asked yet`;
    const name = printable(agent);
    if (waits.length === 0) return `${name}: everybody has answered; the next run sweeps`;
    return [
      `${name}: what was dropped waits for`,
      ...waits.map((wait) => `  ${waitText(wait)}`),
    ].join('\n');
  });
  const space = `${formatBytes(deadBytes)} of ${formatBytes(packBytes)} in packs are dead; the history has ${formatBytes(historyBytes)}`;
  const last = failed === undefined ? [] : [failedText('The last collection', failed)];
  return [`Collection is ${how}; ${space}.`, ...last, ...lines].join('\n');
}
