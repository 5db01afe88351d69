import type { LeafSlots, LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { mayDrop } from '../../collection/progress.ts';
import { withBit } from '../catalog/item-row.ts';
import { StoreError } from '../errors.ts';
import type { JudgedSubject, JudgedVersion, UnreadSubject } from '../vault-retention.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { dropVersions } from './drop-versions.ts';
import { namedVersions } from './named-versions.ts';
import { evaluate } from './retention/evaluation.ts';
import type { LongStep } from './retention/facts-of.ts';
import type { FactsAsked } from './retention/file-facts.ts';
import { refuseDoubt, standingOf } from './retention/run.ts';

export interface DropAsked extends Pick<FactsAsked, 'nowMs' | 'policies' | 'holds'> {
  readonly step: LongStep;
}

/** Commits of one record. */
const STEP_LEAVES = 16;
const MOST_TRIES = 3;

/** Versions of one history that one run has expired, by leaf: a bit for each slot. */
interface LetGo {
  readonly branchId: LineageId;
  readonly run: number;
  readonly leaves: Map<number, Uint8Array>;
}

/** What may be dropped, as it was looked at. */
export interface Droppable {
  /** What was decided then. */
  readonly standing: string;
  readonly versions: number;
  readonly letGo: readonly LetGo[];
}

/**
 * Finds what may be dropped now: what a run has expired, that nobody has undone, whose grace is
 * over, and that the present rules, locks and holds let go as well. Nothing of a lineage whose
 * agents were told an epoch that was not swept yet. Throws `STORE_RETENTION_HELD`.
 */
export async function findDroppable(core: VaultCore, asked: DropAsked): Promise<Droppable> {
  const { nowMs, policies, holds, step } = asked;
  refuseDoubt(core, nowMs);
  const standing = standingOf(core);
  const letGo = new Map<string, LetGo>();
  let versions = 0;
  const take = (branchId: LineageId, { leafIndex, slot }: JudgedVersion, run: number): void => {
    const name = `${hex(branchId)}/${run}`;
    const of = letGo.get(name) ?? { branchId, run, leaves: new Map() };
    letGo.set(name, of);
    of.leaves.set(leafIndex, withBit(of.leaves.get(leafIndex) ?? new Uint8Array(0), slot));
    versions += 1;
  };
  const hear = ({ branchId, ...subject }: JudgedSubject | UnreadSubject): void => {
    if (subject.facts === undefined || !isOpen(core, branchId)) return;
    for (const version of subject.versions) {
      const { expiredBy: run, untilMs } = version;
      if (run !== undefined && untilMs <= nowMs && isOver(core, run, nowMs))
        take(branchId, version, run);
    }
  };
  await evaluate(core, { nowMs, horizonMs: nowMs, policies, holds }, step, hear);
  // That a file is gone goes with the last of it, or by a later run: so it comes behind.
  const rising = [...letGo.values()].sort((a, b) => a.run - b.run);
  return { standing, versions, letGo: rising };
}

/** Whether the grace of a run is over. */
function isOver({ registry }: VaultCore, run: number, nowMs: number): boolean {
  const row = registry.runs.run(run);
  return row !== undefined && row.undoUntilMs > 0 && row.undoUntilMs <= nowMs;
}

/** Whether something of the lineage may be dropped at all. */
function isOpen({ registry }: VaultCore, branchId: LineageId): boolean {
  const lineageId = registry.lineageOf(branchId);
  if (lineageId === undefined) return false;
  const { announced, swept, droppedVersions } = registry.sweep(lineageId);
  return mayDrop({ announced, swept, hasDropped: droppedVersions > 0 });
}

/**
 * Drops what may be, durably; answers with how many versions went. Each record is a job of the
 * vault's queue that asks whether anything was decided since it was looked: then it is looked
 * again.
 */
export async function dropExpired(
  keeper: CoreKeeper,
  askedOf: (core: VaultCore) => DropAsked,
  isStopped: () => boolean,
): Promise<number> {
  let dropped = 0;
  for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
    const settled = () => keeper.settled();
    const found = await keeper.ask((core) => findDroppable(core, askedOf(core)), settled);
    const ended = await dropAll(keeper, found, isStopped);
    dropped += ended.dropped;
    if (dropped > 0) await keeper.sync();
    if (!ended.isStale) return dropped;
  }
  throw new StoreError(
    'STORE_RETENTION_HELD',
    'something else was decided each time while it was looked at what goes: run it again',
  );
}

async function dropAll(
  keeper: CoreKeeper,
  { standing, letGo }: Droppable,
  isStopped: () => boolean,
): Promise<{ readonly dropped: number; readonly isStale: boolean }> {
  let dropped = 0;
  for (const { branchId, run, leaves } of letGo) {
    // The newest first: what has gone stands in nobody's way to those before it, so a file of ten
    // thousand versions is not walked along for each record. Then what only goes as the last one.
    const left: LeafSlots[] = [];
    for (const some of inSteps(leaves, left)) {
      if (isStopped()) return { dropped, isStale: false };
      const record = { run, branchId, leaves: some.toSorted(byLeaf) };
      // Records do not change: they are read beside the queue.
      const named = await keeper.ask((core) => namedVersions(core, record.leaves));
      const went = await keeper.do(async (core) => {
        if (standingOf(core) !== standing) return undefined;
        return dropVersions(core, record, named);
      });
      if (went === undefined) return { dropped, isStale: true };
      dropped += went;
      if (went < named.length) left.push(...some);
    }
  }
  return { dropped, isStale: false };
}

function* inSteps(
  all: ReadonlyMap<number, Uint8Array>,
  left: readonly LeafSlots[],
): Generator<LeafSlots[]> {
  const rising = [...all].map(([leafIndex, slots]) => ({ leafIndex, slots })).sort(byLeaf);
  yield* stepsOf(rising.reverse());
  yield* stepsOf(left.toSorted(byLeaf));
}

function* stepsOf(leaves: readonly LeafSlots[]): Generator<LeafSlots[]> {
  for (let from = 0; from < leaves.length; from += STEP_LEAVES)
    yield leaves.slice(from, from + STEP_LEAVES);
}

function byLeaf(a: LeafSlots, b: LeafSlots): number {
  return a.leafIndex - b.leafIndex;
}
