import { enumerate } from '@aliquot/shared/testing/enumerate';
import { NO_FOLDER_FLUSH, posixOnly } from '@aliquot/shared/testing/platform';
import { describe, expect, test } from 'vitest';
import { packsAndHistory } from '../../testing/store/media-scenarios.ts';

/** A part of what `npm run test:torture` runs whole: every so-manyth case. */
describe.runIf(posixOnly(NO_FOLDER_FLUSH))(
  'P1 P2 faults of the disk under packs and history',
  () => {
    test(packsAndHistory.about, async () => {
      const { failed, injected, passed } = await enumerate(packsAndHistory, {
        seed: 1,
        mine: (number) => number % 40 === 0,
      });
      expect(failed).toEqual([]);
      expect(injected).toBeGreaterThan(20);
      expect(passed).toBe(injected);
    });
  },
);
