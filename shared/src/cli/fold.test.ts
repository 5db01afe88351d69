import { expect, it } from 'vitest';
import { foldWords } from './fold.ts';

it('words are kept whole, and lines no wider than they may be', () => {
  expect(foldWords('one two three four', 9)).toBe('one two\nthree\nfour');
  expect(foldWords('one two three', 9, '  ', '- ')).toBe('- one two\n  three');
});

it('a word that is wider than a line stands alone, uncut: it may be there to be pasted', () => {
  expect(foldWords('see /data/a/very/long/path now', 10, '  ')).toBe('see\n  /data/a/very/long/path\n  now');
});

it('short text and none are one line', () => {
  expect(foldWords('a', 80)).toBe('a');
  expect(foldWords('', 80)).toBe('');
});
