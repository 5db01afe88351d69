import type { Command } from 'commander';
import type { CommandContext } from '../../cli/context.ts';
import { withKitOrKeyFile } from '../operator-key.ts';
import { withCollector, withExample, withJson, withKit, withNotes } from '../options.ts';
import { type AddOptions, addHold } from './add.ts';
import { type ReleaseOptions, releaseHold } from './release.ts';
import { type ResolveOptions, resolveHold } from './resolve.ts';
import { listHolds, type ShowOptions, showHold } from './show.ts';

/** An option that may be given several times. */
const several = (value: string, before: readonly string[]): string[] => [...before, value];

/** `aliquot hold`. */
export function registerHold(program: Command, context: CommandContext): void {
  const hold = program
    .command('hold')
    .description('What must stay, whatever the rules say: for an audit, a dispute, an inquiry.');
  withExample(hold, "aliquot hold add trial-7 --path '/data/trial-7/**' --reason 'audit 2026-11'");
  registerAdd(hold, context);

  const list = hold
    .command('list')
    .description('The holds that are in force.')
    .option('--all', 'those that were released too');
  withJson(withCollector(list));
  withExample(list, 'aliquot hold list');
  list.action(async (options: ShowOptions & { all?: boolean }) => listHolds(context, options));

  const show = hold
    .command('show')
    .description('All that is known of a hold.')
    .argument('NAME', 'as `aliquot hold list` shows it');
  withJson(withKit(withCollector(show), 'for blind vaults'));
  withExample(show, 'aliquot hold show trial-7');
  show.action(async (name: string, options: ShowOptions) => showHold(context, name, options));

  const resolve = hold
    .command('resolve')
    .description(
      'Tell the collector of a blind vault which files a hold by path is for. It does not learn their names.',
    )
    .argument('NAME', 'as `aliquot hold list` shows it');
  withJson(withKit(withCollector(resolve), 'needed'));
  withNotes(
    resolve,
    'Until then the hold covers its PCs whole. What is backed up afterwards under names that nobody has looked at is held as well, until it is resolved again; so is every PC that came to the hold later.',
  );
  withExample(resolve, 'aliquot hold resolve trial-7 --kit lab.kit');
  resolve.action(async (name: string, options: ResolveOptions) =>
    resolveHold(context, name, options),
  );

  const release = hold
    .command('release')
    .description('End a hold: from then on the rules decide again.')
    .argument('NAME', 'as `aliquot hold list` shows it')
    .requiredOption('--reason <TEXT>', 'why, for the log');
  withJson(withKitOrKeyFile(withCollector(release)));
  withNotes(
    release,
    'The kit signs it, or the key of an operator for retention: the token alone ends no hold.',
  );
  withExample(release, "aliquot hold release trial-7 --reason 'audit closed' --by maria.key");
  release.action(async (name: string, options: ReleaseOptions) =>
    releaseHold(context, name, options),
  );
}

function registerAdd(hold: Command, context: CommandContext): void {
  const add = hold
    .command('add')
    .description('Have something stay until the hold is released.')
    .argument('NAME', 'how it is called: letters, digits, dots, dashes')
    .requiredOption('--reason <TEXT>', 'why, for the log')
    .option('--owner <TEXT>', 'who answers for it; you, unless given')
    .option('--agent <NAME>', 'only this PC, or those whose names fit (hplc-*)', several, [])
    .option('--path <GLOB>', 'only what has such a path, or lies below it', several, [])
    .option('--class <CLASS>', 'only what was sent under this class', several, [])
    .option('--from <TIME>', 'only what was current at this time or later')
    .option('--to <TIME>', 'only what was current at this time or before');
  withJson(withKit(withCollector(add), 'for blind vaults'));
  withNotes(
    add,
    'What is not named is any; of what is given several times one is enough. It holds what is there and what will come. The log records name, reason, owner, PCs, classes and times for everybody who has a copy; paths are sealed. In a blind vault a hold by path covers its PCs whole until `aliquot hold resolve`; with --kit it is looked at whether the paths fit anything.',
  );
  withExample(
    add,
    "aliquot hold add leak-2026 --agent 'hplc-*' --class raw --from 2026-01-01 --to 2026-03-31 --reason 'dispute with the supplier' --owner QA",
  );
  add.action(async (name: string, options: AddOptions) => addHold(context, name, options));
}
