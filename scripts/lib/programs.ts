import type { Command, Option } from 'commander';
import { agentProgram } from '../../agent/src/commands/program.ts';
import { buildProgram } from '../../collector/src/program.ts';

/** Both programs with all their commands, as they are built when somebody asks for help. */
export async function programs(): Promise<readonly Command[]> {
  const context = {} as Parameters<typeof buildProgram>[0]; // only actions look into it
  return [await buildProgram(context), agentProgram()];
}

/** A command with the words that lead to it; `words` is empty for the program itself. */
export interface Described {
  readonly command: Command;
  readonly words: readonly string[];
}

/** Every command of a program, the program first, groups before what is in them. */
export function allCommands(program: Command): readonly Described[] {
  const below = (command: Command, words: readonly string[]): Described[] => [
    { command, words },
    ...command.commands.flatMap((child) => below(child, [...words, child.name()])),
  ];
  return below(program, []);
}

/** The options that the help shows, `--help` among them. */
export function visibleOptions(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

/** What the help says behind the options: notes and examples. */
export function helpAfter(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text.slice(command.helpInformation().length).trim();
}
