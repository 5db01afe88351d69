import { Command, Help, Option } from 'commander';
import { foldPieces } from './fold.ts';

/*
 * One style of help for both programs. The synopsis shows what must be given; a command's own
 * options come first, what many commands share comes last; notes and an example end it; nothing is
 * wider than 80 columns.
 */

const WIDTH = 80;
const OWN = 'Options:';
/** What every command has. */
const COMMON = 'Common options:';
/** Groups that stand behind the command's own options, in this order. */
const lastSections: readonly string[] = ['Reaching the collector:', COMMON];

/**
 * An option that the command cannot do without, though an environment variable may stand for it:
 * the synopsis shows it.
 */
export class NeededOption extends Option {}

/** Commands that do something by themselves and have others below them. */
const alone = new WeakSet<Command>();

/** Says of a command with commands below it that it also does something by itself. */
export function worksAlone(command: Command): Command {
  alone.add(command);
  return command;
}

/** A command of ours: `program.command()` makes more of them. */
class StyledCommand extends Command {
  override createCommand(name?: string): Command {
    return new StyledCommand(name).helpCommand(false);
  }

  override createHelp(): Help {
    return Object.assign(new StyledHelp(), this.configureHelp());
  }
}

class StyledHelp extends Help {
  override prepareContext(context: { helpWidth?: number }): void {
    this.helpWidth = Math.min(WIDTH, context.helpWidth ?? WIDTH);
  }

  /** `aliquot cat --agent <NAME> --path <PATH> --kit <FILE> [options]`. */
  override commandUsage(command: Command): string {
    const needed = command.options.filter(
      (option) => option.mandatory || option instanceof NeededOption,
    );
    const words = [
      pathOf(command),
      ...(command.commands.length > 0 ? [alone.has(command) ? '[command]' : '<command>'] : []),
      ...command.registeredArguments
        .map((argument) => this.argumentTerm(argument))
        .map((term, at) => usageArgument(command, at, term)),
      ...needed.map((option) => option.flags),
      '[options]',
    ];
    return foldPieces(words, WIDTH - 'Usage: '.length, ' '.repeat('Usage: '.length + 2));
  }

  /** In a list of commands the first sentence is enough, and so is the name. */
  override subcommandDescription(command: Command): string {
    const text = super.subcommandDescription(command);
    return text.split(/(?<=[.!])\s/, 1)[0] ?? text;
  }

  override subcommandTerm(command: Command): string {
    return command.name();
  }

  /** An empty list, or a switch that is off, is no default worth a word. */
  override optionDescription(option: Option): string {
    const { defaultValue, description } = option;
    return typeof defaultValue === 'string'
      ? `${description} (default: ${defaultValue})`
      : description;
  }

  override groupItems<T extends Command | Option>(
    all: T[],
    visible: T[],
    groupOf: (item: T) => string,
  ): Map<string, T[]> {
    const everywhere = (item: T) =>
      item instanceof Option &&
      (item.long === '--help' || (item.long === '--version' && !item.required));
    const groups = super.groupItems(all, visible, (item) =>
      everywhere(item) ? COMMON : groupOf(item),
    );
    const rank = (name: string) => (name === OWN ? -1 : lastSections.indexOf(name));
    return new Map([...groups].sort(([a], [b]) => rank(a) - rank(b)));
  }
}

/** A program with the house's style; its commands inherit it. */
export function styledProgram(name: string, description: string, release: string): Command {
  return (
    new StyledCommand(name)
      .description(description)
      .version(release, '--version', 'print the release')
      .helpOption('--help', 'print how it is used')
      .helpCommand(false)
      .showHelpAfterError(false)
      // What stands behind a command's name is that command's: `restore --version ID` is no
      // question about the release.
      .enablePositionalOptions()
  );
}

/** Adds an option that many commands share; the help shows it behind the command's own. */
export function withShared(command: Command, option: Option, group = COMMON): Command {
  return command.addOption(option.helpGroup(group));
}

export function withJson(command: Command): Command {
  return withShared(command, new Option('--json', 'one JSON object a line on standard output'));
}

/**
 * Adds what is worth knowing beside the options: paragraphs, wrapped; a paragraph with line feeds
 * stays as it is.
 */
export function withNotes(command: Command, ...paragraphs: readonly string[]): Command {
  const help = new StyledHelp();
  const wrapped = paragraphs.map((text) =>
    text.includes('\n') ? text : help.boxWrap(text, WIDTH),
  );
  return command.addHelpText('after', `\n${wrapped.join('\n\n')}`);
}

/**
 * Help always ends with a command line that works. A long one is continued on the next line, as a
 * shell takes it.
 */
export function withExample(command: Command, ...lines: readonly string[]): Command {
  const folded = lines.map((line) => `  ${foldCommand(line)}`);
  return command.addHelpText(
    'after',
    `\n${lines.length > 1 ? 'Examples' : 'Example'}:\n${folded.join('\n')}`,
  );
}

/** The program, the commands that lead to this one, and its name. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function usageArgument(command: Command, at: number, term: string): string {
  const argument = command.registeredArguments[at];
  const name = argument?.variadic === true ? `${term}...` : term;
  return argument?.required === false ? `[${name}]` : `<${name}>`;
}

/** Breaks a command line before an option, so that a shell still takes it as one. */
function foldCommand(line: string): string {
  return foldPieces(line.split(/ (?=--|\| )/), WIDTH - 4, '      ', '', ' \\');
}
