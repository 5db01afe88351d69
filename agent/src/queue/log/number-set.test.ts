import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { expect, test } from 'vitest';
import { NumberSet } from './number-set.ts';

test('holds the numbers that were added, in whatever order, and no other', () => {
  const random = seededRandom('numbers');
  const byte = (): number => random.bytes(1)[0] ?? 0;
  for (let turn = 0; turn < 200; turn += 1) {
    const set = new NumberSet();
    const plain = new Set<number>();
    for (let count = byte(); count > 0; count -= 1) {
      const number = byte() % 100;
      const to = number + (byte() % 4 === 0 ? byte() % 20 : 0);
      set.add(number, to);
      for (let each = number; each <= to; each += 1) plain.add(each);
    }
    for (let number = 0; number <= 100; number += 1) {
      expect(set.has(number)).toBe(plain.has(number));
      let behind = number;
      while (plain.has(behind)) behind += 1;
      expect(set.behind(number)).toBe(behind);
      expect(set.covers(number, behind - 1)).toBe(true);
      expect(set.covers(number, behind)).toBe(false);
      const later = [...plain].filter((each) => each >= number);
      expect(set.firstFrom(number)).toBe(Math.min(Number.MAX_SAFE_INTEGER, ...later));
      expect(set.first).toBe(Math.min(Number.MAX_SAFE_INTEGER, ...plain));
    }
  }
});
