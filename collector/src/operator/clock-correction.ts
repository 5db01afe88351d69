import {
  type ClockCorrectionBody,
  decodeLogLeaf,
  encodeClockCorrectionBody,
  type LeafType,
  type TreeHead,
} from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import {
  formatCount,
  formatCounted,
  formatDuration,
  formatInstant,
} from '@aliquot/shared/cli/format';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { issueClockCorrection } from '@aliquot/shared/keys/clock-correction';
import { collides } from '@aliquot/shared/log/log-times';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import {
  boundsOf,
  offsetText,
  parseOffset,
  parseSpan,
  requireBetween,
  stretchIn,
} from './clock-stretch.ts';
import { evidence, unverified } from './evidence.ts';
import { openUnwitnessed } from './open-vault.ts';
import { type CollectorOptions, endpointOf, type KitOptions } from './options.ts';
import { leftOut } from './proof/left-out.ts';
import { LogWalk } from './proof/log-walk.ts';
import { Proofs } from './proof/proofs.ts';
import { demandContinuation } from './witness.ts';

/** Clocks that are set by time servers agree better than that. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

export interface CorrectOptions extends CollectorOptions, KitOptions {
  readonly correct: string;
  readonly by?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/**
 * `aliquot collector clock --correct`: shows which times of the log would change and, with `--yes`,
 * signs that they do.
 */
export async function correctCommand(
  context: CommandContext,
  options: CorrectOptions,
): Promise<void> {
  const output = outputOf(context, options);
  if (options.by === undefined)
    throw new UsageError(
      'USAGE_MISSING',
      'say by how much the clock was wrong: give --by OFFSET, what has to be added to what it said, such as -20h',
    );
  const byMs = parseOffset(options.by);
  const { info } = await CollectorClient.connect(await endpointOf(context, options));
  const nowMs = info.timeMs;
  const aheadMs = nowMs - context.clock.nowMs();
  if (Math.abs(aheadMs) > CLOCK_TOLERANCE_MS)
    throw new CommandError(
      'COMMAND_CLOCK',
      `it is ${formatInstant(nowMs)} for the collector, and not for this computer, which is ${formatDuration(Math.abs(aheadMs))} ${aheadMs > 0 ? 'behind' : 'ahead'}; nothing before a correction counts as later than that: set both clocks right first (\`aliquot collector clock\`)`,
    );
  const span = parseSpan(options.correct, nowMs, output.note);
  if (span.fromMs + byMs < 0)
    throw new UsageError('USAGE_INVALID', `--by ${options.by} leads to before 1970`);
  const open = await openUnwitnessed(context, options);
  const { kit, vault } = open;
  const head = await demandContinuation(context, vault);
  const times = await new Proofs(context, vault, kit.descriptor, head).times();
  const { recorded, types } = await recordedTimes(vault, head);
  const { from, end } = stretchIn(recorded, span);
  const recordedMs = (leaf: number): number => recorded[leaf] ?? 0;
  const [firstMs, lastMs] = [recordedMs(from), recordedMs(end - 1)];
  const besides = [from - 1, end].map((leaf) =>
    leaf < 0 || leaf >= head.size ? undefined : times.of(leaf, recordedMs(leaf)),
  );
  const bounds = boundsOf([besides[0], besides[1]], nowMs);
  if (byMs !== 0) requireBetween(bounds, [firstMs + byMs, lastMs + byMs]);
  const body: ClockCorrectionBody = {
    version: 1,
    vaultId: kit.descriptor.vaultId,
    fromLeaf: from,
    head: { logEpoch: head.logEpoch, size: end, root: await rootAt(vault, end, head) },
    fromMs: span.fromMs,
    toMs: span.toMs ?? lastMs,
    isMs: span.fromMs + byMs,
    ...bounds,
  };
  const other = times.corrections.find((known) => collides(body, known));
  if (other !== undefined)
    throw new UsageError(
      'USAGE_INVALID',
      `leaf ${other.leafIndex} of the log corrected what its clock said after ${formatInstant(other.body.fromMs)} up to ${formatInstant(other.body.toMs)}: give that very span again, or one beside it`,
    );
  const becomes = (ms: number): string =>
    formatInstant(Math.min(Math.max(ms + byMs, bounds.notBeforeMs), bounds.notAfterMs));
  const leaf = options.yes === true ? await correct(context, open, body) : undefined;
  const commits = types.slice(from, end).filter((type) => type === 'commit').length;
  const count = `${formatCount(end - from)} ${end - from === 1 ? 'leaf' : 'leaves'}`;
  const what = `${count} of the log of vault ${vault.info.name} from ${from} on, ${formatCounted(commits, 'commit')} among them, recorded from ${formatInstant(firstMs)} to ${formatInstant(lastMs)}`;
  const now = `from ${becomes(firstMs)} to ${becomes(lastMs)} (${offsetText(byMs)})`;
  await output.result(
    {
      event: 'correction',
      vault: vault.info.name,
      leaves: { from, to: end - 1, commits },
      recorded: { from: formatInstant(firstMs), to: formatInstant(lastMs) },
      becomes: { from: becomes(firstMs), to: becomes(lastMs) },
      corrected: leaf !== undefined,
      leaf: leaf ?? null,
    },
    leaf === undefined
      ? `${what}, would count as ${now}. To correct them, give --yes.`
      : `${what}, count as ${now} from now on: the log has it as leaf ${leaf}.`,
  );
}

/** Has it recorded, and looks whether it was. */
async function correct(
  context: CommandContext,
  { kit, vault }: Awaited<ReturnType<typeof openUnwitnessed>>,
  body: ClockCorrectionBody,
): Promise<number> {
  const leaf = await vault.log.correctClock(issueClockCorrection(kit.authority, body));
  const head = await demandContinuation(context, vault);
  const { corrections } = await new Proofs(context, vault, kit.descriptor, head).times();
  const bytes = encodeClockCorrectionBody(body);
  const isThere = corrections.some(
    ({ leafIndex, body: logged }) =>
      leafIndex === leaf && equalBytes(encodeClockCorrectionBody(logged), bytes),
  );
  if (!isThere) throw leftOut('the correction that it has just taken');
  return leaf;
}

/** What all leaves say of themselves, proved by the head. */
async function recordedTimes(
  vault: VaultClient,
  head: TreeHead,
): Promise<{ readonly recorded: readonly number[]; readonly types: readonly LeafType[] }> {
  const recorded: number[] = [];
  const types: LeafType[] = [];
  const walk = await LogWalk.open();
  for await (const leaf of vault.log.leaves(0, head.size))
    evidence(() => {
      const { timeMs, type } = decodeLogLeaf(leaf);
      recorded.push(timeMs);
      types.push(type);
      walk.add(leaf);
    });
  requireAt(walk, head);
  return { recorded, types };
}

/** The root of the first leaves of a log. */
async function rootAt(vault: VaultClient, size: number, head: TreeHead): Promise<Uint8Array> {
  const walk = await LogWalk.open();
  let root = walk.root;
  for await (const leaf of vault.log.leaves(0, head.size)) {
    evidence(() => walk.add(leaf));
    if (walk.size === size) root = walk.root;
  }
  requireAt(walk, head);
  return root;
}

function requireAt(walk: LogWalk, head: TreeHead): void {
  if (!walk.isAt(head))
    throw unverified('the leaves that the collector shows are not those of its log');
}
