import { expect, it } from 'vitest';
import { folded } from './folded.ts';

it('text is folded between words, keeps blanks that align it, and leaves a long word whole', () => {
  expect(folded('hplc-1   ready   12 of 12 safe', 80)).toEqual(['hplc-1   ready   12 of 12 safe']);
  expect(folded('one two three four', 9)).toEqual(['one two', 'three', 'four']);
  expect(folded('a /very/long/path/that/goes/on b', 10)).toEqual(['a', '/very/long/path/that/goes/on', 'b']);
});
