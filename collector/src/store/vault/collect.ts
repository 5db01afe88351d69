import type { LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { isWorthAnEpoch, mayAnnounce } from '../../collection/progress.ts';
import { hasEnded } from '../catalog/refusal.ts';
import type { Registry } from '../catalog/registry.ts';
import { StoreError } from '../errors.ts';
import type { VaultData, VaultSweep } from '../vault-collection.ts';
import type { CollectOptions, CollectStep } from '../vault-records.ts';
import { united } from './apply-dropped.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { type DropAsked, type Droppable, dropExpired, findDroppable } from './drop-expired.ts';
import { historyAhead } from './thin-history.ts';

const NO_SLOTS = new Uint8Array(0);
/** So fast packs are rewritten: a part of what a disk writes, for agents are served meanwhile. */
const REWRITTEN_BYTES_PER_SECOND = 32 * 1024 * 1024;

/** What a collection is put together from. */
export interface CollectParts extends Pick<VaultSweep, 'sweep'> {
  readonly keeper: CoreKeeper;
  /** What decides whether versions may be dropped. */
  readonly askedOf: (core: VaultCore, nowMs: number) => DropAsked;
  readonly announce: VaultSweep['announceGcEpoch'];
  readonly rewrite: VaultData['rewrite'];
  /** Writes what must be for a full disk to be emptied. */
  withRoom<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * One collection of a vault, from versions that retention lets go to their bytes: drop, announce,
 * sweep what all have answered, remove. Tells what it has done as it goes on. May end anywhere,
 * also by a crash: the next one goes on.
 */
export async function* collectVault(
  parts: CollectParts,
  { nowMs, all = false, isStopped = () => false }: CollectOptions,
): AsyncGenerator<CollectStep, void, void> {
  const { keeper } = parts;
  yield await dropped(() =>
    parts.withRoom(() => dropExpired(keeper, (core) => parts.askedOf(core, nowMs), isStopped)),
  );
  let isPurging = false;
  for (const { lineageId, agent } of lineagesOf((await keeper.ready()).registry)) {
    if (isStopped()) return;
    const { registry } = await keeper.ready();
    const progress = registry.sweep(lineageId);
    const { announced, swept, droppedVersions, droppedBytes } = progress;
    const bytes = Number(droppedBytes);
    // What was purged is not to wait until there is more.
    const isPurged = registry.purges.isOpen(lineageId, swept);
    isPurging ||= isPurged;
    if (announced === swept) {
      const hasDropped = droppedVersions > 0;
      if (!mayAnnounce({ announced, swept, hasDropped })) continue;
      const gain = {
        droppedBytes,
        keptBytes: bytesOf(registry, lineageId),
        isAsked: all || isPurged,
      };
      if (!isWorthAnEpoch(gain)) {
        yield { type: 'lineage', agent, droppedBytes: bytes, outcome: { type: 'not-worth-it' } };
        continue;
      }
      await parts.announce(lineageId, nowMs);
    }
    const outcome = await parts.sweep(lineageId, { isStopped });
    yield { type: 'lineage', agent, droppedBytes: bytes, outcome };
  }
  if (isStopped()) return;
  const bytesPerSecond = REWRITTEN_BYTES_PER_SECOND;
  yield {
    type: 'rewritten',
    report: await parts.rewrite({ all: all || isPurging, bytesPerSecond, isStopped }),
  };
}

/** What a collection would free, if all who are waited for had answered. Nothing is changed. */
export async function* collectionAhead(
  parts: CollectParts,
  { nowMs }: CollectOptions,
): AsyncGenerator<CollectStep, void, void> {
  const { keeper } = parts;
  let found: Droppable | undefined;
  const settled = () => keeper.settled();
  yield await dropped(async () => {
    found = await keeper.ask((core) => findDroppable(core, parts.askedOf(core, nowMs)), settled);
    return found.versions;
  });
  const letGo = new Map<number, Uint8Array>();
  for (const { leaves } of found?.letGo ?? [])
    for (const [leafIndex, slots] of leaves)
      letGo.set(leafIndex, united(letGo.get(leafIndex) ?? NO_SLOTS, slots));
  const branches = new Set((found?.letGo ?? []).map(({ branchId }) => hex(branchId)));
  for (const { lineageId, agent } of lineagesOf((await keeper.ready()).registry)) {
    const { registry } = await keeper.ready();
    const { announced, swept, droppedVersions, droppedBytes } = registry.sweep(lineageId);
    const isConcerned = historiesOf(registry, lineageId).some((id) => branches.has(hex(id)));
    if (announced === swept && droppedVersions === 0 && !isConcerned) continue;
    const outcome = await parts.sweep(lineageId, { letGo });
    yield { type: 'lineage', agent, droppedBytes: Number(droppedBytes), outcome };
  }
  yield { type: 'history', bytes: await historyAhead(await keeper.ready()) };
}

/** How many versions went; or why none may. */
async function dropped(drop: () => Promise<number>): Promise<CollectStep> {
  try {
    return { type: 'dropped', versions: await drop(), heldBy: undefined };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'STORE_RETENTION_HELD') throw error;
    return { type: 'dropped', versions: 0, heldBy: error.message };
  }
}

/** Each lineage once, under the name of the agent that has it now. */
export function lineagesOf(registry: Registry): { lineageId: LineageId; agent: string }[] {
  const found = new Map<string, { lineageId: LineageId; agent: string; ended: boolean }>();
  for (const { lineageId, name, state } of registry.rows()) {
    const known = found.get(hex(lineageId));
    const ended = hasEnded(state);
    if (known === undefined || known.ended || !ended)
      found.set(hex(lineageId), { lineageId, agent: name, ended });
  }
  return [...found.values()];
}

/** The trunk of a lineage, and what stands beside it. */
function historiesOf(registry: Registry, lineageId: LineageId): LineageId[] {
  const beside = registry.rows().flatMap((row) => {
    if (!equalBytes(row.lineageId, lineageId)) return [];
    return registry.lines(row.agentId)?.branchIds() ?? [];
  });
  return [lineageId, ...beside];
}

/** Of the files that are there now, of all its histories. */
function bytesOf(registry: Registry, lineageId: LineageId): bigint {
  return historiesOf(registry, lineageId).reduce(
    (sum, id) => sum + (registry.lineage(id)?.bytes ?? 0n),
    0n,
  );
}
