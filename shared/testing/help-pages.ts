/** The help of a whole program. Nothing outside tests imports this file. */
import type { Command } from 'commander';

/** Every command of a program with the help that it prints. */
export function helpPages(program: Command): { readonly name: string; readonly text: string }[] {
  const pages: { name: string; text: string }[] = [];
  const visit = (command: Command, name: string): void => {
    let text = '';
    command.configureOutput({ writeOut: (part) => (text += part) });
    command.outputHelp();
    pages.push({ name, text });
    for (const child of command.commands) visit(child, `${name} ${child.name()}`);
  };
  visit(program, program.name());
  return pages;
}

/**
 * What the house asks of a help page and this one does not keep; empty when it keeps everything.
 */
export function faultsOfHelp({
  name,
  text,
}: {
  readonly name: string;
  readonly text: string;
}): string[] {
  const lines = text.split('\n');
  const faults = lines
    .filter((line) => line.length > 80)
    .map((line) => `wider than 80 columns: ${line}`);
  if (/ -[a-zA-Z], /.test(text)) faults.push('has options of one letter');
  if (!text.startsWith(`Usage: ${name}`)) faults.push('does not begin with the synopsis');
  if (!/\nExamples?:\n {2}\S/.test(text)) faults.push('has no example');
  const headings = lines.filter((line) => /^[A-Z][\w ]+:$/.test(line));
  const common = headings.indexOf('Common options:');
  const later = headings
    .slice(common + 1)
    .filter((heading) => /options|Options|collector/.test(heading));
  if (common < 0 || later.length > 0)
    faults.push(`common options are not the last: ${headings.join(' ')}`);
  const description = lines
    .slice(lines.indexOf('') + 1, lines.indexOf('', lines.indexOf('') + 1))
    .join(' ');
  if (!/^[A-Z].*\.$/.test(description))
    faults.push(`is not described by sentences: ${description}`);
  return faults;
}
