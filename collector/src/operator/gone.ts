import type { Command } from 'commander';
import type { CommandContext } from '../cli/context.ts';
import type { GoneOptions } from './gone-files.ts';
import { withCollector, withExample, withJson, withKit, withNotes } from './options.ts';

export function registerGone(agent: Command, context: CommandContext): void {
  const gone = agent
    .command('gone')
    .description('Say that files of a replaced PC, which the new one has not found, are gone.')
    .argument('NAME', 'the agent that replaces it, or its id')
    .requiredOption(
      '--path <GLOB>',
      'which: paths that match whole, or lie below a folder that matches',
    )
    .option('--yes', 'say it; without, they are only listed');
  withJson(withKit(withCollector(gone), 'for blind vaults'));
  withNotes(
    gone,
    'A PC that was enrolled anew in an empty folder does not know what the old one had, so it cannot notice that something is gone: it stays listed as present. Look at the list first: a folder that the new PC does not watch yet stands in it too.',
    'An agent that was enrolled anew in the folder of the old one knows its files, and its own scans say what is gone: of such a one nothing is taken here.',
    'Every version is kept, and can be restored as it was before. The log records it.',
  );
  withExample(
    gone,
    "aliquot agent gone hplc-1b --path '/data/2024/**'",
    "aliquot agent gone hplc-1b --path '/data/2024/**' --yes",
  );
  // Loaded here: `aliquot agents`, which is used much more often, needs none of it.
  gone.action(async (name: string, options: GoneOptions) =>
    (await import('./gone-files.ts')).goneCommand(context, name, options),
  );
}
