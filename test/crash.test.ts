import { seededSource } from '@aliquot/shared/testing/random';
import { describe, it } from 'vitest';
import { killAtRandom } from '../torture/scenarios/kill-at-random.ts';

const seed = Number(process.env['ALIQUOT_TEST_SEED'] ?? 20261121);

describe('kill -9', () => {
  it(`P1 I-A2 I-C1: crashes of agent and collector at random moments of a backup lose nothing (seed ${seed})`, async () => {
    // Many more, and over real instrument files: npm run test:torture -- --only kill-at-random
    await killAtRandom(seededSource(seed), 4, undefined);
  }, 600_000);
});
