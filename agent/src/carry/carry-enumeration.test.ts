import { enumerate } from '@aliquot/shared/testing/enumerate';
import { NO_FOLDER_FLUSH, posixOnly } from '@aliquot/shared/testing/platform';
import { expect, test } from 'vitest';
import { carriedByHand } from '../../testing/carry/carry-scenarios.ts';

test.runIf(posixOnly(NO_FOLDER_FLUSH))(
  'P1: some of the faults of two rounds by hand; `npm run test:torture -- --only carried-by-hand` runs them all',
  async () => {
    const { failed, injected, operations } = await enumerate(carriedByHand, {
      seed: 3,
      mine: (number) => number % 500 === 0,
    });
    expect(failed).toEqual([]);
    expect(injected).toBeGreaterThan(2);
    expect(operations).toBeGreaterThan(100);
  },
);
