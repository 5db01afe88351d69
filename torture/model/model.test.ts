import { describe, expect, it } from 'vitest';
import { exploreWorld, findMutant } from './explored.ts';
import { mutants } from './mutants.ts';
import { smallWorlds } from './worlds.ts';

describe('the model of collection, over the very decisions that the store makes', () => {
  it.each(smallWorlds)('in every state, nothing is lost, told or left: $name', (world) => {
    const { fault, states } = exploreWorld(world);
    expect(fault).toBeUndefined();
    expect(states).toBeGreaterThan(1000);
  });

  it.each(mutants.filter(({ isFar }) => isFar !== true))('is not blind to: $name', (mutant) => {
    expect(findMutant(mutant).fault).toBeDefined();
  });
});
