import { describe } from 'vitest';
import type { Begin, StoreFactory } from './conformance-place.ts';
import { forkConformance } from './fork-conformance.ts';
import { intakeConformance } from './intake-conformance.ts';
import { logConformance } from './log-conformance.ts';
import { readingConformance } from './reading-conformance.ts';
import { registerConformance } from './register-conformance.ts';
import { slabConformance } from './slab-conformance.ts';
import { StoreWorld } from './world.ts';

/** What every vault store must do. A new store's test file is its factory and one call of this. */
export function vaultStoreConformance(name: string, factory: () => StoreFactory): void {
  describe(`vault store: ${name}`, () => {
    const begin: Begin = async () => {
      const world = new StoreWorld();
      const places = factory();
      const store = await places.open(world);
      await store.events.append(world.vaultAdded());
      return { world, places, store };
    };
    describe('what agents may do', () => intakeConformance(begin));
    describe('slabs', () => slabConformance(begin));
    describe('agents that come and end', () => registerConformance(begin));
    describe('the log', () => logConformance(begin));
    describe('reading back', () => readingConformance(begin));
    describe('histories beside the trunk', () => forkConformance(begin));
  });
}
