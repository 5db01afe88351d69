import { enumerate } from '@aliquot/shared/testing/enumerate';
import { NO_FOLDER_FLUSH, posixOnly } from '@aliquot/shared/testing/platform';
import { expect, test } from 'vitest';
import { placeBook } from '../../testing/capture/place-scenarios.ts';

/** A part of what `npm run test:torture` runs whole: every so-manyth case. */
test.runIf(posixOnly(NO_FOLDER_FLUSH))(
  `I-A13 P1 P6 ${placeBook.name}: ${placeBook.about}`,
  async () => {
    const { failed, injected, passed } = await enumerate(placeBook, {
      seed: 1,
      mine: (number) => number % 20 === 0,
    });
    expect(failed).toEqual([]);
    expect(injected).toBeGreaterThan(4);
    expect(passed).toBe(injected);
  },
);
