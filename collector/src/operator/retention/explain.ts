import { UsageError } from '@aliquot/shared/cli/errors';
import { formatBytes, formatInstant, formatTime, printable } from '@aliquot/shared/cli/format';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { hex } from '@aliquot/shared/crypto/bytes';
import { fileIdFor, pathKeyFor, resultIdFor } from '@aliquot/shared/keys/derive';
import type { Command } from 'commander';
import { toBase64 } from '../../api/base64.ts';
import type {
  DroppedInfo,
  ExplainAnswer,
  ExplainedVersion,
  RunInfo,
} from '../../api/retention-messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import type { AgentView } from '../agent-view.ts';
import { inspectedVault } from '../choose-vault.ts';
import { CollectorClient } from '../client/collector-client.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { goneText } from '../gone-text.ts';
import { kitPath, openKitFile } from '../kit-file.ts';
import { provedVault } from '../open-vault.ts';
import {
  type CollectorOptions,
  endpointOf,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
  withNotes,
} from '../options.ts';
import { asRecorded } from '../paths.ts';
import { certifiedAgent } from '../verified.ts';

interface ExplainOptions extends CollectorOptions, KitOptions {
  readonly agent: string;
  readonly path: string;
  readonly json?: boolean;
}

/** `aliquot explain`. */
export function registerExplain(program: Command, context: CommandContext): void {
  const explain = program
    .command('explain')
    .description('Why each version of a file or folder result stays, until when, and what goes.')
    .requiredOption('--agent <NAME>', 'the agent that the file belongs to')
    .requiredOption('--path <PATH>', 'its whole path as on its PC');
  withJson(withKit(withCollector(explain), 'for blind vaults'));
  withNotes(
    explain,
    'It asks the code that decides in a run. A reason is a word of the rule, or: newest, gone (the last state of what is gone), whole (newer ones are only growing), before (a deletion, as long as what it ended), result (a folder result that stays names it), hold, lock, undone (a run that let it go was), no-rule, unknown (a rule names folders and does not know this PC: set the policy again), undecided (nobody has said whose the history is). What was dropped comes first, with the run that had expired it. The collector finds the name among those that it can open; with --kit the id is made here, which is quick.',
  );
  withExample(explain, 'aliquot explain --agent hplc-1 --path /data/run1/signal.csv');
  explain.action(async (options: ExplainOptions) => explainCommand(context, options));
}

async function explainCommand(context: CommandContext, options: ExplainOptions): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const answer = await explained(context, options);
  const { agent, path } = options;
  if (answer === undefined)
    throw new CommandError(
      'COMMAND_NO_SUCH_FILE',
      `no version of ${path} by agent ${agent}; give the whole path as \`aliquot ls --agent ${agent}\` lists it`,
    );
  const { versions, dropped, runs, isResult } = answer;
  const byNumber = new Map(runs.map((run) => [run.run, run]));
  for (const version of dropped) {
    const run = version.run === undefined ? undefined : byNumber.get(version.run);
    await output.result(
      { event: 'dropped', agent, path, isResult, ...droppedJson(version, run) },
      droppedText(version, run),
    );
  }
  if (versions === undefined) {
    await output.result(
      { event: 'unread', agent, path, isResult },
      `Not all versions of ${printable(path)} can be read, so all of it stays: see aliquot fsck.`,
    );
    return;
  }
  for (const version of versions) {
    const run = version.expiredBy === undefined ? undefined : byNumber.get(version.expiredBy);
    await output.result(
      { event: 'version', agent, path, isResult, ...versionJson(version, run, answer.atMs) },
      versionText(version, run, answer.atMs),
    );
  }
}

/** Undefined: there is no such file. */
async function explained(
  context: CommandContext,
  options: ExplainOptions,
): Promise<ExplainAnswer | undefined> {
  if (options.kit !== undefined) return withTheKit(context, options);
  const vault = await inspectedVault(context, options);
  if (vault.info.blind) {
    if (kitPath(context, options) !== undefined) return withTheKit(context, options);
    throw new UsageError(
      'USAGE_MISSING',
      `vault ${vault.info.name} is blind: its names open only on this machine; give its recovery kit with --kit`,
    );
  }
  const view = await vault.roster.history(options.agent);
  const paths = pathCandidates(options.path).map((path) => ({ path: toBase64(path) }));
  return firstOf(vault, view, paths);
}

async function withTheKit(
  context: CommandContext,
  options: ExplainOptions,
): Promise<ExplainAnswer | undefined> {
  const kit = await openKitFile(context, options);
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  const vault = await provedVault(context, collector, kit.descriptor);
  const view = await vault.roster.history(options.agent);
  const pathKey = pathKeyFor(kit.pathSecret, certifiedAgent(kit, view).enrolment);
  const { path } = options;
  return firstOf(vault, view, [
    ...pathCandidates(asRecorded(path)).map((bytes) => {
      return { id: hex(resultIdFor(pathKey, bytes)), isResult: true };
    }),
    ...pathCandidates(path).map((bytes) => {
      return { id: hex(fileIdFor(pathKey, bytes)), isResult: false };
    }),
  ]);
}

async function firstOf(
  vault: VaultClient,
  { agentId }: AgentView,
  wanted: readonly Parameters<VaultClient['retention']['explain']>[1][],
): Promise<ExplainAnswer | undefined> {
  for (const one of wanted) {
    const answer = await vault.retention.explain(agentId, one);
    const { versions, dropped } = answer;
    if (versions === undefined || versions.length + dropped.length > 0) return answer;
  }
  return undefined;
}

function droppedJson(version: DroppedInfo, run: RunInfo | undefined): object {
  const { isGone, size, fromMs, untilMs } = version;
  return {
    ...{ version: version.version, kind: isGone ? 'gone' : 'content', size },
    from: formatInstant(fromMs),
    until: untilMs === undefined ? null : formatInstant(untilMs),
    ...{ run: version.run ?? null, policy: run?.policy ?? null, purge: version.purge ?? null },
    expired: run === undefined ? null : formatInstant(run.atMs),
  };
}

function droppedText(version: DroppedInfo, run: RunInfo | undefined): string {
  const { isGone, size, fromMs, untilMs } = version;
  const to = untilMs === undefined ? 'the end' : formatTime(untilMs);
  const what = isGone ? 'deleted' : formatBytes(size);
  return [
    `${formatTime(fromMs)} to ${to}  ${what}  ${version.version}`,
    `  ${goneText(version, run)}: it does not come back`,
  ].join('\n');
}

type ReasonInfo = ExplainedVersion['reasons'][number];

const isOver = ({ untilMs }: ReasonInfo, atMs: number): boolean =>
  untilMs !== undefined && untilMs <= atMs;

function versionJson(version: ExplainedVersion, run: RunInfo | undefined, atMs: number): object {
  const instant = (ms: number | undefined) => (ms === undefined ? null : formatInstant(ms));
  const { goesMs } = version;
  return {
    ...{ version: version.version, kind: version.kind, class: version.class, size: version.size },
    ...{ from: formatInstant(version.fromMs), until: instant(version.untilMs) },
    received: formatInstant(version.receivedMs),
    reasons: version.reasons.map((one) => ({
      ...{ reason: one.reason, until: instant(one.untilMs), by: one.by ?? null },
      over: isOver(one, atMs),
    })),
    goes: instant(goesMs),
    goesNow: goesMs !== undefined && goesMs <= atMs,
    expired:
      run === undefined
        ? null
        : {
            ...{ run: run.run, policy: run.policy, time: formatInstant(run.atMs) },
            undoUntil: instant(run.undoUntilMs),
          },
  };
}

function versionText(version: ExplainedVersion, run: RunInfo | undefined, atMs: number): string {
  const { kind, size, fromMs, untilMs, reasons } = version;
  const what = kind === 'gone' ? 'deleted' : formatBytes(size);
  const to = untilMs === undefined ? 'now' : formatTime(untilMs);
  const growing = kind === 'growing' ? '  (growing)' : '';
  const lines = [`${formatTime(fromMs)} to ${to}  ${what}  ${version.version}${growing}`];
  const said = (list: readonly ReasonInfo[]) => list.map(reasonText).join(', ');
  const stays = reasons.filter((one) => !isOver(one, atMs));
  const over = reasons.filter((one) => isOver(one, atMs));
  if (stays.length > 0) lines.push(`  stays: ${said(stays)}`);
  if (over.length > 0) lines.push(`  over:  ${said(over)}`);
  lines.push(`  ${endText(version, run, atMs)}`);
  return lines.join('\n');
}

function reasonText({ reason, untilMs, by }: ReasonInfo): string {
  const of = typeof by === 'string' ? ` ${printable(by)}` : '';
  return untilMs === undefined ? `${reason}${of}` : `${reason}${of} until ${formatTime(untilMs)}`;
}

function endText({ goesMs }: ExplainedVersion, run: RunInfo | undefined, atMs: number): string {
  if (goesMs === undefined) return 'goes: not by time';
  if (goesMs > atMs) return `goes: ${formatTime(goesMs)}`;
  if (run === undefined) return 'goes: with the next run of retention';
  const until = run.undoUntilMs ?? 0;
  const back =
    until > atMs
      ? `comes back until ${formatTime(until)} with: aliquot retention undo ${run.run}`
      : 'may go any time';
  return `expired by run ${run.run} under policy ${run.policy} on ${formatTime(run.atMs)}; ${back}`;
}
