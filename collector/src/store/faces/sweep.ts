import type { LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { Serial } from '@aliquot/shared/serial';
import { nextSweepEpoch } from '../../collection/progress.ts';
import { keys } from '../catalog/catalog-keys.ts';
import { GrowingBloom } from '../catalog/growing-bloom.ts';
import { type CollectParts, collectionAhead, collectVault, lineagesOf } from '../vault/collect.ts';
import type { VaultCore } from '../vault/core.ts';
import { dropVersions } from '../vault/drop-versions.ts';
import { noteLearned, sweepWaitsFor } from '../vault/gc-epochs.ts';
import { namedVersions } from '../vault/named-versions.ts';
import { erasePurged } from '../vault/purge-erase.ts';
import { sweepSet } from '../vault/sweep-set.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultData, VaultSweep } from '../vault-collection.ts';
import { letGoAsked, longStepOf } from './retention.ts';

export function sweepOf(parts: VaultParts, { rewrite }: Pick<VaultData, 'rewrite'>): VaultSweep {
  const { keeper, clock, random, hasher, reserve } = parts;
  const step = longStepOf(parts);
  const sweeping = new Serial();
  const watch = (lineageId: LineageId): void => {
    if (!keeper.uploads.isWatched(lineageId))
      keeper.uploads.watch(lineageId, new GrowingBloom(() => random.bytes(16)));
  };

  const listeners = new Map<string, Set<(epoch: number) => void>>();
  for (const lineageId of keeper.live().registry.underSweep()) watch(lineageId);
  let isRunning = false;
  const isPaused = () => keeper.live().registry.isGcPaused;
  const sweep: VaultSweep = {
    gcEpoch: (lineageId) => keeper.live().registry.sweep(lineageId).announced,

    async announceGcEpoch(lineageId, nowMs) {
      const announce = async (core: VaultCore): Promise<{ gcEpoch: number; leafIndex: number }> => {
        const gcEpoch = nextSweepEpoch(core.registry.sweep(lineageId).announced, nowMs);
        const event = { type: 'gcEpochAnnounced', timeMs: nowMs, gcEpoch, lineageId } as const;
        return { gcEpoch, leafIndex: await core.appendEvent(event, nowMs) };
      };
      const announced = () => keeper.doDurably(announce, ({ leafIndex }) => leafIndex);
      const { gcEpoch } = await reserve.withRoom(announced);
      watch(lineageId);
      for (const listener of listeners.get(hex(lineageId)) ?? []) listener(gcEpoch);
      return gcEpoch;
    },

    onGcEpoch(lineageId, listener) {
      const of = listeners.get(hex(lineageId)) ?? new Set();
      listeners.set(hex(lineageId), of.add(listener));
      return () => {
        of.delete(listener);
        if (of.size === 0 && listeners.get(hex(lineageId)) === of) listeners.delete(hex(lineageId));
      };
    },

    gcLearned: (agentId, chainId, epoch) => noteLearned(keeper.live(), agentId, chainId, epoch),

    sweepWaitsFor: (lineageId, epoch) => sweepWaitsFor(keeper.live(), lineageId, epoch),

    async drop(letGo) {
      const named = await keeper.ask((core) => namedVersions(core, letGo.leaves));
      const dropped = await keeper.do((core) => dropVersions(core, letGo, named));
      if (dropped > 0) await keeper.sync();
      return dropped;
    },

    progress: (lineageId) => keeper.live().registry.sweep(lineageId),

    sweep: (lineageId, { letGo, isStopped = () => false } = {}) =>
      sweeping.run(() =>
        reserve.withRoom(async () => {
          const { registry } = keeper.live();
          const isAwaited = registry.purges.awaits(lineageId, registry.sweep(lineageId).swept);
          const outcome = await sweepSet(
            { keeper, clock, random, hasher, step, isStopped },
            lineageId,
            letGo,
          );
          if (isAwaited && outcome.type === 'swept') await erasePurged(keeper);
          return outcome;
        }),
      ),

    async *collect({ isStopped = () => false, ...options }) {
      if (isRunning || (isPaused() && options.dryRun !== true)) return;
      isRunning = true;
      const collection: CollectParts = {
        keeper,
        askedOf: letGoAsked(parts),
        withRoom: (work) => reserve.withRoom(work),
        announce: sweep.announceGcEpoch,
        sweep: sweep.sweep,
        rewrite,
      };
      const stops = () => isStopped() || (isPaused() && options.dryRun !== true);
      const collect = options.dryRun === true ? collectionAhead : collectVault;
      try {
        yield* collect(collection, { ...options, isStopped: stops });
      } finally {
        isRunning = false;
      }
    },

    status() {
      const { registry } = keeper.live();
      const lineages = lineagesOf(registry).flatMap(({ lineageId, agent }) => {
        const progress = registry.sweep(lineageId);
        const { announced, swept, droppedVersions } = progress;
        if (announced === swept && droppedVersions === 0) return [];
        const isAsked = announced > swept;
        const waits = isAsked ? sweepWaitsFor(keeper.live(), lineageId, announced) : [];
        return [{ agent, progress, waits }];
      });
      return { isPaused: isPaused(), isRunning, lineages };
    },

    pause(paused) {
      const { registry, catalog } = keeper.live();
      registry.isGcPaused = paused;
      catalog.note(keys.gcPaused, paused ? Buffer.alloc(0) : undefined);
    },
  };
  return sweep;
}
