import { Option } from 'commander';
import { describe, expect, it } from 'vitest';
import { helpPages } from '../../testing/help-pages.ts';
import {
  NeededOption,
  styledProgram,
  withExample,
  withJson,
  withNotes,
  withShared,
} from './help.ts';

function page(): string {
  const program = styledProgram('aliquot', 'A program.', '1.2.3');
  const cat = withJson(
    withShared(
      program.command('cat <path...>'),
      new Option('--url <URL>', 'where'),
      'Reaching the collector:',
    ),
  )
    .description('One file. All of it.')
    .requiredOption('--agent <NAME>', 'whose file')
    .option('--at <TIME>', 'when', 'latest')
    .option('--exclude <GLOB>', 'what not', [])
    .addOption(new NeededOption('--kit <FILE>', 'the kit'));
  withNotes(cat, `A note that is long: ${'word '.repeat(20)}`);
  withExample(
    cat,
    `aliquot cat /data/${'x'.repeat(40)} --agent hplc-1 --kit lab.kit --url http://127.0.0.1:8480 | sha256sum`,
  );
  return helpPages(program).find(({ name }) => name === 'aliquot cat')?.text ?? '';
}

describe('the style of help', () => {
  it('shows in the synopsis what must be given, from the command line or the environment', () => {
    expect(page().split('\n')[0]).toBe(
      'Usage: aliquot cat <path...> --agent <NAME> --kit <FILE> [options]',
    );
  });

  it('has the own options first and the common ones last, whatever order they were added in', () => {
    const order = [
      '--agent',
      '--at',
      '--kit',
      'Reaching the collector:',
      '--url',
      'Common options:',
      '--json',
      '--help',
      'A note',
      'Example:',
    ];
    const places = order.map((word) =>
      page().indexOf(`\n${word.startsWith('--') ? '  ' : ''}${word}`),
    );
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  it('says a default in plain words, and none where there is none', () => {
    expect(page()).toContain('when (default: latest)');
    expect(page()).not.toContain('[]');
  });

  it('fits 80 columns, and a folded example is still one command for a shell', () => {
    const lines = page().split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    const example = lines.slice(lines.indexOf('Example:') + 1).join('\n');
    expect(example.replaceAll(/ \\\n +/g, ' ').trim()).toMatch(
      /^aliquot cat \/data\/x+ --agent hplc-1 --kit lab.kit --url \S+ \| sha256sum$/,
    );
    expect(example).toContain(' \\\n');
  });
});
