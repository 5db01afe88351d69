import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { SwappedWorld, whyNoOtherUser } from '../../test/swapped/world.ts';

const ROUNDS = 200;

async function run({ over, log, mine }: TortureContext): Promise<TortureCounts> {
  const why = whyNoOtherUser();
  if (why !== undefined) {
    log(`skipped: ${why}`);
    return { injected: 0, passed: 0, failed: [], whole: false };
  }
  const world = await SwappedWorld.open();
  const failed: string[] = [];
  let injected = 0;
  let whole = true;
  try {
    for (let number = 0; number < ROUNDS; number += 1) {
      if (!mine(number)) continue;
      if (over()) {
        whole = false;
        break;
      }
      injected += 1;
      try {
        await world.round(number);
      } catch (error) {
        failed.push(`case ${number}: ${error instanceof Error ? error.message : String(error)}`);
      }
      log(`${injected} restores and backups, ${world.swaps} swaps`);
    }
    try {
      await world.mustHoldNothing();
    } catch (error) {
      failed.push(`at the end: ${error instanceof Error ? error.message : String(error)}`);
    }
  } finally {
    await world.close();
  }
  return { injected, passed: Math.max(0, injected - failed.length), failed, whole };
}

export const swappedScenarios: readonly TortureScenario[] = [
  {
    name: 'swapped-folders',
    undivided: true,
    about:
      'a user swaps his folders for links into one of root’s, as quickly as he can, while root restores into them and backs them up, 200 times each: nothing there is written, changed or read. Needs root.',
    proves: ['P2', 'P3'],
    run,
  },
];
