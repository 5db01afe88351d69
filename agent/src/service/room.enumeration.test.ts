import { seededSource } from '@aliquot/shared/testing/random';
import { expect, test } from 'vitest';
import { queueOfEverySize } from '../../testing/service/room-scenarios.ts';

const seed = Number(process.env['ALIQUOT_TEST_SEED'] ?? 20261121);

test(`P6 I-A10: whatever the room, each file is captured or waits and is named, and all is safe in the end (seed ${seed})`, async () => {
  const random = seededSource(seed);
  const { failed, injected } = await queueOfEverySize(
    { seed, random, over: () => false, mine: () => true, log: () => undefined },
    8,
  );
  expect(failed).toEqual([]);
  expect(injected).toBe(8);
});
