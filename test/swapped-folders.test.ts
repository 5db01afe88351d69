import { afterAll, expect, test } from 'vitest';
import { stopPrograms } from '../demo/programs.ts';
import { SwappedWorld, whyNoOtherUser } from './swapped/world.ts';

/** The short form of the torture scenario `swapped-folders`. */

const ROUNDS = 2;

afterAll(stopPrograms);

const why = whyNoOtherUser();

test.skipIf(why !== undefined)(
  `P2 P3: who swaps his folders for links while root restores and backs up, leads it nowhere${why === undefined ? '' : ` (skipped: ${why})`}`,
  async () => {
    const world = await SwappedWorld.open();
    try {
      for (let number = 0; number < ROUNDS; number += 1) await world.round(number);
      await world.mustHoldNothing();
      expect(world.swaps).toBeGreaterThan(0);
    } finally {
      await world.close();
    }
  },
);
