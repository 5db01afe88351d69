import { describe, expect, test } from 'vitest';
import { enumerate } from './enumerate.ts';
import { NO_FOLDER_FLUSH, posixOnly } from './platform.ts';
import { dataFolder, kitCreate, kitPassphrase, restoreTarget } from './shared-scenarios.ts';
import { restoreWhole } from './whole-folder-scenario.ts';

/** A part of what `npm run test:torture` runs whole: every so-manyth case. */
describe.runIf(posixOnly(NO_FOLDER_FLUSH))(
  'P1 P2 faults of the disk under restores, kits and data folders',
  () => {
    test.each([
      { scenario: dataFolder, every: 20 },
      { scenario: kitCreate, every: 4 },
      { scenario: kitPassphrase, every: 4 },
      { scenario: restoreTarget, every: 20 },
      { scenario: restoreWhole, every: 20 },
    ])('$scenario.name: $scenario.about', async ({ scenario, every }) => {
      const { failed, injected, passed } = await enumerate(scenario, {
        seed: 1,
        mine: (number) => number % every === 0,
      });
      expect(failed).toEqual([]);
      expect(injected).toBeGreaterThan(4);
      expect(passed).toBe(injected);
    });
  },
);
