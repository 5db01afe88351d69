import { type CrashScenario, tortureOf } from '@aliquot/shared/testing/enumerate';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { CarryLife } from './carry-life.ts';

/** Two rounds by hand, the second with what the first left. */
export const carriedByHand: CrashScenario = {
  name: 'carried-by-hand',
  about:
    'every file and LevelDB call fails, is cut short or is the last while a queue is exported, carried to a collector, and its receipts are written and taken in; nothing captured is lost, nothing counts as safe that is not, and no half file bears its final name',
  proves: ['P1', 'P2', 'P6'],
  begin: async (root, random) => {
    const life = new CarryLife(root, random);
    life.capture('a', 'b').export('q1').carry('q1', 'r1').capture('c').import('r1');
    return life.export('q2').carry('q2', 'r2').import('r2');
  },
};

export const carryScenarios: readonly TortureScenario[] = [tortureOf(carriedByHand)];
