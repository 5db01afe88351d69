import { posixOnly } from '@aliquot/shared/testing/platform';
import { seededSource } from '@aliquot/shared/testing/random';
import { expect, test } from 'vitest';
import { disturbedReads } from '../../testing/capture/capture-scenarios.ts';

const seed = Number(process.env['ALIQUOT_TEST_SEED'] ?? 20261121);

test.runIf(posixOnly('the model of a disk is one of POSIX'))(
  `P2 P6: a file that is disturbed at any call of its capture is recorded whole, or named (seed ${seed})`,
  async () => {
    const random = seededSource(seed);
    const { failed, injected } = await disturbedReads({
      seed,
      random,
      over: () => false,
      mine: () => random.below(24) === 0,
      log: () => undefined,
    });
    expect(failed).toEqual([]);
    expect(injected).toBeGreaterThan(80);
  },
);
