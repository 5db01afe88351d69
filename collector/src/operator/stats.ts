import { formatBytes, formatCount } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { inspectedVault } from './choose-vault.ts';
import {
  type CollectorOptions,
  withCollector,
  withExample,
  withJson,
  withNotes,
} from './options.ts';

export function registerStats(program: Command, context: CommandContext): void {
  const stats = program
    .command('stats')
    .description(
      'Raw and stored bytes, ratios, chunks, packs, commits, and how long the disk lasts.',
    );
  withJson(withCollector(stats));
  withNotes(
    stats,
    'Raw bytes are all versions of all files; the deduplication ratio is raw over unique, the compression ratio unique over stored bytes.',
  );
  withExample(stats, 'aliquot stats --json');
  stats.action(async (options: CollectorOptions & { json?: boolean }) => {
    const output = outputOf(context, options, 'reads');
    const vault = await inspectedVault(context, options);
    const figures = await vault.stats();
    const lines: readonly (readonly [string, string])[] = [
      ['vault', vault.info.name],
      ['agents', formatCount(figures.agents)],
      ['files now', `${formatCount(figures.files)} (${formatBytes(figures.liveBytes)})`],
      ['versions', formatCount(figures.versions)],
      ['commits', formatCount(figures.commits)],
      ['raw', formatBytes(figures.rawBytes)],
      [
        'unique',
        `${formatBytes(figures.uniqueBytes)} (deduplication ${figures.dedupRatio.toFixed(2)} : 1)`,
      ],
      [
        'stored',
        `${formatBytes(figures.storedBytes)} (compression ${figures.compressionRatio.toFixed(2)} : 1)`,
      ],
      ['chunks', formatCount(figures.chunks)],
      ['pages', formatCount(figures.pages)],
      ['slabs', formatCount(figures.slabs)],
      ['packs', `${formatCount(figures.packs)} (${formatBytes(figures.packBytes)})`],
      ['dead', `${formatBytes(figures.deadBytes)} in packs that nobody needs any more`],
      ['reserve', reserveText(figures.reserveBytes)],
      ['damaged', formatCount(figures.damaged)],
      [
        'free',
        figures.freeBytes === undefined
          ? 'not known: the disk does not answer'
          : formatBytes(figures.freeBytes),
      ],
      [
        'grows',
        figures.growthPerDay === undefined
          ? 'not known yet'
          : `${formatBytes(figures.growthPerDay)} a day, all vaults`,
      ],
      ['lasts', daysText(figures.daysLeft)],
    ];
    await output.result(
      { vault: vault.info.name, ...figures },
      lines.map(([name, value]) => `${name.padEnd(10)} ${value}`).join('\n'),
    );
  });
}

function reserveText(bytes: number): string {
  return bytes === 0
    ? 'none, or lent to the disk while it is full'
    : `${formatBytes(bytes)} of disk, so that a full one can be emptied`;
}

/** How long the room lasts if it fills as it did in the last two weeks. */
export function daysText(days: number | undefined): string {
  if (days === undefined) return 'not known: nothing grows, or not for long enough';
  return days >= 730
    ? `more than ${Math.floor(days / 365)} years`
    : `${formatCount(Math.floor(days))} days`;
}
