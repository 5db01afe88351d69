import { PartialError, UsageError } from '@aliquot/shared/cli/errors';
import { formatCounted, formatInstant, formatTime } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { issueRetentionApproval } from '@aliquot/shared/keys/retention-approval';
import { fromBase64 } from '../../api/base64.ts';
import type { RetentionInfo, RunAnswer, RunInfo } from '../../api/retention-messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { inspectedVault } from '../choose-vault.ts';
import { CollectorClient } from '../client/collector-client.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { failedJson, failedText } from '../failed-work.ts';
import { provedVault } from '../open-vault.ts';
import { type ByOptions, openSigner } from '../operator-key.ts';
import { type CollectorOptions, endpointOf } from '../options.ts';
import { amountText, brakeJson, brakeText, figuresJson, figuresLines } from './figures.ts';

/** Runs that `retention status` shows a person. */
const MOST_SHOWN = 20;

export interface RetentionOptions extends CollectorOptions {
  readonly json?: boolean;
}

/** `retention status`: what has run, what waits, what can be undone. */
export async function retentionStatus(
  context: CommandContext,
  options: RetentionOptions,
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const vault = await inspectedVault(context, options);
  const info = await vault.retention.info();
  if (output.json) for (const run of info.runs) await output.result(runJson(run, info.atMs));
  await output.result(
    {
      event: 'retention',
      vault: vault.info.name,
      rulesSince: info.rulesSince ?? null,
      held: info.held ?? null,
      failed: failedJson(info.failed),
      waits: waiting(info)?.run ?? null,
    },
    statusText(info),
  );
}

/** The run that waits for a person: the newest one, as long as nobody let it pass. */
function waiting({ runs }: RetentionInfo): RunInfo | undefined {
  const newest = runs.at(-1);
  return newest !== undefined && isWaiting(newest) ? newest : undefined;
}

function isWaiting({ brakes, approvedAtMs }: RunInfo): boolean {
  return brakes.length > 0 && approvedAtMs === undefined;
}

function statusText(info: RetentionInfo): string {
  const { rulesSince, held, failed, runs, atMs } = info;
  const shown = runs.slice(-MOST_SHOWN);
  const waits = waiting(info);
  return [
    rulesSince === undefined
      ? 'No rules are set: everything stays.'
      : `The rules of policy ${rulesSince} are in force.`,
    ...(held === undefined ? [] : [`No run begins: ${held}`]),
    ...(failed === undefined ? [] : [failedText('The last run', failed)]),
    ...(runs.length === 0 ? ['Nothing has expired yet.'] : []),
    ...(shown.length < runs.length
      ? [`${runs.length - shown.length} earlier runs; --json has all.`]
      : []),
    ...shown.map((run) => runText(run, atMs)),
    ...(waits === undefined ? [] : waitsLines(waits)),
  ].join('\n');
}

function waitsLines({ run, brakes }: RunInfo): string[] {
  return [
    `Run ${run} waits for a person, for it would let go:`,
    ...brakes.map((brake) => `  ${brakeText(brake)}`),
    `See what it is with \`aliquot policy simulate\` and \`aliquot explain\`; then \`aliquot retention approve ${run} --by KEYFILE\`, or set other rules.`,
  ];
}

function runText(run: RunInfo, atMs: number): string {
  const amount = amountText({ versions: run.versions, bytes: String(run.bytes) });
  return `run ${String(run.run).padEnd(4)} ${formatTime(run.atMs)}  ${amount}  ${stateText(run, atMs)}`;
}

function stateText(run: RunInfo, atMs: number): string {
  const { undoneAtMs, undoUntilMs, approvedAtMs, approves } = run;
  if (isWaiting(run)) return 'waits, and has expired nothing';
  if (approvedAtMs !== undefined) return `waited; approved ${formatTime(approvedAtMs)}`;
  if (undoneAtMs !== undefined) return `undone ${formatTime(undoneAtMs)}`;
  const by = approves === undefined ? '' : ` (approved as run ${approves})`;
  const until = undoUntilMs ?? 0;
  return until > atMs ? `can be undone until ${formatTime(until)}${by}` : `final${by}`;
}

function runJson(run: RunInfo, atMs: number): object {
  const instant = (ms: number | undefined) => (ms === undefined ? null : formatInstant(ms));
  const { undoUntilMs, undoneAtMs } = run;
  return {
    event: 'run',
    ...{ run: run.run, time: formatInstant(run.atMs), policy: run.policy },
    ...{ versions: run.versions, bytes: run.bytes },
    waits: isWaiting(run),
    brakes: run.brakes.map(brakeJson),
    approved: instant(run.approvedAtMs),
    approves: run.approves ?? null,
    undone: instant(undoneAtMs),
    undoUntil: instant(undoUntilMs),
    canUndo: undoneAtMs === undefined && (undoUntilMs ?? 0) > atMs,
  };
}

/** `retention run`. */
export async function runCommand(
  context: CommandContext,
  options: RetentionOptions & { readonly dryRun?: boolean },
): Promise<void> {
  const output = outputOf(context, options);
  const vault = await inspectedVault(context, options);
  if (options.dryRun === true) {
    const figures = await vault.retention.simulate({ days: 0 });
    const lines = figuresLines(figures, 0);
    await output.result({ event: 'dry-run', ...figuresJson(figures) }, lines.join('\n'));
    if (figures.brakes.length > 0) throw held();
    return;
  }
  await runUntilDone(vault, output);
}

/** Held up by a brake: nothing has expired, and somebody has to look. */
function held(): PartialError {
  return new PartialError(
    'PARTIAL',
    'a brake holds the run, named above; nothing has expired by it',
  );
}

/** Runs until nothing more is to go: a run expires so much at once and no more. */
async function runUntilDone(vault: VaultClient, output: Output): Promise<void> {
  for (;;) {
    const answer = await vault.retention.run();
    await tellRun(output, answer);
    if (answer.type === 'waits') throw held();
    if (!answer.isMore) return;
  }
}

async function tellRun(output: Output, { type, run, figures }: RunAnswer): Promise<void> {
  if (run === undefined || type === 'nothing') {
    await output.result(
      { event: 'run', type, run: null, ...figuresJson(figures) },
      'Nothing goes: every version has a reason to stay.',
    );
    return;
  }
  const lines =
    type === 'waits'
      ? waitsLines(run)
      : [
          `Run ${run.run} expired ${amountText({ versions: run.versions, bytes: String(run.bytes) })}.`,
          `Until ${formatTime(run.undoUntilMs ?? 0)}: aliquot retention undo ${run.run}`,
        ];
  await output.result({ type, ...runJson(run, figures.atMs) }, lines.join('\n'));
}

/** `retention approve`: a key for retention lets a run pass that waits, and it goes on. */
export async function approveCommand(
  context: CommandContext,
  text: string,
  options: RetentionOptions & ByOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const run = runNumber(text);
  const signer = await openSigner(context, options, 'retention');
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  const vault = await provedVault(context, collector, signer.descriptor);
  const known = (await vault.retention.info()).runs.find((one) => one.run === run);
  if (known === undefined)
    throw new CommandError(
      'COMMAND_RUN',
      `there is no run ${run}; \`aliquot retention status\` lists them`,
    );
  const approval = issueRetentionApproval(signer.key, {
    ...{ version: 1, vaultId: signer.descriptor.vaultId, run },
    ...{ sum: fromBase64(known.sum), approvedAtMs: Math.floor(context.clock.nowMs()) },
  });
  await vault.retention.approve(approval, signer.certificate);
  output.note(`Run ${run} is approved: ${formatCounted(known.versions, 'version')}.`);
  await runUntilDone(vault, output);
}

/** `retention undo`: the token is enough, for it only keeps more. */
export async function undoCommand(
  context: CommandContext,
  text: string,
  options: RetentionOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const run = runNumber(text);
  const vault = await inspectedVault(context, options);
  await vault.retention.undo(run);
  await output.result(
    { event: 'undone', run },
    `Run ${run} is undone: what it expired stays until the rules change.`,
  );
}

function runNumber(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new UsageError(
    'USAGE_INVALID',
    `"${text}" is no run; give its number as \`aliquot retention status\` shows it`,
  );
}
