import { UsageError } from '@aliquot/shared/cli/errors';
import { formatBytes, formatCounted, pathText } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import type { Random } from '@aliquot/shared/ports';
import { toRestoreItem } from '@aliquot/shared/restore/placing';
import type { Command } from 'commander';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { type AgentView, everyBranch } from './agent-view.ts';
import { type OpenVault, openVault } from './open-vault.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
} from './options.ts';
import { proofTarget } from './proof-target.ts';
import { FileThreads } from './restoring.ts';
import { UnopenedList } from './unopened.ts';
import { certifiedAgent, openVersions, type VersionWatch } from './verified.ts';
import { HeadCollection } from './witness-heads.ts';

interface CheckOptions extends CollectorOptions, KitOptions {
  readonly sample: string;
  readonly agent?: string;
  readonly json?: boolean;
}

export function registerCheck(program: Command, context: CommandContext): void {
  const check = program
    .command('check')
    .description(
      'Read back every file as it is now, open it and compare it with the hash that its PC signed; and hold the log heads in commits and receipts against the log. No file is written.',
    )
    .option('--sample <N%>', 'only so many of a hundred files, drawn anew each time', '100%')
    .option('--agent <NAME>', 'only one agent; all agents unless given');
  withJson(withKit(withCollector(check), 'needed'));
  withExample(check, 'aliquot check --kit lab.kit --sample 5%');
  check.action(async (options: CheckOptions) => checkCommand(context, options));
}

async function checkCommand(context: CommandContext, options: CheckOptions): Promise<void> {
  const output = outputOf(context, options);
  const share = parseShare(options.sample);
  const threads = new FileThreads();
  try {
    const open = await openVault(context, options, () => threads.start());
    await checkVault(context, options, { open, threads, share, output });
  } finally {
    await threads.close();
  }
}

interface Checking {
  readonly open: OpenVault;
  readonly threads: FileThreads;
  readonly share: number;
  readonly output: Output;
}

async function checkVault(
  context: CommandContext,
  options: CheckOptions,
  { open, threads, share, output }: Checking,
): Promise<void> {
  const agents =
    options.agent === undefined
      ? everyBranch((await open.vault.roster.list()).agents)
      : [await open.vault.roster.history(options.agent)];
  const progress = output.progress('checked');
  const totals =
    share === 1 ? { totalFiles: sum(agents, 'files'), totalBytes: sum(agents, 'bytes') } : {};
  const all = { files: 0, bytes: 0, failed: 0, growing: 0 };
  const heads = new HeadCollection();
  const unopened = new UnopenedList();
  try {
    for (const agent of agents) {
      const failures: { path: string; code: string; message: string }[] = [];
      const files = drawn(open, agent, share, context.random, { heads, unopened });
      const done = await threads.restore(open, files, undefined, {
        writer: proofTarget(),
        onProgress: ({ files, bytes, path }) =>
          progress.update({
            files: all.files + files,
            bytes: all.bytes + bytes,
            ...totals,
            current: () => pathText(path),
          }),
        onFailure: (path, { code, message }) =>
          void failures.push({ path: pathText(path), code, message }),
      });
      for (const failure of failures) {
        await output.result(
          { event: 'failed', agent: agent.name, ...failure },
          `FAILED  ${agent.name}  ${failure.message} [${failure.code}]`,
        );
      }
      all.files += done.files;
      all.bytes += done.bytes;
      all.failed += done.failed;
      all.growing += done.growing;
    }
  } finally {
    progress.done();
  }
  const contradictions = await heads.contradictions(open.vault);
  for (const { code, message } of contradictions)
    await output.result({ event: 'forked', code, message }, `FORKED  ${message} [${code}]`);
  await output.result(
    { event: 'summary', ...all, heads: heads.size, forked: contradictions.length },
    `${formatCounted(all.files, 'file')}, ${formatBytes(all.bytes)} read back, opened and equal to what was signed${growingText(all.growing)}`,
  );
  const [forked] = contradictions;
  if (forked !== undefined) throw forked;
  if (all.failed > 0) {
    throw new CommandError(
      'COMMAND_DAMAGED',
      `${all.failed} files do not come back as they were captured; each is named above; run \`aliquot fsck\` on the collector`,
    );
  }
  await unopened.tell(output);
}

function growingText(growing: number): string {
  return growing === 0
    ? ''
    : ` (${growing} captured while growing, which have no hash of the whole: each piece by itself)`;
}

/** What is noted on the way beside files that fail. */
interface Noted {
  readonly heads: HeadCollection;
  readonly unopened: UnopenedList;
}

/**
 * Every so many files from a random one on: as many as asked, and never none of an agent that has
 * files.
 */
async function* drawn(
  { kit, vault, collector }: OpenVault,
  agent: AgentView,
  share: number,
  random: Random,
  { heads, unopened }: Noted,
) {
  const step = Math.max(share, 1 / Math.max(agent.files, 1));
  let due = fraction(random);
  const records = vault.reading.state(agent.agentId, undefined);
  const watch: VersionWatch = {
    provesRoots: true,
    onCommit: (header, receipt) => heads.note(agent.name, header, receipt),
    onUnopened: (commit) => unopened.onUnopened(commit),
  };
  for await (const version of openVersions(
    records,
    kit,
    collector,
    certifiedAgent(kit, agent),
    watch,
  )) {
    if (version.entry.kind !== 'file') continue;
    due += step;
    if (due < 1) continue;
    due -= 1;
    yield toRestoreItem(version);
  }
}

/** `5%` or `5` as 0.05. */
function parseShare(text: string): number {
  const percent = /^(\d{1,3}(?:\.\d+)?)%?$/.exec(text)?.[1];
  const share = percent === undefined ? Number.NaN : Number(percent) / 100;
  if (share > 0 && share <= 1) return share;
  throw new UsageError('USAGE_INVALID', `--sample cannot be "${text}"; give a share such as 5%`);
}

function fraction(random: Random): number {
  return Buffer.from(random.bytes(4)).readUInt32BE(0) / 2 ** 32;
}

function sum(agents: readonly AgentView[], field: 'files' | 'bytes'): number {
  return agents.reduce((total, agent) => total + agent[field], 0);
}
