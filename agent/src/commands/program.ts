import { join, resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { createOutput, type Output } from '@aliquot/shared/cli/output';
import { parseTime } from '@aliquot/shared/cli/time';
import { systemClock } from '@aliquot/shared/ports';
import { Command } from 'commander';
import type { Request } from '../service/protocol.ts';
import { software } from './software.ts';

/*
 * What a command needs is loaded when it runs: --help, mistakes and questions to a running service must not wait for all of it.
 */

async function perform(data: string, request: Request, shown: Output): Promise<void> {
  return (await import('./open.ts')).perform(data, request, shown);
}

const configurationHelp = `
agent.yaml names the folders to watch ("sources"), what may wait in the "queue", and how the agent keeps out of the instrument's way
("courtesy": priority, maxCpuPercent, maxMbitPerSecond, timeWindows, pauseWhile).`;

/** The executable's commands, as the command contract has them. */
export function agentProgram(): Command {
  const program = new Command('aliquot-agent')
    .description('Aliquot on a lab PC: keeps every result that an instrument writes.')
    .version(software.split(' ')[1] ?? software)
    .helpCommand(false)
    .showHelpAfterError(false);

  command(
    program,
    'enroll <bundle>',
    'enrol this PC with the bundle that central IT made for it',
    'aliquot-agent enroll pc-7.bundle --data /var/lib/aliquot-agent',
  ).action(async (bundle: string, options: Common) => (await import('./enroll.ts')).enroll(bundle, options.data, output(options)));

  command(
    program,
    'run',
    'the service: watches, queues, sends, restores; stops cleanly on SIGTERM',
    'aliquot-agent run --data /var/lib/aliquot-agent',
  )
    .option('--config <file>', 'what to watch (default: agent.yaml in the data folder)')
    .addHelpText('after', configurationHelp)
    .action(async (options: Common & { config?: string }) => (await import('./run.ts')).run(options.data, options.config, output(options)));

  const config = program.command('config').description('the service’s configuration, agent.yaml');
  command(
    config,
    'check [file]',
    'whether a file could be the configuration, and what is wrong with it; needs no service',
    'aliquot-agent config check ./agent.yaml',
    'optional',
  ).action(async (file: string | undefined, options: Partial<Common>) => {
    const path = file ?? (options.data === undefined ? undefined : join(options.data, 'agent.yaml'));
    if (path === undefined)
      throw new UsageError('USAGE_MISSING', 'nothing to check; name the file, or --data for agent.yaml in that folder');
    await (await import('./config-file.ts')).checkConfig(path, output(options));
  });

  command(
    program,
    'backup <path...>',
    'capture the paths now, send, and wait for the receipts',
    'aliquot-agent backup /data/run1 --data /var/lib/aliquot-agent',
  )
    .option('--offline', 'only queue; send later')
    .option('--dry-run', 'only tell what would be captured')
    .option('--exclude <glob>', 'leave out what matches; may be given more than once', collect, [])
    .action((paths: string[], options: Common & { offline?: boolean; dryRun?: boolean; exclude: string[] }) =>
      perform(
        options.data,
        {
          op: 'backup',
          paths: paths.map((path) => resolve(path)),
          exclude: options.exclude,
          offline: options.offline === true,
          dryRun: options.dryRun === true,
        },
        output(options),
      ),
    );

  command(program, 'flush', 'send what is queued, and wait for the receipts', 'aliquot-agent flush --data /var/lib/aliquot-agent').action(
    (options: Common) => perform(options.data, { op: 'flush' }, output(options)),
  );

  const queue = program.command('queue').description('carry what is queued by hand, from a PC that does not reach the collector');
  command(
    queue,
    'export <file>',
    'write all that is queued, sealed and signed, into one file to carry to the collector',
    'aliquot-agent queue export /media/stick/pc-7.queue --data /var/lib/aliquot-agent',
  )
    .addHelpText('after', carryHelp)
    .action(async (file: string, options: Common) => (await import('./queue.ts')).queueExport(file, options.data, output(options)));
  command(
    queue,
    'import <receipts>',
    'take in the receipts that came back: what they prove is safe leaves the queue',
    'aliquot-agent queue import /media/stick/pc-7.receipts --data /var/lib/aliquot-agent',
  )
    .addHelpText('after', carryHelp)
    .action(async (file: string, options: Common) => (await import('./queue.ts')).queueImport(file, options.data, output(options)));

  command(
    program,
    'restore <path...>',
    'this PC’s own files back, beside the originals or below a folder',
    'aliquot-agent restore /data/run1 --at 3d --to /tmp/back --data /var/lib/aliquot-agent',
  )
    .option('--at <time>', 'as of a time: RFC 3339, a date, latest, or an age such as 3d')
    .option('--to <dir>', 'whole paths below this folder, instead of beside the originals')
    .action((paths: string[], options: Common & { at?: string; to?: string }) => {
      const atMs = options.at === undefined ? 0 : (parseTime(options.at, systemClock.nowMs(), '--at') ?? 0);
      const to = options.to === undefined ? {} : { to: resolve(options.to) };
      return perform(options.data, { op: 'restore', paths: paths.map((path) => resolve(path)), atMs, ...to }, output(options));
    });

  command(
    program,
    'status',
    'connection, queue, last receipt, every result’s state, what is wrong',
    'aliquot-agent status --data /var/lib/aliquot-agent',
  )
    .option('--acknowledge-lost', 'show what a collector lost once more, and then no longer')
    .action((options: Common & { acknowledgeLost?: boolean }) => {
      const acknowledgeLost = options.acknowledgeLost === true;
      return perform(options.data, { op: 'status', results: options.json === true, acknowledgeLost }, output(options));
    });

  command(program, 'fsck', 'prove, or rebuild, the queue', 'aliquot-agent fsck --data /var/lib/aliquot-agent')
    .option('--repair', 'mend what can be mended; asks that the service be stopped')
    .action(async (options: Common & { repair?: boolean }) =>
      (await import('./fsck.ts')).fsck(options.data, options.repair === true, output(options)),
    );

  return program;
}

const carryHelp =
  '\nThe way: queue export here, `aliquot queue import FILE --out RECEIPTS` where the collector can be reached, queue import here.' +
  '\nThe file shows sizes and ids, no names and no content. Every step may be repeated; until the receipts are here, nothing leaves the queue.';

interface Common {
  readonly data: string;
  readonly json?: boolean;
}

function command(program: Command, usage: string, description: string, example: string, data: 'needed' | 'optional' = 'needed'): Command {
  const made = program.command(usage).description(description);
  if (data === 'needed') made.requiredOption('--data <dir>', 'the agent’s data folder');
  else made.option('--data <dir>', 'the agent’s data folder');
  return made.option('--json', 'one JSON object a line').addHelpText('after', `\nExample:\n  ${example}`);
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function output(options: { readonly json?: boolean }): Output {
  return createOutput({ json: options.json === true, stdout: process.stdout, stderr: process.stderr, clock: systemClock });
}
