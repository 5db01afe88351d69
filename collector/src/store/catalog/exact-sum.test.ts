import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExactSum } from './exact-sum.ts';

test('a sum of sizes is exact, however large and in whichever order they come', () => {
  const size = fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.constant(Number.MAX_SAFE_INTEGER));
  fc.assert(
    fc.property(fc.array(size, { maxLength: 50 }), (sizes) => {
      const sum = new ExactSum();
      for (const one of sizes) sum.add(one);
      expect(sum.value).toBe(sizes.reduce((all, one) => all + BigInt(one), 0n));
    }),
  );
});
