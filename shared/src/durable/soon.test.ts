import { describe, expect, it } from 'vitest';
import { inSteps, type Soon, type Steps, soon } from './soon.ts';

function* sum(...values: readonly (() => Soon<number>)[]): Steps<number> {
  let total = 0;
  for (const value of values) {
    try {
      total += yield* soon(value());
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      total += 1000;
    }
  }
  return total;
}

const later =
  (value: number): (() => Promise<number>) =>
  async () =>
    value;
const fails = (error: Error) => (): never => {
  throw error;
};
const failsLater = (error: Error) => () => Promise.reject(error);

describe('work in steps', () => {
  it('is done when it returns where nothing waits', () => {
    expect(
      inSteps(
        sum(
          () => 1,
          fails(new RangeError()),
          () => 2,
        ),
      ),
    ).toBe(1003);
  });

  it('goes on from the first call that waits, and throws errors where the call stands', async () => {
    const done = inSteps(
      sum(
        () => 1,
        later(20),
        failsLater(new RangeError()),
        () => 300,
        fails(new RangeError()),
      ),
    );
    expect(done).toBeInstanceOf(Promise);
    expect(await done).toBe(2321);
  });

  it('fails at once, or by its promise, with what nobody catches', async () => {
    expect(() => inSteps(sum(fails(new TypeError('at once'))))).toThrow('at once');
    await expect(inSteps(sum(later(1), fails(new TypeError('behind it'))))).rejects.toThrow(
      'behind it',
    );
    await expect(inSteps(sum(failsLater(new TypeError('later'))))).rejects.toThrow('later');
  });
});
