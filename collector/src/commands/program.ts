import { Command } from 'commander';
import { VERSION } from '../version.ts';
import { registerAgents } from './agents.ts';
import { registerCat } from './cat.ts';
import { registerCheck } from './check.ts';
import type { CommandContext } from './context.ts';
import { registerDiff } from './diff.ts';
import { registerEnroll } from './enroll.ts';
import { registerFsck } from './fsck.ts';
import { registerInit } from './init.ts';
import { registerKit } from './kit.ts';
import { registerList } from './list.ts';
import { registerLog } from './log.ts';
import { registerRestore } from './restore.ts';
import { registerServe } from './serve.ts';
import { registerStats } from './stats.ts';
import { registerVault } from './vault.ts';

/** The whole `aliquot` command. */
export function buildProgram(context: CommandContext): Command {
  const program = new Command('aliquot')
    .description("Aliquot's collector and its operator: keep every result file that the lab's instruments write.")
    .version(VERSION, '--version', 'print the release')
    .helpOption('--help', 'print how it is used')
    .helpCommand(false)
    .showHelpAfterError(false);
  registerInit(program, context);
  registerServe(program, context);
  registerKit(program, context);
  registerVault(program, context);
  registerEnroll(program, context);
  registerAgents(program, context);
  registerList(program, context);
  registerRestore(program, context);
  registerCat(program, context);
  registerDiff(program, context);
  registerCheck(program, context);
  registerStats(program, context);
  registerLog(program, context);
  registerFsck(program, context);
  program.addHelpText(
    'after',
    '\nExample, from nothing to a first PC:\n' +
      '  aliquot init --data /srv/aliquot\n' +
      '  aliquot serve --data /srv/aliquot\n' +
      '  export ALIQUOT_URL=http://127.0.0.1:8480\n' +
      '  aliquot kit create --out lab.kit\n' +
      '  aliquot vault add --kit lab.kit --token-file /srv/aliquot/admin.token\n' +
      '  aliquot enroll hplc-1 --kit lab.kit --out hplc-1.bundle --token-file /srv/aliquot/admin.token\n' +
      '\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part (each file named).',
  );
  return program;
}
