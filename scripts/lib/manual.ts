import type { Command } from 'commander';
import { allCommands, type Described, helpAfter, visibleOptions } from './programs.ts';

/**
 * The manual page of a program, in the man(7) macros of roff: what `--help` says of every command,
 * in one page. No date and no release stand in it, so that it changes only with the commands.
 */
export function manPage(program: Command): string {
  const [self, ...commands] = allCommands(program);
  if (self === undefined) throw new Error('a program without itself');
  const lines = [
    `.TH ${program.name().toUpperCase()} 1 "" "Aliquot" "Aliquot manual"`,
    '.SH NAME',
    `${plain(program.name())} \\- ${plain(program.description().replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    `.B ${plain(program.name())}`,
    '.I command',
    '[options]',
    '.SH COMMANDS',
    ...commands.flatMap((described) => ofCommand(program, described)),
    '.SH NOTES',
    ...verbatim(helpAfter(program)),
  ];
  return `${lines.join('\n')}\n`;
}

function ofCommand(program: Command, { command, words }: Described): string[] {
  if (command.commands.length > 0) return []; // a group: its commands follow by themselves
  const usage = command.createHelp().commandUsage(command).replace(/\s+/g, ' ');
  const after = helpAfter(command);
  return [
    `.SS ${plain([program.name(), ...words].join(' '))}`,
    `.B ${plain(usage)}`,
    '.PP',
    plain(command.description()),
    ...visibleOptions(command)
      .filter(({ long }) => long !== '--help')
      .flatMap((option) => [
        '.TP',
        `.B ${plain(option.flags)}`,
        plain(command.createHelp().optionDescription(option)),
      ]),
    ...(after === '' ? [] : ['.PP', ...verbatim(after)]),
  ];
}

/** Text as it is, with its own line breaks. */
function verbatim(text: string): string[] {
  return ['.nf', ...text.split('\n').map(plain), '.fi'];
}

/**
 * What roff would take for its own: backslashes, hyphens that people copy, and lines that begin
 * with a dot or quote.
 */
function plain(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', '\\(cq')
    .replaceAll('…', '...')
    .replace(/^([.'])/, '\\&$1');
}
