import {
  type EventBody,
  MAX_RETENTION_BRAKES,
  MAX_TIME_MS,
  type RetentionBrake,
  type Term,
} from '@aliquot/proto';
import { BRAKE_DAYS, type Brake, brakesFor, type Passed } from '../../../retention/brakes.ts';
import { after } from '../../../retention/calendar.ts';
import type { Allowance, RunRow } from '../../catalog/retention-runs.ts';
import { StoreError } from '../../errors.ts';
import type { RetentionFigures, RetentionOutcome } from '../../vault-retention.ts';
import type { VaultCore } from '../core.ts';
import type { CoreKeeper } from '../core-keeper.ts';
import { Evaluation, evaluate } from './evaluation.ts';
import { ExpiredRecords } from './expired-records.ts';
import type { LongStep } from './facts-of.ts';
import type { FactsAsked } from './file-facts.ts';

export interface RunAsked extends Pick<FactsAsked, 'nowMs' | 'policies' | 'holds'> {
  /** For how long what goes can be had back. */
  readonly grace: Term;
  readonly step: LongStep;
  /** Test only: commits of which one run expires something. */
  readonly mostLeaves?: number;
}

const DAY_MS = 86_400_000;
const MOST_TRIES = 3;
/** Clocks of a machine step back by seconds when they are set; the log never does. */
const BACK_MS = 3_600_000;

/**
 * Expires what nothing keeps any more, or notes that a person has to look first. What is decided
 * while it looks (a policy, a hold, an undo) makes it look again; what is committed meanwhile only
 * adds versions, and those before them stay what they were.
 *
 * Errors: `STORE_RETENTION_HELD`, where nobody can tell what time it is or what was decided, and
 * what the queue throws.
 */
export async function runRetention(
  keeper: CoreKeeper,
  askedOf: (core: VaultCore) => RunAsked,
): Promise<RetentionOutcome> {
  for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
    const settled = () => keeper.settled();
    const prepared = await keeper.ask((core) => prepare(core, askedOf(core)), settled);
    if (prepared.all.amount.versions === 0)
      return { type: 'nothing', run: undefined, isMore: false, figures: prepared.figures };
    const done = await keeper.doDurably(
      (core) => append(core, prepared),
      (result) => result?.leafIndex,
    );
    if (done === undefined) continue;
    const { type, run, isMore } = done;
    return { type, run, isMore, figures: prepared.figures };
  }
  throw new StoreError(
    'STORE_RETENTION_HELD',
    'something else was decided each time while it was looked at what goes: run it again',
  );
}

interface Prepared {
  /** What was decided when it was looked. */
  readonly standing: string;
  readonly evaluation: Evaluation;
  readonly figures: RetentionFigures;
  readonly records: ExpiredRecords;
  readonly asked: RunAsked;
  readonly all: ReturnType<ExpiredRecords['all']>;
}

async function prepare(core: VaultCore, asked: RunAsked): Promise<Prepared> {
  const { nowMs, policies, holds, step, mostLeaves } = asked;
  refuseDoubt(core, nowMs);
  const standing = standingOf(core);
  const evaluation = new Evaluation(nowMs, nowMs);
  const records = new ExpiredRecords(core.registry.runs.newest + 1, mostLeaves);
  await evaluate(core, { nowMs, horizonMs: nowMs, policies, holds }, step, (subject) => {
    evaluation.take(subject);
    if (subject.facts === undefined) return;
    const { versions } = subject;
    const isGoing = (at: number): boolean => {
      const version = versions[at];
      return version !== undefined && version.untilMs <= nowMs && version.expiredBy === undefined;
    };
    if (versions.some((_, at) => isGoing(at))) records.take(subject, isGoing);
  });
  const figures = evaluation.figures(core.registry.runs);
  return { standing, asked, evaluation, figures, records, all: records.all() };
}

/** Throws where the time, or what was decided, is in doubt: then nothing may go. */
export function refuseDoubt(core: VaultCore, nowMs: number): void {
  const [unread] = core.registry.unreadEvents;
  if (unread !== undefined)
    throw new StoreError(
      'STORE_RETENTION_HELD',
      `leaf ${unread} of the log cannot be read, and may be a policy or a hold: while nobody knows, nothing is thrown away; put the history back from a copy of the collector`,
    );
  if (core.registry.reported().length > 0)
    throw new StoreError(
      'STORE_RETENTION_HELD',
      'PCs hold heads that this log has lost, and with them holds or policies may be lost: nothing is thrown away until `aliquot log reopen` has had them recorded again',
    );
  const { lastLeafMs } = core.sums;
  if (nowMs < lastLeafMs - BACK_MS)
    throw new StoreError(
      'STORE_RETENTION_HELD',
      'the log has entries that are later than the clock: while it is not known what time it is, nothing is thrown away; see `aliquot collector clock`',
    );
}

/** Everything that decides what stays, but for the versions themselves. */
export function standingOf({ registry }: VaultCore): string {
  const { desk, runs, holds, purges, corrections } = registry;
  const purged = purges.all().map(({ approved }) => approved?.leaf);
  const undone = runs.all().filter((run) => run.undone !== undefined).length;
  const decided = registry.rows().flatMap(({ agentId }) => {
    const lines = registry.lines(agentId);
    return (lines?.branchIds() ?? []).map((id) => lines?.history(id)?.state);
  });
  const held = holds.all().map(({ released, resolved }) => [released?.leaf, resolved?.leaf]);
  return JSON.stringify([
    desk.newest,
    runs.newest,
    undone,
    held,
    purged,
    corrections.length,
    decided,
  ]);
}

/** Undefined: something was decided since it was looked. */
async function append(
  core: VaultCore,
  { standing, evaluation, records, all, asked: { nowMs, grace } }: Prepared,
): Promise<(Omit<RetentionOutcome, 'figures'> & { readonly leafIndex?: number }) | undefined> {
  if (standingOf(core) !== standing) return undefined;
  const { runs, desk } = core.registry;
  const { allowed, waiting } = runs;
  const isAllowed = allowed !== undefined && nowMs < allowed.untilMs;
  const size = evaluation.size(runs);
  const held = brakesFor(size);
  const brakes = isAllowed ? brakesFor(size, passedBy(allowed)) : held;
  const isMore = brakes.length === 0 && records.isMore;
  if (brakes.length > 0 && waiting !== undefined && isRecent(waiting, nowMs, desk.newest))
    return { type: 'waits', run: waiting, isMore };
  const timeMs = core.leafTime(nowMs);
  const run = runs.newest + 1;
  const first = records.first();
  const { amount, sum } = brakes.length > 0 ? all : first;
  const went =
    brakes.length > 0
      ? { records: 0, undoUntilMs: 0, approves: 0 }
      : {
          records: first.records.length,
          undoUntilMs: Math.min(after(timeMs, grace), MAX_TIME_MS),
          approves: isAllowed && held.length > 0 ? allowed.run : 0,
        };
  const event: EventBody = {
    ...{ type: 'retentionRan', timeMs, run, policy: desk.newest, sum, ...went },
    ...{ versions: amount.versions, bytes: safe(amount.bytes) },
    brakes: brakes.slice(0, MAX_RETENTION_BRAKES).map(brakeOf),
  };
  const leafIndex = await core.appendEvent(event, nowMs, brakes.length > 0 ? [] : first.records);
  const type = brakes.length > 0 ? 'waits' : 'expired';
  return { type, run: runs.run(run), isMore, leafIndex };
}

/** Whether a run that waits still says what a new one would: else that takes its place. */
function isRecent({ timeMs, policy }: RunRow, nowMs: number, newestPolicy: number): boolean {
  return policy === newestPolicy && nowMs < timeMs + BRAKE_DAYS * DAY_MS;
}

function passedBy({ bytes, brakes }: Allowance): Passed {
  const versions = new Map<string, number>();
  for (const { agent, expiring } of brakes)
    if (agent !== '') versions.set(agent, Math.max(expiring, versions.get(agent) ?? 0));
  return { bytes: BigInt(bytes), versions };
}

function brakeOf(brake: Brake): RetentionBrake {
  const agent = 'agent' in brake ? brake.agent : '';
  return { kind: brake.kind, agent, of: safe(brake.of), expiring: safe(brake.expiring) };
}

/** Sums of what PCs claim have no bounds, numbers of the log have. */
function safe(amount: bigint | number): number {
  return Math.min(Number(amount), Number.MAX_SAFE_INTEGER);
}
