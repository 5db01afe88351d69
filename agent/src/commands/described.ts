import { withExample, withJson, withNotes, withShared } from '@aliquot/shared/cli/help';
import { type Command, Option } from 'commander';

/** A command, as its help shows it. */
interface Described {
  readonly description: string;
  readonly example: string;
  /** What is worth knowing beside the options. */
  readonly notes?: readonly string[];
  /** Whether the command needs a data folder; nearly all do. */
  readonly data?: 'needed' | 'optional';
}

/** A command that takes a data folder and can answer as JSON. */
export function command(
  program: Command,
  usage: string,
  { description, example, notes = [], data = 'needed' }: Described,
): Command {
  const folder = new Option('--data <DIR>', 'the agent’s data folder').makeOptionMandatory(
    data === 'needed',
  );
  const made = withShared(program.command(usage).description(description), folder);
  if (notes.length > 0) withNotes(made, ...notes);
  return withExample(withJson(made), example);
}
