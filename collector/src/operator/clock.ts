import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { CollectorClient } from './client/collector-client.ts';
import { type CorrectOptions, correctCommand } from './clock-correction.ts';
import { offsetText } from './clock-stretch.ts';
import {
  endpointOf,
  withCollector,
  withExample,
  withJson,
  withNotes,
  withPassphraseFile,
} from './options.ts';

interface ClockOptions extends Omit<CorrectOptions, 'correct'> {
  readonly confirm?: boolean;
  readonly correct?: string;
}

/** `aliquot collector clock`. */
export function registerClock(collector: Command, context: CommandContext): void {
  const clock = collector
    .command('clock')
    .description('What time it is for the collector, and whether its machine agrees.')
    .option('--confirm', "the machine's clock is right: go on with it")
    .option(
      '--correct <FROM..TO>',
      'it was wrong while it said these times: needs --by and the kit',
    )
    .option('--by <OFFSET>', 'what has to be added to what it said, such as -20h or +3652d')
    .option('--yes', 'correct them; without, it is only shown what would change')
    .option('--kit <FILE>', 'recovery kit of the vault, for --correct (or ALIQUOT_KIT)');
  withJson(withCollector(withPassphraseFile(clock)));
  withNotes(
    clock,
    "When the clock of its machine jumps by more than a day, a collector goes on from the last good time, so that receipts of a wrong hour are not wrong for years. It is the machine's again when that was set right, or with --confirm, which every vault's log records. A start up to 30 days after the last recorded time is no jump: the collector was off. With --correct an authority's signed word goes into the log of the kit's vault: what was received while the clock said times after FROM, up to TO (a day means its end), was received OFFSET later. Versions, --at, restores and alarms go by that from then on, and receipts stay as they were signed; nothing received before a correction counts as later than it, so set the clock right first. The same FROM..TO with another --by takes the place of the earlier word, with --by +0s it is taken back. Where the collector has several vaults, say it for each.",
  );
  withExample(
    clock,
    'aliquot collector clock --confirm',
    'aliquot collector clock --correct 2036-10-31..2036-11-03 --by -3652d --kit lab.kit',
  );
  clock.action(async (options: ClockOptions) => clockCommand(context, options));
}

async function clockCommand(context: CommandContext, options: ClockOptions): Promise<void> {
  const { correct, confirm, by, yes } = options;
  if (correct !== undefined) {
    if (confirm === true)
      throw new UsageError('USAGE_INVALID', 'give --confirm first, and then --correct');
    return correctCommand(context, { ...options, correct });
  }
  if (by !== undefined || yes === true)
    throw new UsageError('USAGE_INVALID', '--by and --yes belong to --correct FROM..TO');
  const output = outputOf(context, options);
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  const { timeMs, hold } =
    options.confirm === true ? await collector.confirmClock() : collector.info;
  const now = formatInstant(timeMs);
  const held = options.confirm !== true && hold !== undefined;
  await output.result(
    {
      event: 'clock',
      time: now,
      held,
      since: hold === undefined ? null : formatInstant(hold.sinceMs),
      machine: hold === undefined ? null : formatInstant(hold.machineMs),
    },
    textOf(now, options.confirm === true, hold),
  );
}

function textOf(
  now: string,
  confirmed: boolean,
  hold:
    | { readonly sinceMs: number; readonly heldMs: number; readonly machineMs: number }
    | undefined,
): string {
  if (hold === undefined) return `${now}, as its machine says.`;
  const offset = offsetText(hold.machineMs - hold.heldMs);
  if (confirmed)
    return `${now}, as its machine says; until now it was held at ${formatInstant(hold.heldMs)}. If that was wrong since it was confirmed then, correct it: --correct FROM..TO --by ${offset}`;
  return [
    `${now}, held since ${formatInstant(hold.sinceMs)}: its machine says ${formatInstant(hold.machineMs)}.`,
    'Set that clock right; or, if it is right, run: aliquot collector clock --confirm',
  ].join('\n');
}
