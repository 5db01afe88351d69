import { expect, it } from 'vitest';
import { foldPieces, foldWords } from './fold.ts';

it('words are kept whole, and lines no wider than they may be', () => {
  expect(foldWords('one two three four', 9)).toBe('one two\nthree\nfour');
  expect(foldWords('one two three', 9, '  ', '- ')).toBe('- one two\n  three');
});

it('a word that is wider than a line stands alone, uncut: it may be there to be pasted', () => {
  expect(foldWords('see /data/a/very/long/path now', 10, '  ')).toBe(
    'see\n  /data/a/very/long/path\n  now',
  );
});

it('short text and none are one line', () => {
  expect(foldWords('a', 80)).toBe('a');
  expect(foldWords('', 80)).toBe('');
});

it('each line of a text is folded for itself, and what follows a break is set in', () => {
  expect(foldWords('one two three four', 9, '  ')).toBe('one two\n  three\n  four');
  expect(foldWords('short\nalso short', 20, '  ')).toBe('short\nalso short');
  expect(foldWords('see /a/very/long/path/indeed for it', 10, '  ')).toBe(
    'see\n  /a/very/long/path/indeed\n  for it',
  );
});

it('blanks at the beginning of a line stay, and never stand alone', () => {
  expect(foldWords('  kept as it is', 40, '  ')).toBe('  kept as it is');
  expect(foldWords('  /a/very/long/path', 10, '  ')).toBe('  /a/very/long/path');
});

it('width is what people see, not how many bytes or code units a name has', () => {
  expect(foldWords('a\u0308a\u0308 o\u0308o\u0308', 5)).toBe('a\u0308a\u0308 o\u0308o\u0308');
});

it('pieces stay whole, and a mark ends each line that goes on', () => {
  expect(foldPieces(['cat', '--agent hplc-1', '--path /data/a'], 20, '    ', '', ' \\')).toBe(
    'cat --agent hplc-1 \\\n    --path /data/a',
  );
});
