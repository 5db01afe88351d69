import { expect, test } from 'vitest';
import { sharesOf } from './check-shares.ts';

const GIB = 1024 ** 3;
const PIB = 1024 ** 5;

test('P6 whoever claims what a vault may hold is read back whole, and who claims more takes nothing from others', () => {
  const honest = [3 * GIB, 0, 40 * GIB, 12 * GIB];
  const shares = sharesOf([...honest, 4 * PIB, 9 * PIB], 20 * GIB);
  for (const [at, claimed] of honest.entries()) expect(shares[at]).toBe(claimed);
  expect(shares[4]).toBe(shares[5]);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual(322 * GIB);
});

test('P6 what is read back of an empty vault is bounded, whatever it claims', () => {
  const shares = sharesOf([8 * PIB, 8 * PIB], 0);
  expect(shares).toEqual([GIB, GIB]);
  expect(sharesOf([], 0)).toEqual([]);
});

test('what comes while a check begins has its place', () => {
  const [share = 0] = sharesOf([5 * GIB], 10 * GIB);
  expect(share).toBeGreaterThan(6 * GIB);
});
