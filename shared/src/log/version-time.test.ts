import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clampVersionTime } from './version-time.ts';

describe("a version's time", () => {
  it.each([
    ['before the previous receipt', 900, 1001],
    ['equal to the previous receipt', 1000, 1001],
    ['just after the previous receipt', 1001, 1001],
    ['inside', 1500, 1500],
    ['equal to this receipt', 2000, 2000],
    ['after this receipt', 2001, 2000],
    ['years after', 9_999_999, 2000],
    ['before 1970', -5, 1001],
  ])('P5: with a claim %s lies within (previous receipt, this receipt]', (_, claim, expected) => {
    expect(clampVersionTime(claim, 1000, 2000)).toBe(expected);
  });

  it('has no lower bound for the first receipt of an agent whose enrolment is unknown', () => {
    expect(clampVersionTime(3, undefined, 2000)).toBe(3);
    expect(clampVersionTime(2001, undefined, 2000)).toBe(2000);
  });

  it("is the receipt's own when the collector's clock stood still or jumped back", () => {
    expect(clampVersionTime(1500, 2000, 2000)).toBe(2000);
    expect(clampVersionTime(1500, 2500, 2000)).toBe(2000);
    expect(clampVersionTime(9000, 2500, 2000)).toBe(2000);
  });

  it('keeps three weeks three weeks when they arrive in one minute', () => {
    const day = 86_400_000;
    const claims = Array.from({ length: 21 }, (_, index) => index * day + 1);
    expect(claims.map((claim) => clampVersionTime(claim, 0, 22 * day))).toEqual(claims);
  });

  it('P5: never leaves the bounds, whatever an agent claims', () => {
    fc.assert(
      fc.property(
        fc.maxSafeInteger(),
        fc.nat(),
        fc.integer({ min: 1, max: 1_000_000 }),
        (claim, previous, gap) => {
          const time = clampVersionTime(claim, previous, previous + gap);
          expect(time).toBeGreaterThan(previous);
          expect(time).toBeLessThanOrEqual(previous + gap);
        },
      ),
      { verbose: true },
    );
  });
});
