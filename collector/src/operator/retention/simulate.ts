import { encodeRetentionRules, type RetentionRules } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant, formatTime } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { parseTime } from '@aliquot/shared/cli/time';
import { inClear } from '@aliquot/shared/settings/retention';
import type { Command } from 'commander';
import { toBase64 } from '../../api/base64.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { inspectedVault } from '../choose-vault.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { withKitOrKeyFile } from '../operator-key.ts';
import { withCollector, withExample, withJson, withNotes } from '../options.ts';
import { openDesk, type PolicyDeskOptions } from '../policy/desk.ts';
import { policyIn } from '../policy/file.ts';
import { rulesToSign } from '../policy/rules.ts';
import { figuresJson, figuresLines } from './figures.ts';

interface SimulateOptions extends PolicyDeskOptions {
  readonly at?: string;
  readonly days: string;
  readonly agent?: string;
  readonly json?: boolean;
}

const MOST_DAYS = 3660;

/** `aliquot policy simulate`. */
export function registerSimulate(policy: Command, context: CommandContext): void {
  const simulate = policy
    .command('simulate')
    .description('What the rules of retention keep, and why; what goes now and in the next days.')
    .argument('[FILE]', 'a policy to compare with the one in force; that alone, unless given')
    .option('--at <TIME>', 'as though it were then; now, unless given')
    .option('--days <NUMBER>', 'for so many days what goes is told', '30')
    .option('--agent <NAME>', 'only the versions of this PC; brakes are of all');
  withJson(withKitOrKeyFile(withCollector(simulate)));
  withNotes(
    simulate,
    'It asks the code that decides in a run. A policy that keeps less acts seven days after it was set: so what a FILE lets go is among that of the days. Bytes are those that PCs claim, so at most as many are freed. --kit is needed only where the FILE has rules for root folders.',
  );
  withExample(
    simulate,
    'aliquot policy simulate policy.yaml --days 60',
    'aliquot policy simulate --agent hplc-1 --at 2027-06-01',
  );
  simulate.action(async (file: string | undefined, options: SimulateOptions) =>
    simulateCommand(context, file, options),
  );
}

async function simulateCommand(
  context: CommandContext,
  file: string | undefined,
  options: SimulateOptions,
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const days = daysOf(options.days);
  const nowMs = context.clock.nowMs();
  const atMs = parseTime(options.at ?? 'latest', nowMs, '--at', output.note);
  const { vault, rules } = await asked(context, file, options, output);
  const { agent } = options;
  const present = await vault.retention.simulate({ days, atMs, agent });
  const encoded = rules && toBase64(rules);
  const figures =
    encoded === undefined
      ? present
      : await vault.retention.simulate({ days, atMs, agent, rules: encoded });
  const lines = figuresLines(figures, days);
  const text =
    file === undefined
      ? [`By the policy in force, at ${formatTime(present.atMs)}:`, ...lines]
      : [
          `By ${file}, set at ${formatTime(figures.atMs)}:`,
          ...lines,
          '',
          'By the policy in force:',
          ...figuresLines(present, days),
        ];
  await output.result(
    {
      event: 'simulation',
      ...{ at: formatInstant(figures.atMs), days, agent: agent ?? null },
      ...figuresJson(figures),
      present: file === undefined ? null : figuresJson(present),
    },
    text.join('\n'),
  );
}

/** The vault, and the rules of the file as the collector reads them; empty: it has none. */
async function asked(
  context: CommandContext,
  file: string | undefined,
  options: SimulateOptions,
  output: Output,
): Promise<{ readonly vault: VaultClient; readonly rules: Uint8Array | undefined }> {
  if (file === undefined)
    return { vault: await inspectedVault(context, options), rules: undefined };
  const section = (await policyIn(context, file, output)).policy.retention;
  const encoded = (rules: RetentionRules | undefined) =>
    rules === undefined ? new Uint8Array(0) : encodeRetentionRules(rules);
  if (section?.rules.some(({ match }) => match.sources !== undefined) === true) {
    const { by: _, ...byKit } = options;
    const desk = await openDesk(context, byKit);
    return { vault: desk.vault, rules: encoded(await rulesToSign(desk, section, undefined, file)) };
  }
  const vault = await inspectedVault(context, options);
  const none = { lineages: new Uint8Array(0), sources: new Uint8Array(0) };
  return { vault, rules: encoded(section && inClear(section, () => none)) };
}

function daysOf(text: string): number {
  const days = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (days <= MOST_DAYS) return days;
  throw new UsageError(
    'USAGE_INVALID',
    `--days cannot be "${text}"; give a number up to ${MOST_DAYS}`,
  );
}
