import { enumerate } from '@aliquot/shared/testing/enumerate';
import { NO_FOLDER_FLUSH, posixOnly } from '@aliquot/shared/testing/platform';
import { describe, expect, test } from 'vitest';
import {
  queueDay,
  queueFacts,
  queueKnown,
  queueRollback,
  queueShort,
  queueSlabs,
} from '../../testing/queue/queue-scenarios.ts';

/** A part of what `npm run test:torture` runs whole: every so-manyth case. */
describe.runIf(posixOnly(NO_FOLDER_FLUSH))('P1 P5 P6 faults of the disk under the queue', () => {
  test.each([
    { scenario: queueShort, every: 100 },
    { scenario: queueDay, every: 260 },
    { scenario: queueFacts, every: 160 },
    { scenario: queueRollback, every: 340 },
    { scenario: queueKnown, every: 300 },
    { scenario: queueSlabs, every: 300 },
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
