import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fitsName } from './name-pattern.ts';

it.each([
  ['hplc-1', 'hplc-1', true],
  ['hplc-1', 'hplc-10', false],
  ['hplc-*', 'hplc-', true],
  ['hplc-*', 'hplc', false],
  ['*', '', true],
  ['*-1', 'hplc-1', true],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['*b*b*', 'abcb', true],
  ['*b*b*', 'abc', false],
  ['a.c', 'abc', false],
] as const)('%s and %s: %s', (pattern, name, fits) => {
  expect(fitsName(pattern, name)).toBe(fits);
});

it('is what a regular expression says', () => {
  const letters = (of: string, maxLength: number) =>
    fc.array(fc.constantFrom(...of), { maxLength }).map((all) => all.join(''));
  fc.assert(
    fc.property(letters('ab*', 7), letters('ab', 10), (pattern, name) => {
      expect(fitsName(pattern, name)).toBe(
        new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name),
      );
    }),
  );
});

it('of 64 stars and letters is told at once', () => {
  expect(fitsName('*a'.repeat(31).concat('*b'), 'a'.repeat(64))).toBe(false);
});
