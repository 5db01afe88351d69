import type { ChunkId } from '@aliquot/proto';
import { countSet, nowhere, placesToRead } from '../catalog/item-row.ts';
import type { HistoryPoint } from '../history/history-log.ts';
import { PACK_BYTES } from '../packs/pack-format.ts';
import type { PackSpace, RewriteOptions, RewriteReport } from '../vault-records.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { provedDead } from './dead-proof.ts';
import type { CopyParts } from './pack-copy.ts';
import { contentsOf, deadIn, type PackOutcome, rewriteGroup } from './pack-rewrite.ts';
import { spaceOf } from './pack-space.ts';
import type { VaultParts } from './vault-parts.ts';

/** A pack of which so much is dead is rewritten: 1 byte written frees 0.43 at least. */
const DEAD_PERCENT = 30;
/** Items that the history is asked about at once: some 20 MB. */
const MOST_ASKED = 131_072;
/** Rows that are looked up together. */
const SLABS_AT_ONCE = 1024;
/** Packs that are removed with one writing of the catalog. */
const MOST_GROUPED = 16;

/** What rewriting of packs came to. */
type PackReport = Omit<RewriteReport, 'history'>;

interface Counts {
  removedPacks: number;
  freedBytes: number;
  copiedBytes: number;
  readonly kept: { readonly pack: number; readonly why: string }[];
  unprovedAt: HistoryPoint | undefined;
  /** Packs that had their turn. */
  readonly seen: Set<number>;
}

/** See `VaultData.rewrite`. What was done by the time that it fails stands in `counts`. */
export async function rewritePacks(
  { keeper, hasher, pace }: VaultParts,
  options: RewriteOptions,
  counts: Counts,
): Promise<PackReport> {
  const { budgetBytes = Number.POSITIVE_INFINITY, bytesPerSecond } = options;
  const isStopped = options.isStopped ?? (() => false);
  const core = await keeper.ready();
  const began = pace?.elapsedMs() ?? 0;
  const copied = async (bytes: number): Promise<void> => {
    counts.copiedBytes += bytes;
    if (bytesPerSecond === undefined || pace === undefined) return;
    const dueMs = began + (counts.copiedBytes / bytesPerSecond) * 1000;
    const restMs = dueMs - pace.elapsedMs();
    if (restMs >= 1) await new Promise<void>((over) => pace.timers.after(restMs, over));
  };
  const parts: CopyParts = { keeper, core, hasher, copied, isStopped };
  // Those of which nothing lives need no space: they make it.
  const isNext = ({ pack }: PackSpace) => !counts.seen.has(pack);
  const isEmpty = (space: PackSpace) => space.liveItems === 0 && isNext(space);
  const all = options.all === true;
  const dead = await wantedPacks(core, keeper, all, isEmpty);
  if (!(await rewriteAll(parts, dead, budgetBytes, counts))) return reportOf(counts, false);
  if (all) await closeNewestIfDead(core, keeper);
  const others = await wantedPacks(core, keeper, all, isNext);
  return reportOf(counts, await rewriteAll(parts, others, budgetBytes, counts));
}

/** Whether all of them had their turn. */
async function rewriteAll(
  parts: CopyParts,
  wanted: readonly PackSpace[],
  budgetBytes: number,
  counts: Counts,
): Promise<boolean> {
  const isOver = () => parts.isStopped() || counts.copiedBytes >= budgetBytes;
  for (let left = wanted; left.length > 0; ) {
    if (isOver()) return false;
    const { packs, dead, unknownAt } = await asked(parts, left, budgetBytes - counts.copiedBytes);
    counts.unprovedAt ??= unknownAt;
    if (packs.length === 0) return false;
    for (const group of groupsOf(packs, budgetBytes)) {
      if (isOver()) return false;
      await rewriteGroup(parts, group, dead, (pack, outcome) => note(counts, pack, outcome));
      if (parts.isStopped()) return false;
    }
    left = left.slice(packs.length);
  }
  return true;
}

/** Nothing done yet. */
export function newCounts(): Counts {
  return {
    ...{ removedPacks: 0, freedBytes: 0, copiedBytes: 0, kept: [] },
    ...{ unprovedAt: undefined, seen: new Set() },
  };
}

function reportOf({ seen: _, ...counts }: Counts, isDone: boolean): PackReport {
  return { ...counts, isDone };
}

/** Packs that share their syncs: what lives in them is not more than a pack. */
function* groupsOf(
  packs: readonly PackSpace[],
  budgetBytes: number,
): Generator<readonly PackSpace[]> {
  let group: PackSpace[] = [];
  let living = 0;
  for (const pack of packs) {
    const lives = pack.liveItems === 0 ? 0 : pack.bytes - pack.deadBytes;
    const isFull =
      living + lives > Math.min(PACK_BYTES, budgetBytes) || group.length >= MOST_GROUPED;
    if (group.length > 0 && isFull) {
      yield group;
      [group, living] = [[], 0];
    }
    group.push(pack);
    living += lives;
  }
  if (group.length > 0) yield group;
}

function note(
  counts: Counts,
  { pack, bytes }: Pick<PackSpace, 'pack' | 'bytes'>,
  outcome: PackOutcome,
): void {
  counts.seen.add(pack);
  if (outcome.type === 'kept') counts.kept.push({ pack, why: outcome.why });
  if (outcome.type !== 'removed') return;
  counts.removedPacks += 1;
  counts.freedBytes += bytes;
}

function growing(core: VaultCore): ReadonlySet<number> {
  const open = core.packs.packs().filter(({ closed }) => !closed);
  return new Set(open.map(({ pack }) => pack));
}

/** With `all`, the pack that grows is ended if anything in it is dead. */
async function closeNewestIfDead(core: VaultCore, keeper: CoreKeeper): Promise<void> {
  const open = growing(core);
  const { packs } = await spaceOf(core);
  const pieces = await deadPieceBytes(core, keeper);
  const isDead = ({ pack, deadBytes }: PackSpace) => deadBytes > 0 || (pieces.get(pack) ?? 0) > 0;
  if (!packs.some((space) => open.has(space.pack) && isDead(space))) return;
  await keeper.do((now) => now.packs.closeNewest());
}

/** The packs to be rewritten, the emptiest first. */
async function wantedPacks(
  core: VaultCore,
  keeper: CoreKeeper,
  all: boolean,
  isMeant: (space: PackSpace) => boolean,
): Promise<readonly PackSpace[]> {
  const open = growing(core);
  const least = all ? 0 : DEAD_PERCENT / 100;
  const pieces = await deadPieceBytes(core, keeper);
  return (await spaceOf(core)).packs
    .map((space) => {
      return { ...space, deadBytes: space.deadBytes + (pieces.get(space.pack) ?? 0) };
    })
    .filter(({ pack, bytes, deadBytes }) => {
      return !open.has(pack) && deadBytes > 0 && deadBytes >= least * bytes;
    })
    .filter(isMeant)
    .sort((a, b) => b.deadBytes / b.bytes - a.deadBytes / a.bytes || a.pack - b.pack);
}

/** By pack, about how many bytes are of pieces that slabs may lose: as though all were alike. */
async function deadPieceBytes(
  core: VaultCore,
  { uploads }: CoreKeeper,
): Promise<ReadonlyMap<number, number>> {
  const bytes = new Map<number, number>();
  const slabs = [...uploads.thin.offered()];
  for (let from = 0; from < slabs.length; from += SLABS_AT_ONCE) {
    const some = slabs.slice(from, from + SLABS_AT_ONCE);
    const rows = await core.items.rows(some.map(({ id }) => id));
    for (const [at, { live }] of some.entries()) {
      const row = rows[at] ?? nowhere;
      const place = placesToRead(row)[0];
      if (place === undefined || row.pieces === 0) continue;
      const left = Math.min(countSet(live), row.pieces);
      const dead = Math.floor((place.length * (row.pieces - left)) / row.pieces);
      bytes.set(place.pack, (bytes.get(place.pack) ?? 0) + dead);
    }
  }
  return bytes;
}

/**
 * The packs that come next, and which of their items nobody owns by the history. As many as may be
 * asked about at once, and as the budget has room for.
 */
async function asked(
  parts: CopyParts,
  wanted: readonly PackSpace[],
  budgetBytes: number,
): Promise<{
  readonly packs: readonly PackSpace[];
  readonly dead: ReadonlySet<string>;
  readonly unknownAt: HistoryPoint | undefined;
}> {
  const packs: PackSpace[] = [];
  const ids: ChunkId[] = [];
  let bytes = 0;
  for (const one of wanted) {
    if (packs.length > 0 && (ids.length >= MOST_ASKED || bytes >= budgetBytes)) break;
    if (parts.isStopped()) break;
    const { rows } = await contentsOf(parts.core.packs, one);
    ids.push(...(await deadIn(parts, rows)));
    packs.push(one);
    bytes += one.bytes - one.deadBytes;
  }
  const nothing = new Set<string>();
  if (ids.length === 0) return { packs, dead: nothing, unknownAt: undefined };
  const proof = await provedDead(parts.core.history, ids);
  if (proof.type === 'proved') return { packs, dead: proof.dead, unknownAt: undefined };
  const { file, offset } = proof.at;
  return { packs: [], dead: nothing, unknownAt: { file, offset } };
}
