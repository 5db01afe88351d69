import { type CommitHash, rowKind } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatBytes, formatCounted, pathText } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { blockOpeners, openNames } from '@aliquot/shared/commit/open-names';
import { LogTimes } from '@aliquot/shared/log/log-times';
import type { Random } from '@aliquot/shared/ports';
import type { RestoreError } from '@aliquot/shared/restore/errors';
import { type RestoreItem, toRestoreItem } from '@aliquot/shared/restore/placing';
import { type AskedSlot, type SealedRows, shareRows } from '@aliquot/shared/restore/sealed-rows';
import type { Command } from 'commander';
import type { UnopenedCommit } from '../api/messages.ts';
import { unopenedCommit } from '../api/name-rows.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { type AgentView, everyBranch } from './agent-view.ts';
import { Beyond } from './check-beyond.ts';
import { Doubts } from './check-doubts.ts';
import { sharesOf } from './check-shares.ts';
import { fetchAgain, fetchItems } from './fetch-items.ts';
import { type OpenVault, openVault, type ProvedVault } from './open-vault.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
} from './options.ts';
import { PieceProof } from './piece-proof.ts';
import { proofTarget } from './proof-target.ts';
import { FileThreads } from './restoring.ts';
import { UnopenedList } from './unopened.ts';
import { certifiedAgent, readable, slotsOf, type VersionWatch, verifyRecord } from './verified.ts';
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
  readonly open: ProvedVault;
  readonly threads: FileThreads;
  readonly share: number;
  readonly output: Output;
}

async function checkVault(
  context: CommandContext,
  options: CheckOptions,
  { open, threads, share, output }: Checking,
): Promise<void> {
  const doubts = new Doubts();
  const agents =
    options.agent === undefined
      ? everyBranch(
          (await doubts.held(() => open.proofs.roster())) ??
            (await open.vault.roster.list()).agents,
        )
      : [await open.vault.roster.history(options.agent)];
  const progress = output.progress('checked');
  const totals =
    share === 1 ? { totalFiles: sum(agents, 'files'), totalBytes: sum(agents, 'bytes') } : {};
  const all = { files: 0, bytes: 0, failed: 0, growing: 0, beyond: 0 };
  const heads = new HeadCollection();
  const unopened = new UnopenedList();
  const { storedBytes } = await open.vault.stats();
  const shares = sharesOf(
    agents.map(({ bytes }) => bytes),
    storedBytes,
  );
  const pieces = piecesOf(open);
  try {
    for (const [at, agent] of agents.entries()) {
      const notOpened = new UnopenedCommits(agent.name);
      const failures: { path: string; code: string; message: string }[] = [];
      const failed = (path: Uint8Array, { code, message }: RestoreError) =>
        void failures.push({ path: pathText(path), code, message });
      const beyond = new Beyond(pieces, shares[at] ?? 0, failed);
      const noted = { heads, beyond, unopened: notOpened, doubts };
      const files = beyond.within(drawn(open, agent, share, context.random, noted));
      const done = await threads.restore(open, files, undefined, {
        writer: proofTarget(),
        onProgress: ({ files, bytes, path }) =>
          progress.update({
            files: all.files + files,
            bytes: all.bytes + bytes,
            ...totals,
            current: () => pathText(path),
          }),
        onFailure: failed,
        onUnopened: notOpened.add,
      });
      notOpened.tell(unopened);
      await beyond.tell(output, agent.name);
      for (const failure of failures) {
        await output.result(
          { event: 'failed', agent: agent.name, ...failure },
          `FAILED  ${agent.name}  ${failure.message} [${failure.code}]`,
        );
      }
      all.files += done.files;
      all.bytes += done.bytes;
      all.failed += done.failed + beyond.failed;
      all.beyond += beyond.files;
      all.growing += done.growing;
    }
  } finally {
    progress.done();
  }
  const contradictions = await heads.contradictions(open.vault);
  for (const { code, message } of contradictions)
    await output.result({ event: 'forked', code, message }, `FORKED  ${message} [${code}]`);
  for (const { code, message } of doubts.all)
    await output.result({ event: 'leftOut', code, message }, `LEFT OUT  ${message} [${code}]`);
  await output.result(
    {
      event: 'summary',
      ...all,
      heads: heads.size,
      forked: contradictions.length,
      leftOut: doubts.all.length,
    },
    `${formatCounted(all.files, 'file')}, ${formatBytes(all.bytes)} read back, opened and equal to what was signed${growingText(all.growing)}`,
  );
  const [forked] = contradictions;
  if (forked !== undefined) throw forked;
  const [leftOut] = doubts.all;
  if (leftOut !== undefined) throw leftOut;
  if (all.failed > 0) {
    throw new CommandError(
      'COMMAND_DAMAGED',
      `${all.failed} files do not come back as they were captured; each is named above; run \`aliquot fsck\` on the collector`,
    );
  }
  await unopened.tell(output);
}

/** Proves files by their pieces, which come as those of whole files do. */
function piecesOf({ kit, vault }: OpenVault): PieceProof {
  return new PieceProof(kit.descriptor.vaultId, {
    fetchItems: (ids) => fetchItems(vault.content, ids),
    fetchAgain: (id) => fetchAgain(vault.content, id),
  });
}

function growingText(growing: number): string {
  return growing === 0
    ? ''
    : ` (${growing} captured while growing, which have no hash of the whole: each piece by itself)`;
}

/** What is noted on the way beside files that fail. */
interface Noted {
  readonly heads: HeadCollection;
  readonly beyond: Beyond;
  readonly unopened: UnopenedCommits;
  readonly doubts: Doubts;
}

/** The commits of one agent of which something does not open, in one thread or in several. */
class UnopenedCommits implements VersionWatch {
  readonly #agent: string;
  readonly #commits = new Map<string, UnopenedCommit>();

  constructor(agent: string) {
    this.#agent = agent;
  }

  /** As a thread says it. */
  readonly add = (
    { hash, ...place }: SealedRows['of'],
    versions: number,
    error: Parameters<typeof unopenedCommit>[0]['error'],
  ): void => {
    const where = { ...place, agent: this.#agent, hash: hash as CommitHash };
    this.onUnopened(unopenedCommit({ versions, error }, where));
  };

  onUnopened(commit: UnopenedCommit): void {
    const before = this.#commits.get(commit.commit);
    const versions = commit.versions + (before?.versions ?? 0);
    this.#commits.set(commit.commit, { ...(before ?? commit), versions });
  }

  tell(all: UnopenedList): void {
    for (const commit of this.#commits.values()) all.onUnopened(commit);
  }
}

/**
 * Every so many files from a random one on: as many as asked, and never none of an agent that has
 * files. Small files as their blocks are sealed, for the threads to open; each block that has a
 * version of the agent's state is held against its signed root, whether a file of it is drawn or
 * not.
 */
async function* drawn(
  open: ProvedVault,
  agent: AgentView,
  share: number,
  random: Random,
  { heads, beyond, unopened, doubts }: Noted,
): AsyncGenerator<RestoreItem | SealedRows> {
  const step = Math.max(share, 1 / Math.max(agent.files, 1));
  let due = fraction(random);
  const { kit, vault, collector, proofs } = open;
  const question = { atMs: undefined, results: false };
  const check = await doubts.held(() => proofs.state(agent, question));
  const times = check === undefined ? LogTimes.asRecorded : await proofs.times();
  const watch: VersionWatch = {
    onCommit: (header, receipt) => heads.note(agent.name, header, receipt),
    onUnopened: (commit) => unopened.onUnopened(commit),
    ...(check && { onRecord: doubts.listenerOf(check) }),
  };
  const certified = certifiedAgent(kit, agent);
  const reader = { key: kit.vaultKey, recipient: 'vault', provesRoots: true } as const;
  for await (const record of readable(vault.reading.state(agent.agentId, undefined), watch)) {
    const {
      commit,
      place,
      unopened: onUnopened,
    } = verifyRecord(record, { kit, collector, times }, certified, watch);
    const { rows, header } = commit;
    const asked: AskedSlot[] = [];
    for (const { slot } of slotsOf(record, commit, place.receivedAtMs)) {
      const at = rows.placeOf(slot);
      const { rows: block } = rows.blocks[at?.index ?? -1] ?? {};
      if (at === undefined || block === undefined) continue;
      const isFile = rowKind(block, at.place) === 'file';
      if (isFile) due += step;
      const isDrawn = isFile && due >= 1;
      if (isDrawn) due -= 1;
      asked.push({ slot, isDrawn, ...at });
    }
    const keys = blockOpeners(commit, reader);
    const of = { hash: place.hash, sequence: header.sequence, receivedAtMs: place.receivedAtMs };
    const shared = keys && shareRows(of, rows, keys, asked);
    const isTaken = shared !== undefined && beyond.takes(shared.bytes);
    if (isTaken) yield* shared.orders;
    const others = isTaken ? shared.others : asked;
    for (const version of openNames(commit, others, reader, onUnopened))
      if (version.isDrawn) yield toRestoreItem(version);
  }
  if (check !== undefined) await doubts.held(() => check.finish());
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
