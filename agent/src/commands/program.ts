import { join, resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { NeededOption, styledProgram, withExample, withNotes } from '@aliquot/shared/cli/help';
import { createOutput, type Output } from '@aliquot/shared/cli/output';
import { processOutput, type StandardOutput } from '@aliquot/shared/cli/standard-output';
import { parseTime, TIME_HELP } from '@aliquot/shared/cli/time';
import { systemClock } from '@aliquot/shared/ports';
import type { Command } from 'commander';
import type { Request } from '../socket/protocol.ts';
import { command } from './described.ts';
import type { PathFile } from './path-file.ts';
import type { ServiceAction, ServiceCommand } from './service.ts';
import { software } from './software.ts';

/*
 * What a command needs is loaded when it runs: --help, mistakes and questions to a running service
 * must not wait for all of it.
 */

async function perform(data: string, request: Request, shown: Output): Promise<void> {
  return (await import('./open.ts')).perform(data, request, shown);
}

const CONFIGURATION_HELP =
  'agent.yaml names the folders to watch ("sources"), what may wait in the "queue", and how the agent keeps out of the instrument\'s way ' +
  '("courtesy": priority, maxCpuPercent, maxMbitPerSecond, timeWindows, pauseWhile).';

/** The executable's commands, as the command contract has them. */
export function agentProgram(stdout: StandardOutput = processOutput()): Command {
  const output = ({ json }: { readonly json?: boolean }, reads = false): Output =>
    createOutput({
      json: json === true,
      stdout,
      stderr: process.stderr,
      clock: systemClock,
      reads,
    });
  const about = 'Aliquot on a lab PC: keeps every result that an instrument writes.';
  const program = styledProgram('aliquot-agent', about, software.split(' ')[1] ?? software);

  command(program, 'enroll <bundle>', {
    description: 'Enrol this PC with the bundle that central IT made for it, or for several PCs.',
    example: 'aliquot-agent enroll pc-7.bundle --data /var/lib/aliquot-agent',
  })
    .option(
      '--name <NAME>',
      'what to call this PC, with a bundle for several (default: its host name)',
    )
    .action(async (bundle: string, options: Common & { name?: string }) =>
      (await import('./enroll.ts')).enroll(bundle, options, output(options)),
    );

  command(program, 'run', {
    description: 'The service: watches, queues, sends, restores; stops cleanly on SIGTERM.',
    example: 'aliquot-agent run --data /var/lib/aliquot-agent',
    notes: [CONFIGURATION_HELP],
  })
    .option('--config <FILE>', 'what to watch (default: agent.yaml in the data folder)')
    .option(
      '--log-file <FILE>',
      'write the log there, five files of 10 MiB, instead of to standard error',
    )
    .action(async (options: Common & { config?: string; logFile?: string }) =>
      (await import('./run.ts')).run(options, output(options)),
    );

  const serviceHelp = 'Needs an administrator (Windows) or root (sudo), except for status.';
  const machine = program
    .command('service')
    .description('The agent as a service of this machine: install, start, stop, remove.');
  withExample(machine, 'aliquot-agent service start');
  const withService = (usage: ServiceAction, description: string, example: string): Command =>
    command(machine, usage, { description, example, notes: [serviceHelp], data: 'optional' });
  const serve = (action: ServiceAction) => async (options: ServiceCommand & { json?: boolean }) =>
    (await import('./service.ts')).service(action, options, output(options));
  withService(
    'install',
    'Let the machine start the agent by itself, now and from now on.',
    'aliquot-agent service install',
  )
    .option(
      '--account <NAME>',
      'run as this account (default: the system’s own; Windows takes group managed accounts)',
    )
    .action(serve('install'));
  withService(
    'uninstall',
    'Remove the service; data and what is queued stay.',
    'aliquot-agent service uninstall',
  ).action(serve('uninstall'));
  withService(
    'start',
    'Start it, and say whether it is connected.',
    'aliquot-agent service start',
  ).action(serve('start'));
  withService(
    'stop',
    'End it cleanly; what it captured stays queued.',
    'aliquot-agent service stop',
  ).action(serve('stop'));
  withService('status', 'Whether it is installed and runs.', 'aliquot-agent service status').action(
    serve('status'),
  );

  const config = program.command('config').description('The service’s configuration, agent.yaml.');
  withExample(config, 'aliquot-agent config check ./agent.yaml');
  command(config, 'check [file]', {
    description:
      'Say whether a file could be the configuration, and what is wrong with it; needs no service.',
    example: 'aliquot-agent config check ./agent.yaml',
    data: 'optional',
  }).action(async (file: string | undefined, options: Partial<Common>) => {
    const path =
      file ?? (options.data === undefined ? undefined : join(options.data, 'agent.yaml'));
    if (path === undefined)
      throw new UsageError(
        'USAGE_MISSING',
        'nothing to check; name the file, or --data for agent.yaml in that folder',
      );
    await (await import('./config-file.ts')).checkConfig(path, output(options), options.data);
  });

  command(program, 'backup [path...]', {
    description: 'Capture the paths now, send, and wait for the receipts.',
    example: 'aliquot-agent backup /data/run1 --data /var/lib/aliquot-agent',
  })
    .option('--offline', 'only queue; send later')
    .option('--dry-run', 'only tell what would be captured')
    .option('--exclude <GLOB>', 'leave out what matches; may be given more than once', collect, [])
    .option(
      '--accept-gone',
      'what is not there any more is gone for good, even if that is everything',
    )
    .option(...pathFileOption)
    .option(...nullOption)
    .action(
      async (
        paths: string[],
        options: Common &
          PathFile & {
            offline?: boolean;
            dryRun?: boolean;
            exclude: string[];
            acceptGone?: boolean;
          },
      ) =>
        perform(
          options.data,
          {
            op: 'backup',
            paths: await pathsOf(paths, options),
            exclude: options.exclude,
            offline: options.offline === true,
            dryRun: options.dryRun === true,
            acceptGone: options.acceptGone === true,
            totals: process.stderr.isTTY === true,
          },
          output(options),
        ),
    );

  command(program, 'flush', {
    description: 'Send what is queued, and wait for the receipts.',
    example: 'aliquot-agent flush --data /var/lib/aliquot-agent',
  }).action((options: Common) => perform(options.data, { op: 'flush' }, output(options)));

  const queue = program
    .command('queue')
    .description('Carry what is queued by hand, from a PC that does not reach the collector.');
  withExample(
    queue,
    'aliquot-agent queue export /media/stick/pc-7.queue --data /var/lib/aliquot-agent',
  );
  command(queue, 'export <FILE>', {
    description:
      'Write all that is queued, sealed and signed, into one file to carry to the collector.',
    example: 'aliquot-agent queue export /media/stick/pc-7.queue --data /var/lib/aliquot-agent',
    notes: carryHelp,
  }).action(async (file: string, options: Common) =>
    (await import('./queue.ts')).queueExport(file, options.data, output(options)),
  );
  command(queue, 'import <receipts>', {
    description: 'Take in the receipts that came back: what they prove is safe leaves the queue.',
    example: 'aliquot-agent queue import /media/stick/pc-7.receipts --data /var/lib/aliquot-agent',
    notes: carryHelp,
  }).action(async (file: string, options: Common) =>
    (await import('./queue.ts')).queueImport(file, options.data, output(options)),
  );

  const address = program
    .command('address')
    .description('Where this agent looks for its collector; it mostly learns that by itself.');
  withExample(
    address,
    'aliquot-agent address set /media/stick/lab.addresses --data /var/lib/aliquot-agent',
  );
  command(address, 'set <FILE>', {
    description:
      'Take the signed addresses that central IT wrote, on a PC that missed the collector’s move.',
    example: 'aliquot-agent address set /media/stick/lab.addresses --data /var/lib/aliquot-agent',
  }).action(async (file: string, options: Common) =>
    (await import('./address.ts')).addressSet(file, options.data, output(options)),
  );

  command(program, 'restore [path...]', {
    description:
      'Give this PC’s own files back, as they are kept, were at a time, or were before they were deleted.',
    example:
      'aliquot-agent restore /data/run1 --at 3d --to /tmp/back --data /var/lib/aliquot-agent',
  })
    .option('--at <TIME>', `as of a time: ${TIME_HELP}`)
    .option(
      '--to <DIR>',
      'whole paths below this folder; unless given, a new folder in "Restored from backup" beside the source',
    )
    .option(...pathFileOption)
    .option(...nullOption)
    .action(async (paths: string[], options: Common & PathFile & { at?: string; to?: string }) => {
      const atMs =
        options.at === undefined
          ? 0
          : (parseTime(options.at, systemClock.nowMs(), '--at', output(options).note) ?? 0);
      const to = options.to === undefined ? {} : { to: resolve(options.to) };
      return perform(
        options.data,
        { op: 'restore', paths: await pathsOf(paths, options), atMs, ...to },
        output(options),
      );
    });

  command(program, 'status [path...]', {
    description:
      'Whether everything is safe, and what is wrong; or the state of the paths that are named.',
    example: 'aliquot-agent status /data/run-014.D',
    notes: ['Any user of this PC may ask. Without --data the one agent that runs here answers.'],
    data: 'optional',
  })
    .option('--today', 'list what was captured today, and all that is not safe yet')
    .option('--acknowledge-lost', 'show what a collector lost once more, and then no longer')
    .action(
      async (paths: string[], options: Asking & { today?: boolean; acknowledgeLost?: boolean }) => {
        const shown = output(options, options.acknowledgeLost !== true);
        if (options.acknowledgeLost === true) {
          if (options.data === undefined)
            throw new UsageError(
              'USAGE_MISSING',
              '--acknowledge-lost needs --data, the agent’s data folder',
            );
          const { data } = options;
          const { acknowledgeLost } = await import('./acknowledge.ts');
          return acknowledgeLost((request, to) => perform(data, request, to), shown, stdout);
        }
        const { inquire } = await import('./inquire.ts');
        if (paths.length > 0)
          return inquire(
            options.data,
            { op: 'paths', paths: paths.map((path) => resolve(path)), versions: false },
            shown,
          );
        const today = options.today === true ? { sinceMs: startOfDayMs(systemClock.nowMs()) } : {};
        return inquire(
          options.data,
          { op: 'status', results: options.json === true || options.today === true, ...today },
          shown,
        );
      },
    );

  command(program, 'settings', {
    description:
      'What this PC is told to do: each value, and whether it is built in, from central IT, or of this PC.',
    example: 'aliquot-agent settings --data /var/lib/aliquot-agent',
    notes: ['Any user of this PC may ask. Without --data the one agent that runs here answers.'],
    data: 'optional',
  })
    .option('--acknowledge', 'show what lost its cover by settings once more, and then no longer')
    .action(async (options: Asking & { acknowledge?: boolean }) => {
      const shown = output(options, options.acknowledge !== true);
      if (options.acknowledge !== true)
        return (await import('./inquire.ts')).inquire(options.data, { op: 'settings' }, shown);
      if (options.data === undefined)
        throw new UsageError(
          'USAGE_MISSING',
          '--acknowledge needs --data, the agent’s data folder',
        );
      const { data } = options;
      return (await import('./acknowledge.ts')).acknowledgeUncovered(
        (request, to) => perform(data, request, to),
        shown,
        stdout,
      );
    });

  command(program, 'versions <path...>', {
    description: 'Every version of a file that this PC captured, and since when each is safe.',
    example: 'aliquot-agent versions /data/run-014.csv',
    notes: ['Any user of this PC may ask. Without --data the one agent that runs here answers.'],
    data: 'optional',
  }).action(async (paths: string[], options: Asking) =>
    (await import('./inquire.ts')).inquire(
      options.data,
      { op: 'paths', paths: paths.map((path) => resolve(path)), versions: true },
      output(options, true),
    ),
  );

  command(program, 'diagnose', {
    description:
      'Write how this agent is into a file for whoever helps: no names of files, and no content.',
    example: 'aliquot-agent diagnose --out agent.diagnosis --data /var/lib/aliquot-agent',
    notes: diagnoseHelp,
  })
    .addOption(new NeededOption('--out <FILE>', 'a new file for it'))
    .option(
      '--log-file <FILE>',
      'where the log is, if the service does not run (its own --log-file)',
    )
    .action(async (options: Common & { out?: string; logFile?: string }) =>
      (await import('./diagnose.ts')).diagnose(options, output(options)),
    );

  command(program, 'fsck', {
    description: 'Prove, or rebuild, the queue.',
    example: 'aliquot-agent fsck --data /var/lib/aliquot-agent',
  })
    .option('--repair', 'mend what can be mended; asks that the service be stopped')
    .action(async (options: Common & { repair?: boolean }) =>
      (await import('./fsck.ts')).fsck(options.data, options.repair === true, output(options)),
    );

  withNotes(
    program,
    'Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part (each file named).',
  );
  return withExample(
    program,
    'aliquot-agent enroll pc-7.bundle --data /var/lib/aliquot-agent',
    'aliquot-agent backup /data/run1 --data /var/lib/aliquot-agent',
    'aliquot-agent COMMAND --help',
  );
}

const diagnoseHelp = [
  'In it: versions, settings, status, counts, times, memory, disk, clock, what fsck finds, the last 2 MiB of the log. Instead of each path stand a number, ' +
    'how deep it is and a well-known ending; other texts that people chose are numbers too.',
  'It is text: read it before you send it. Nothing is sent by this command.',
];

const carryHelp = [
  'The way: queue export here, `aliquot queue import FILE --out RECEIPTS` where the collector can be reached, queue import here.',
  'The file shows sizes and ids, no names and no content. Every step may be repeated; until the receipts are here, nothing leaves the queue.',
];

const pathFileOption = [
  '--path-file <FILE>',
  'the whole paths in this file too, one a line, taken literally',
] as const;
const nullOption = [
  '-0, --null',
  'in that file each path is ended by a NUL, as find -print0 writes them',
] as const;

async function pathsOf(typed: readonly string[], options: PathFile): Promise<string[]> {
  return (await import('./path-file.ts')).pathsOf(typed, options);
}

interface Common {
  readonly data: string;
  readonly json?: boolean;
}

/** What a question needs: nothing, where one agent is installed. */
interface Asking {
  readonly data?: string;
  readonly json?: boolean;
}

/** Midnight, by this PC's clock and zone. */
function startOfDayMs(nowMs: number): number {
  return new Date(nowMs).setHours(0, 0, 0, 0);
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
