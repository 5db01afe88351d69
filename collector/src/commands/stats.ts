import { formatBytes } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import { inspectedVault } from './choose-vault.ts';
import { type CommandContext, outputOf } from './context.ts';
import { type CollectorOptions, withCollector, withExample, withJson, withNotes } from './options.ts';

export function registerStats(program: Command, context: CommandContext): void {
  const stats = program.command('stats').description('Raw and stored bytes, deduplication and compression ratios, chunks, packs, commits.');
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
      ['agents', String(figures.agents)],
      ['files now', `${figures.files} (${formatBytes(figures.liveBytes)})`],
      ['versions', String(figures.versions)],
      ['commits', String(figures.commits)],
      ['raw', formatBytes(figures.rawBytes)],
      ['unique', `${formatBytes(figures.uniqueBytes)} (deduplication ${figures.dedupRatio.toFixed(2)} : 1)`],
      ['stored', `${formatBytes(figures.storedBytes)} (compression ${figures.compressionRatio.toFixed(2)} : 1)`],
      ['chunks', String(figures.chunks)],
      ['pages', String(figures.pages)],
      ['packs', `${figures.packs} (${formatBytes(figures.packBytes)})`],
      ['damaged', String(figures.damaged)],
    ];
    await output.result({ vault: vault.info.name, ...figures }, lines.map(([name, value]) => `${name.padEnd(10)} ${value}`).join('\n'));
  });
}
