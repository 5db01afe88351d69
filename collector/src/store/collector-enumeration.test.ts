import { enumerate } from '@aliquot/shared/testing/enumerate';
import { NO_FOLDER_FLUSH, posixOnly } from '@aliquot/shared/testing/platform';
import { describe, expect, test } from 'vitest';
import {
  collectorActs,
  collectorDay,
  collectorRollback,
  collectorShort,
} from '../../testing/store/collector-scenarios.ts';
import { collectorExpire } from '../../testing/store/expire-scenario.ts';
import { collectorKeep } from '../../testing/store/keep-scenario.ts';
import {
  collectorDoubledPack,
  collectorLostPack,
  collectorSwappedPacks,
  collectorTwiceHeld,
} from '../../testing/store/lost-scenarios.ts';
import { collectorPurge } from '../../testing/store/purge-scenario.ts';
import { collectorRewrite } from '../../testing/store/rewrite-scenario.ts';
import { historyRewrite } from '../../testing/store/thin-scenario.ts';

/** A part of what `npm run test:torture` runs whole: every so-manyth case. */
describe.runIf(posixOnly(NO_FOLDER_FLUSH))('P1 P5 faults of the disk under a collector', () => {
  test.each([
    { scenario: collectorShort, every: 130 },
    { scenario: collectorDay, every: 260 },
    { scenario: collectorActs, every: 160 },
    { scenario: collectorRollback, every: 160 },
    { scenario: collectorLostPack, every: 120 },
    { scenario: collectorTwiceHeld, every: 120 },
    { scenario: collectorSwappedPacks, every: 120 },
    { scenario: collectorDoubledPack, every: 120 },
    { scenario: collectorRewrite, every: 200 },
    { scenario: historyRewrite, every: 130 },
    { scenario: collectorKeep, every: 250 },
    { scenario: collectorExpire, every: 180 },
    { scenario: collectorPurge, every: 180 },
  ])('$scenario.name: $scenario.about', async ({ scenario, every }) => {
    const { failed, injected, passed } = await enumerate(scenario, {
      seed: 1,
      mine: (number) => number % every === 0,
    });
    expect(failed).toEqual([]);
    expect(injected).toBeGreaterThan(4);
    expect(passed).toBe(injected);
  });
});
