import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Found } from '../source/walk.ts';
import { packFound, unpackFound } from './found-pack.ts';

const SEED = 20_260_511;

const path = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .map((bytes) => `/${Buffer.from(bytes.map((byte) => byte || 1)).toString('latin1')}`);
const stat = fc.record({
  kind: fc.constantFrom(
    'file' as const,
    'directory' as const,
    'symlink' as const,
    'special' as const,
  ),
  size: fc.maxSafeNat(),
  mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ctimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ino: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  dev: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  mode: fc.nat(0o7777),
});
const item: fc.Arbitrary<Found> = fc.record({
  type: fc.constant('item' as const),
  path,
  stat,
  linkTarget: fc.constantFrom('', '', 'elsewhere'),
  resultPathLength: fc.nat(40_000),
});
const problem: fc.Arbitrary<Found> = fc.record({
  type: fc.constant('problem' as const),
  path,
  problem: fc.constant({ code: 'special' as const, message: 'is a fifo' }),
});

test(`what a walk found comes out of the packing as it went in (seed ${SEED})`, () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 4, arbitrary: item }, problem), { maxLength: 20 }),
      (batch) => {
        expect(unpackFound(structuredClone(packFound(batch)))).toEqual(batch);
      },
    ),
    { seed: SEED },
  );
});
