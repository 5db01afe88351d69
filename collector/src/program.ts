import { styledProgram, withExample, withNotes } from '@aliquot/shared/cli/help';
import type { Command } from 'commander';
import type { CommandContext } from './cli/context.ts';
import { VERSION } from './version.ts';

type Register = (program: Command, context: CommandContext) => void;

/**
 * Every command with the module that it is in, in the order of the help. Only the module of the
 * command that is run is loaded: the server's libraries would cost each other command a third of a
 * second.
 */
const commands: ReadonlyMap<string, () => Promise<Register>> = new Map([
  ['init', async () => (await import('./server/init.ts')).registerInit],
  ['serve', async () => (await import('./server/serve.ts')).registerServe],
  ['collector', async () => (await import('./operator/address.ts')).registerAddress],
  ['kit', async () => (await import('./operator/kit.ts')).registerKit],
  ['vault', async () => (await import('./operator/vault.ts')).registerVault],
  ['enroll', async () => (await import('./operator/enroll.ts')).registerEnroll],
  ['agents', async () => (await import('./operator/agents.ts')).registerAgents],
  ['agent', async () => (await import('./operator/agents.ts')).registerAgents],
  ['policy', async () => (await import('./operator/policy/index.ts')).registerPolicy],
  ['gc', async () => (await import('./operator/gc.ts')).registerGc],
  ['hold', async () => (await import('./operator/holds/index.ts')).registerHold],
  ['purge', async () => (await import('./operator/purges/index.ts')).registerPurge],
  ['retention', async () => (await import('./operator/retention/index.ts')).registerRetention],
  ['explain', async () => (await import('./operator/retention/explain.ts')).registerExplain],
  ['operator', async () => (await import('./operator/operator.ts')).registerOperator],
  ['release', async () => (await import('./operator/release.ts')).registerRelease],
  ['fork', async () => (await import('./operator/fork.ts')).registerFork],
  ['find', async () => (await import('./operator/find.ts')).registerFind],
  ['ls', async () => (await import('./operator/list.ts')).registerList],
  ['versions', async () => (await import('./operator/list.ts')).registerList],
  ['restore', async () => (await import('./operator/restore.ts')).registerRestore],
  ['cat', async () => (await import('./operator/cat.ts')).registerCat],
  ['diff', async () => (await import('./operator/diff.ts')).registerDiff],
  ['check', async () => (await import('./operator/check.ts')).registerCheck],
  ['status', async () => (await import('./operator/status.ts')).registerStatus],
  ['stats', async () => (await import('./operator/stats.ts')).registerStats],
  ['log', async () => (await import('./operator/log.ts')).registerLog],
  ['queue', async () => (await import('./operator/queue.ts')).registerQueue],
  ['fsck', async () => (await import('./server/fsck.ts')).registerFsck],
]);

/** The `aliquot` command: all of it, or as much as `command` (the first argument) needs. */
export async function buildProgram(context: CommandContext, command?: string): Promise<Command> {
  const about =
    "Aliquot's collector and its operator: keep every result file that the lab's instruments write.";
  const program = styledProgram('aliquot', about, VERSION);
  const named = commands.get(command ?? '');
  const everything = command === '--version' ? [] : [...commands.values()];
  const loaders = named === undefined ? everything : [named];
  for (const register of new Set(await Promise.all(loaders.map((load) => load()))))
    register(program, context);
  withNotes(
    program,
    'Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part (each file named).',
  );
  withExample(
    program,
    'aliquot init --data /srv/aliquot',
    'aliquot serve --data /srv/aliquot',
    'export ALIQUOT_URL=http://127.0.0.1:8480',
    'export ALIQUOT_TOKEN="$(cat /srv/aliquot/admin.token)"',
    'aliquot kit create --out /media/stick/lab.kit',
    'aliquot vault add --kit /media/stick/lab.kit',
    'aliquot enroll hplc-1 --kit /media/stick/lab.kit --out hplc-1.bundle',
    'aliquot COMMAND --help',
  );
  return program;
}
